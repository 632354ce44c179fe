"""How the gate judges pictures that its model was not made for: by kind and type, with what slipped through."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.data.artificial import artificial
from ml.decoding import decode
from ml.errors import DatasetError, InvalidImage
from ml.gate import is_held_out
from ml.metrics import wilson_interval
from ml.screen import Screener
from ml.screening import NOT_CLINICAL, NOT_DERMATOSCOPIC, NOT_SKIN, USABLE

BATCH_SIZE = 16
MAX_SIDE = 640  # pixels, as in the fit
FITTED = ("not_skin", "clinical_photos", "dermatoscopic")
"""Folders that gates are fitted on; any other folder shows skin in ordinary photos."""
GENERATED = "generated"
COMMON = 3  # pictures that must share the beginning of their names to be a type of their own
PROTOCOL = (
    "Of not_skin, clinical_photos and dermatoscopic only those pictures count that are kept from the fit of every "
    "gate, by a digest of their names; other folders are never fitted on; generated pictures are drawn by other code "
    "than those of the fit. Refused: any verdict but usable. Right verdict: not_skin for not_skin and generated "
    "pictures, not_dermatoscopic or not_clinical for photos of skin of another kind than the model was made for, else "
    "usable. Intervals are 95 % Wilson intervals over pictures."
)

UNTAUGHT = (
    "This model's gate was never taught to tell ordinary photos of skin from dermatoscopic ones. It answers both, and "
    "only that counts as right here: photos of the kind that the model was not made for are not recognised."
)
"""Said of a gate that `accepts` every skin (see ml.gate.fit_gate)."""


@dataclass(frozen=True)
class Shown:
    """A picture to show to the gate; `right` is the verdict that it should get."""

    kind: str
    type: str
    name: str
    right: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Judged:
    """A picture and the verdict that it got, with the model's answer where it was let through."""

    shown: Shown
    verdict: str
    status: str
    predicted: str | None

    @property
    def missed(self) -> bool:
        """Whether it was let through though it should not have been."""
        return self.verdict == USABLE != self.shown.right


def judge_pictures(screener: Screener, folders: Sequence[Path], *, seed: int, progress: bool) -> tuple[Judged, ...]:
    """The gate's verdict on every picture of the folders that counts, and on generated ones.

    A folder that has `not_skin/`, `clinical_photos/` or `dermatoscopic/`, or is one of them, is read as the gate's fit
    reads it, and nothing else in it; of any other folder each subfolder is a type of ordinary photos of skin. Raises
    DatasetError for a folder without pictures.
    """
    judged: list[Judged] = []
    # A gate that was fitted on no other photos of skin takes them as what its model was made for.
    accepts = screener.card.gate.get("accepts")
    right = {
        "not_skin": NOT_SKIN,
        "dermatoscopic": NOT_CLINICAL if accepts == "clinical" else USABLE,
        "ordinary": USABLE if accepts in ("clinical", "skin") else NOT_DERMATOSCOPIC,
    }
    pictures = [found for folder in folders for found in _pictures(folder, right)]
    with tqdm(total=len(pictures), desc="gate", unit="picture", disable=not progress) as bar:
        for start in range(0, len(pictures), BATCH_SIZE):
            batch = pictures[start : start + BATCH_SIZE]
            judged += _judge(screener, [shown for picture in batch if (shown := _read(*picture)) is not None])
            bar.update(len(batch))
    drawn = [
        Shown(GENERATED, name, f"{name} {number}", NOT_SKIN, pixels)
        for number, (name, pixels) in enumerate(artificial(seed))
    ]
    for start in range(0, len(drawn), BATCH_SIZE):
        judged += _judge(screener, drawn[start : start + BATCH_SIZE])
    return tuple(judged)


def gate_figures(judged: Sequence[Judged], accepts: str | None) -> dict[str, Any]:
    """The table by kind and type, and the misses by name, as plain JSON types; with a `caution` where the gate, by what
    its card says that it `accepts`, does not tell the two kinds of photos of skin apart."""
    rows = []
    for kind in dict.fromkeys(item.shown.kind for item in judged):
        of_kind = [item for item in judged if item.shown.kind == kind]
        types = sorted({item.shown.type for item in of_kind})
        rows.append({"kind": kind, "type": None, **_counts(of_kind)})
        if len(types) > 1:
            rows += [
                {"kind": kind, "type": name, **_counts([item for item in of_kind if item.shown.type == name])}
                for name in types
            ]
    misses = [
        {"kind": item.shown.kind, "type": item.shown.type, "picture": item.shown.name, "answer": item.status}
        for item in judged
        if item.missed
    ]
    return {"rows": rows, "misses": misses, "protocol": PROTOCOL, "caution": UNTAUGHT if accepts == "skin" else None}


def _counts(items: Sequence[Judged]) -> dict[str, Any]:
    pictures = len(items)
    refused = sum(item.verdict != USABLE for item in items)
    right = sum(item.verdict == item.shown.right for item in items)
    return {
        "pictures": pictures,
        "refused": refused,
        "refused_share": refused / pictures,
        "refused_interval": list(wilson_interval(refused, pictures)),
        "right": right,
        "right_share": right / pictures,
        "right_interval": list(wilson_interval(right, pictures)),
        "right_verdict": items[0].shown.right,
        "verdicts": dict(Counter(item.verdict for item in items).most_common()),
    }


def _judge(screener: Screener, shown: Sequence[Shown]) -> list[Judged]:
    screenings = screener.screen_batch([item.pixels for item in shown])
    return [
        Judged(item, screening.gate.verdict, screening.status.value, screening.predicted)
        for item, screening in zip(shown, screenings, strict=True)
    ]


def _pictures(folder: Path, right: Mapping[str, str]) -> Iterator[tuple[str, str, str, Path]]:
    """(kind, type, right verdict, path) of each picture of a folder that counts; `right` is by kind, or `ordinary`."""
    if folder.name in FITTED:  # one of them by itself: its pictures are those of the fit all the same
        folder, fitted = folder.parent, [folder.name]
    else:
        fitted = [name for name in FITTED if (folder / name).is_dir()]
    kinds = fitted or [folder.name]
    found = 0
    for kind in kinds:
        top = folder / kind if fitted else folder
        paths = sorted(path for path in top.rglob("*") if path.is_file() and not path.name.startswith("."))
        paths = [path for path in paths if path.parent != top] if not fitted else paths
        common = Counter(_beginning(path) for path in paths)
        for path in paths:
            if fitted and not is_held_out(path.name):
                continue
            nested = path.parent != top
            beginning = path.relative_to(top).parts[0] if nested else _beginning(path)
            found += 1
            kind_of = beginning if nested or common[beginning] >= COMMON else "others"
            yield kind, kind_of.replace("_", " "), right.get(kind, right["ordinary"]), path
    if not found:
        raise DatasetError(
            f"No pictures to judge in {folder}: it needs not_skin/, clinical_photos/ or dermatoscopic/ with pictures "
            "kept from the fit, or other subfolders with photos of skin."
        )


def _beginning(path: Path) -> str:
    """The name without its number: Melanoma_12.jpg is a Melanoma."""
    return re.sub(r"[\W_]*\d*$", "", path.stem)


def _read(kind: str, name: str, right: str, path: Path) -> Shown | None:
    try:
        return Shown(kind, name, path.name, right, decode(path.read_bytes(), max_side=MAX_SIDE))
    except InvalidImage:
        return None  # a list or a licence beside the pictures
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or 'an input error'}.") from error
