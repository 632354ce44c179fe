"""A prepared dataset: `manifest.csv`, one row an image, and `summary.json`, what was done and left out.

A dataset is split once, or has folds: then its rows say which part each image has in each fold, and it has splits only
as one of its folds. There is no way to read the training images of several folds together.
"""

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.decoding import decode
from ml.errors import DatasetError, InvalidImage
from ml.files import write_bytes, write_json

SPLITS = ("train", "val", "test")
PROMOTION = "promotion"
"""A split beside the others, which a dataset need not have: nothing learns from it, nothing is tuned or reported on it.
It decides one thing, whether a model may take another's place (see ml.promotion)."""
PARTS = (*SPLITS, PROMOTION)
MANIFEST = "manifest.csv"
SUMMARY = "summary.json"
LAYOUTS = ("folders",)  # beside the manifest: dataset/<split>/<class>/

COLUMNS = (
    "image", "label", "lesion_id", "group", "split", "sha256", "width", "height", "source",
    "age", "sex", "localization", "diagnosis_method",
)  # fmt: skip
FOLD_COLUMNS = ("folds", "augmented_from")
"""Written where there are folds: the part of the image in each ("test train val train train", "-" for none)."""
_REQUIRED = ("image", "label", "lesion_id", "group")
_NO_PART = "-"


@dataclass(frozen=True)
class ImageRecord:
    """One image of a prepared dataset.

    `lesion_id` says which pictures show one lesion; `group` joins lesions that share a near-duplicate picture and is
    what the split keeps together. `width` and `height` are upright pixels. `age` is in years. `diagnosis_method` (how
    the diagnosis was made) is for reports only: it tells the diagnosis, so no model may ever see it.

    Where the dataset has folds, `folds` is the part in each of them ("" for none) and `split` that of the fold that
    was asked for. `augmented_from` names the picture that this one is an altered copy of; such are only trained on.
    """

    path: Path
    label: str
    lesion_id: str
    group: str
    split: str
    sha256: str
    width: int
    height: int
    source: str
    age: float | None = None
    sex: str = ""
    localization: str = ""
    diagnosis_method: str = ""
    folds: tuple[str, ...] = ()
    augmented_from: str = ""


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset as read from its folder; `classes` are in the label set's order.

    Where it has folds, it is one of them (`summary["fold"]` says which), or, from `load_manifest`, all without a split.
    """

    folder: Path
    label_set: str
    classes: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    summary: dict[str, Any]
    decoded_in: Path | None = None
    """Where decoded pictures are kept; the folder's own `cache` where None."""

    @property
    def cache(self) -> Path:
        """The folder of decoded pictures and what else is computed of them."""
        return self.decoded_in or self.folder / "cache"

    def split(self, name: str) -> tuple[ImageRecord, ...]:
        """The records of one split, in manifest order. Raises DatasetError for a name that is not a split."""
        if name not in PARTS:
            raise DatasetError(f"There is no split '{name}'; the splits are {', '.join(PARTS)}.")
        return tuple(record for record in self.records if record.split == name)

    @property
    def folds(self) -> int:
        """How many folds the dataset has; 0 where it is split once."""
        return len(self.records[0].folds)

    def fold(self, number: int) -> "Dataset":
        """Fold `number`, counted from 1, as a dataset that is split once. Raises DatasetError where there is none."""
        if not 1 <= number <= self.folds:
            told = f"folds 1 to {self.folds}" if self.folds else "no folds; 'flask data prepare --folds 5' makes them"
            raise DatasetError(f"There is no fold {number}: {self.folder} has {told}.")
        records = tuple(replace(r, split=part) for r in self.records if (part := r.folds[number - 1]))
        tallies = self.summary.get("fold_splits", [])
        summary = {key: value for key, value in self.summary.items() if key != "fold_splits"}
        summary |= {"fold": number, "splits": tallies[number - 1] if len(tallies) == self.folds else {}}
        return replace(self, records=records, summary=summary)

    def fingerprint(self) -> dict[str, Any]:
        """What a model's card keeps of the data: the summary without its long list, and a digest of each split.

        Equal digests mean the same images; paths play no part. `promotion_digest` is there where the split is.
        """
        digests = {name: self.digest(name) for name in SPLITS}
        short = {key: value for key, value in self.summary.items() if key != "left_out"}
        promotion = {"promotion_digest": self.digest(PROMOTION)} if self.split(PROMOTION) else {}
        return {**short, "split_digests": digests, **promotion}

    def digest(self, name: str) -> str:
        """SHA-256 that stands for the images of a split, in hexadecimal."""
        return hashlib.sha256("".join(sorted(record.sha256 for record in self.split(name))).encode()).hexdigest()


def load_dataset(folder: Path, fold: int | None = None) -> Dataset:
    """Read a folder written by `write_dataset`: its one split, or the split of one of its folds.

    The images themselves are not opened. Raises DatasetError, in one sentence, where the folder is not a prepared
    dataset, its files contradict each other, or the fold is missing from the question or from the dataset.
    """
    dataset = load_manifest(folder)
    if fold is not None:
        return dataset.fold(fold)
    if dataset.folds:
        raise DatasetError(
            f"{folder} has {dataset.folds} folds; say which one with --fold 1 to --fold {dataset.folds}."
        )
    return dataset


