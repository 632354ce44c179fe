"""Look at a dataset with fresh eyes: does anything leak between its splits, is it balanced, do its files hold?"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from ml import decoding
from ml.data.duplicates import find_near_duplicates, fingerprint
from ml.data.listing import SPLIT_NAMES, walk_images
from ml.data.manifest import MANIFEST, PARTS, PROMOTION, SPLITS, load_manifest
from ml.data.sources_folders import read_groups
from ml.errors import DatasetError, InvalidImage

_SCAN_SIDE = 192  # pixels, as in preparation


@dataclass(frozen=True)
class Leak:
    """What ties pictures of different splits together.

    `kind` is "lesion" (one lesion_id), "group" (one leak group), "identical" (the same bytes) or "near_duplicate"
    (alike by their pixels); `name` is the lesion or group, empty for the others; `images` maps each picture
    to its split. `fold` is the fold in which that is so, None for a dataset that is split once.
    """

    kind: str
    name: str
    images: dict[str, str]
    fold: int | None = None


@dataclass(frozen=True)
class Audit:
    """Findings of one audit. `sizes` are upright pixels: smallest, median and largest width and height.

    The splits of `images_per_split` are called "fold 1 train" and so on where there are folds.
    """

    images: int
    lesions: int
    images_per_split: dict[str, dict[str, int]]
    sizes: dict[str, dict[str, float]]
    leaks: tuple[Leak, ...]
    near_duplicate_pairs: int
    problems: tuple[dict[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready values, plus `leaks_per_kind`."""
        return asdict(self) | {"leaks_per_kind": dict(Counter(leak.kind for leak in self.leaks))}


@dataclass(frozen=True)
class _Item:
    name: str
    path: Path
    label: str
    parts: tuple[str, ...]  # one split, or the part in each fold, "" for none
    lesion_id: str
    group: str
    sha256: str


def audit(folder: Path, *, progress: bool = False) -> Audit:
    """Audit a prepared dataset, or a plain folder `train|val|test/<class>/...` that never was prepared.

    Every picture is read again: near-duplicates are recomputed from the pixels, whatever the manifest says of groups.
    Raises DatasetError where the folder is neither, or none of its pictures can be read.
    """
    folder = Path(folder)
    items = _from_manifest(folder) if (folder / MANIFEST).is_file() else _from_folders(folder)
    leaks = _shared(items, "lesion", [item.lesion_id for item in items])
    known = {(leak.fold, frozenset(leak.images)) for leak in leaks}
    # A group that is one lesion would only repeat what is said already.
    by_group = _shared(items, "group", [item.group for item in items])
    leaks += [leak for leak in by_group if (leak.fold, frozenset(leak.images)) not in known]

    readable: list[_Item] = []
    hashes, fingerprints, sizes = [], [], []
    problems: list[dict[str, str]] = []
    for item in tqdm(items, desc="images", unit="image", disable=not progress):
        try:
            data = item.path.read_bytes()
            size = decoding.dimensions(data)
            pixels = decoding.decode(data, max_side=_SCAN_SIDE)
        except OSError:
            problems.append({"image": item.name, "reason": "no readable file"})
            continue
        except InvalidImage as error:
            problems.append({"image": item.name, "reason": f"unusable image: {error.reason.replace('_', ' ')}"})
            continue
        digest = hashlib.sha256(data).hexdigest()
        if item.sha256 and item.sha256 != digest:
            problems.append({"image": item.name, "reason": "changed since it was prepared"})
        readable.append(item)
        hashes.append(digest)
        fingerprints.append(fingerprint(pixels))
        sizes.append(size)
    if not readable:
        raise DatasetError(f"None of the {len(items)} images of {folder} can be read.")
    leaks += _shared(readable, "identical", hashes)
    pairs = find_near_duplicates(fingerprints, progress=progress)
    for pair in pairs:
        one, other = readable[pair.first], readable[pair.second]
        if hashes[pair.first] == hashes[pair.second]:
            continue
        for fold, first, second in zip(_folds(items), one.parts, other.parts, strict=True):
            if first and second and first != second:
                leaks.append(Leak("near_duplicate", "", {one.name: first, other.name: second}, fold))
    return Audit(
        images=len(items),
        lesions=len({item.lesion_id for item in items}),
        images_per_split=_balance(items),
        sizes={"width": _spread([width for width, _ in sizes]), "height": _spread([height for _, height in sizes])},
        leaks=tuple(leaks),
        near_duplicate_pairs=len(pairs),
        problems=tuple(problems),
    )


def _from_manifest(folder: Path) -> list[_Item]:
    home = folder.absolute()

    def name(path: Path) -> str:
        path = path.absolute()
        return path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)

    return [
        _Item(name(r.path), r.path, r.label, r.folds or (r.split,), r.lesion_id, r.group, r.sha256)
        for r in load_manifest(folder).records
    ]


def _from_folders(folder: Path) -> list[_Item]:
    if not folder.is_dir():
        raise DatasetError(f"The folder {folder} does not exist.")
    groups, _ = read_groups(folder, None)
    items: list[_Item] = []
    for path in walk_images(folder):
        name = path.relative_to(folder).as_posix()
        parts = name.split("/")
        split = SPLIT_NAMES.get(parts[0].lower())
        if split and len(parts) > 2:
            lesion = groups.get(name, name)
            items.append(_Item(name, path, parts[1], (split,), lesion, lesion, ""))
    if not items:
        raise DatasetError(f"{folder} holds neither a {MANIFEST} nor images under {', '.join(SPLITS)}/<class>/.")
    return items


def _folds(items: Sequence[_Item]) -> list[int | None]:
    count = len(items[0].parts)
    return [None] if count == 1 else list(range(1, count + 1))


def _shared(items: Sequence[_Item], kind: str, keys: Sequence[str]) -> list[Leak]:
    """A leak for every key whose items lie in more than one split, fold by fold."""
    holders: dict[str, list[_Item]] = defaultdict(list)
    for item, key in zip(items, keys, strict=True):
        holders[key].append(item)
    leaks = []
    for position, fold in enumerate(_folds(items)):
        for key, found in sorted(holders.items()):
            places = {item.name: item.parts[position] for item in found if item.parts[position]}
            if len(set(places.values())) > 1:
                leaks.append(Leak(kind, "" if kind == "identical" else key, places, fold))
    return leaks


def _balance(items: Sequence[_Item]) -> dict[str, dict[str, int]]:
    labels = sorted({item.label for item in items})
    balance = {}
    for position, fold in enumerate(_folds(items)):
        counts = Counter((item.parts[position], item.label) for item in items)
        present = {item.parts[position] for item in items}
        for split in [part for part in PARTS if part != PROMOTION or part in present]:
            name = split if fold is None else f"fold {fold} {split}"
            balance[name] = {label: counts[split, label] for label in labels}
    return balance


def _spread(values: Sequence[int]) -> dict[str, float]:
    return {"min": min(values), "median": median(values), "max": max(values)}