def load_manifest(folder: Path) -> Dataset:
    """Every record of a prepared dataset; where it has folds, none of them has a split. Raises as `load_dataset`."""
    folder = Path(folder)
    summary = _read_summary(folder)
    classes = tuple(summary["classes"])
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise DatasetError(f"Cannot read {folder / MANIFEST}; run 'flask data prepare' first.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = reader.fieldnames or ()
    required = (*_REQUIRED, "folds" if "folds" in columns else "split")
    missing = [column for column in required if column not in columns]
    if missing:
        raise DatasetError(f"{folder / MANIFEST} has no column {', '.join(missing)}; prepare the data again.")
    try:
        records = tuple(
            _parse_row(folder, number, row, classes, required) for number, row in enumerate(reader, start=2)
        )
    except csv.Error:
        raise DatasetError(f"{folder / MANIFEST} is not a readable CSV file; prepare the data again.") from None
    if not records:
        raise DatasetError(f"{folder / MANIFEST} lists no images; prepare the data again.")
    _check_folds(folder / MANIFEST, records)
    return Dataset(folder, str(summary["label_set"]), classes, records, summary)


def read_image(record: ImageRecord, max_side: int) -> NDArray[np.uint8]:
    """The picture of a record, RGB [H, W, 3]. Raises DatasetError, naming it, where it cannot be read."""
    try:
        return decode(record.path.read_bytes(), max_side=max_side)
    except (OSError, InvalidImage) as error:
        raise DatasetError(f"The image {record.path.name} cannot be read; prepare the data again.") from error


def write_dataset(folder: Path, records: list[ImageRecord], summary: dict[str, Any]) -> None:
    """Write `manifest.csv` and `summary.json`, each atomically; the summary last, so that it vouches for the rest."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        has_folds = any(record.folds for record in records)
        writer.writerow((*COLUMNS, *FOLD_COLUMNS) if has_folds else COLUMNS)
        writer.writerows(_format_row(folder, record) for record in records)
        write_bytes(folder / MANIFEST, table.getvalue().encode())
        write_json(folder / SUMMARY, summary)
    except OSError as error:
        raise DatasetError(f"Cannot write to {folder}: {error.strerror or 'the folder is not writable'}.") from error


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{folder} is not a prepared dataset (no {SUMMARY}); run 'flask data prepare' first."
        ) from None
    except (OSError, ValueError):
        raise DatasetError(f"{path} cannot be read; prepare the data again.") from None
    classes = summary.get("classes") if isinstance(summary, dict) else None
    if not isinstance(classes, list) or not classes or not isinstance(summary.get("label_set"), str):
        raise DatasetError(f"{path} names no label set and classes; prepare the data again.")
    return dict(summary)


def _check_folds(path: Path, records: Sequence[ImageRecord]) -> None:
    """Whatever was done to the table, no fold trains on what it tests or validates on."""
    parts: dict[tuple[int, str], set[str]] = defaultdict(set)
    for record in records:
        if len(record.folds) != len(records[0].folds):
            raise DatasetError(f"{path} has rows with different numbers of folds; prepare the data again.")
        for number, part in enumerate(record.folds, start=1):
            parts[number, record.group].add(part)
        if record.augmented_from and set(record.folds) - {"train", ""}:
            raise DatasetError(f"{path} tests on the augmented image {record.path.name}; prepare the data again.")
    for (number, group), found in parts.items():
        if len(found - {""}) > 1:
            raise DatasetError(f"{path} has group '{group}' on both sides of fold {number}; prepare the data again.")


def _parse_row(
    folder: Path, number: int, row: dict[str, str | None], classes: tuple[str, ...], required: tuple[str, ...]
) -> ImageRecord:
    where = f"{folder / MANIFEST}, line {number}"
    text = {column: (row.get(column) or "").strip() for column in (*COLUMNS, *FOLD_COLUMNS)}
    empty = [column for column in required if not text[column]]
    if empty:
        raise DatasetError(f"{where}: {', '.join(empty)} is empty.")
    if text["label"] not in classes:
        raise DatasetError(f"{where}: '{text['label']}' is not one of the classes {', '.join(classes)}.")
    parts = tuple("" if part == _NO_PART else part for part in text["folds"].split())
    known = (*SPLITS, "") if parts else PARTS
    wrong = [part for part in (parts or (text["split"],)) if part not in known]
    if wrong:
        raise DatasetError(f"{where}: '{wrong[0]}' is not a split; expected {', '.join(known).rstrip(', ')}.")
    try:
        width, height = int(text["width"] or 0), int(text["height"] or 0)
        age = float(text["age"]) if text["age"] else None
    except ValueError:
        raise DatasetError(f"{where}: width, height and age must be numbers.") from None
    return ImageRecord(
        path=folder / text["image"],
        label=text["label"],
        lesion_id=text["lesion_id"],
        group=text["group"],
        split="" if parts else text["split"],
        sha256=text["sha256"],
        width=width,
        height=height,
        source=text["source"],
        age=age,
        sex=text["sex"],
        localization=text["localization"],
        diagnosis_method=text["diagnosis_method"],
        folds=parts,
        augmented_from=text["augmented_from"],
    )


def _format_row(folder: Path, record: ImageRecord) -> list[str]:
    path = record.path.absolute()
    home = folder.absolute()
    return [
        path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path),
        record.label,
        record.lesion_id,
        record.group,
        record.split,
        record.sha256,
        str(record.width),
        str(record.height),
        record.source,
        "" if record.age is None else f"{record.age:g}",
        record.sex,
        record.localization,
        record.diagnosis_method,
        *((" ".join(part or _NO_PART for part in record.folds), record.augmented_from) if record.folds else ()),
    ]
