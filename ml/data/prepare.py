"""From a source to a prepared dataset: check every picture, join near-duplicates, split by lesion, write it down."""

import hashlib
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ml import images
from ml.data.duplicates import Fingerprint, connected, find_near_duplicates, fingerprint
from ml.data.manifest import LAYOUTS, SPLITS, Dataset, ImageRecord, load_dataset, write_dataset
from ml.data.sources import LeftOut, Source, SourceImage, read_source
from ml.data.split import FRACTIONS, split_groups
from ml.errors import DatasetError, InvalidImage
from ml.labels import Taxonomy, load_taxonomy

VERSION = 1  # of this preparation: raised whenever the same source and seed would give another manifest
_SCAN_SIDE = 192  # pixels: enough for a fingerprint, a quarter of the work of full size


@dataclass(frozen=True)
class _Checked:
    """A picture that decodes, with what was measured on the way."""

    image: SourceImage
    sha256: str
    width: int
    height: int
    fingerprint: Fingerprint


def prepare(
    source_folder: Path,
    source_format: str,
    out: Path,
    *,
    label_set: str = "ham10000",
    seed: int = 0,
    fractions: Mapping[str, float] = FRACTIONS,
    layout: str | None = None,
    group_column: str | None = None,
    progress: bool = False,
) -> Dataset:
    """Prepare `source_folder` into `out` and return the dataset as `load_dataset` reads it.

    Unusable rows and pictures are set aside and listed under `left_out` of the summary. A source that comes split keeps
    its split, except that pictures of a lesion which is also in test (or, after that, in val) are taken out of the
    others; a split that it lacks is taken from its training pictures. `layout="folders"` also lays the pictures out as
    `out/dataset/<split>/<class>/`, and the manifest then points there.

    Raises DatasetError where the source cannot be read, a class has no image, or a class cannot be split.
    """
    if layout is not None and layout not in LAYOUTS:
        raise DatasetError(f"Unknown layout '{layout}'; known ones: {', '.join(LAYOUTS)}.")
    if layout is not None and (home := Path(out) / "dataset").exists():
        raise DatasetError(f"{home} exists already; remove it or choose another output folder.")
    taxonomy = load_taxonomy(label_set)
    source = read_source(Path(source_folder), source_format, taxonomy, group_column=group_column)
    checked, left_out = _check_images(source, progress)
    checked, conflicting = _drop_conflicts(checked)
    left_out += conflicting
    _require_classes(taxonomy, [item.image.label for item in checked])
    groups, pairs = _group(checked, progress)
    splits, leaking = _assign(checked, groups, seed, fractions)
    left_out += leaking
    records = [
        _record(item, group, split)
        for item, group, split in zip(checked, groups, splits, strict=True)
        if split is not None
    ]
    for split in sorted({record.split for record in records}, key=SPLITS.index):
        _require_classes(
            taxonomy, [record.label for record in records if record.split == split], f" in the {split} split"
        )
    summary = _summarise(taxonomy, source, records, left_out)
    summary |= {
        "seed": seed,
        "fractions": dict(fractions),
        "source_format": source_format,
        "split_from_source": any(item.image.split for item in checked),
        "near_duplicate_pairs": pairs,
        "tool": {"name": "data prepare", "version": VERSION},
    }
    if layout == "folders":
        records = _lay_out(records, Path(out))
    write_dataset(Path(out), records, summary)
    return load_dataset(Path(out))


def _check_images(source: Source, progress: bool) -> tuple[list[_Checked], list[LeftOut]]:
    checked: list[_Checked] = []
    left_out = list(source.left_out)
    for image in tqdm(source.images, desc="images", unit="image", disable=not progress):
        try:
            data = image.path.read_bytes()
            width, height = images.dimensions(data)
            pixels = images.decode(data, max_side=_SCAN_SIDE)
        except OSError:
            left_out.append(LeftOut(image.name, "unreadable file"))
        except InvalidImage as error:
            left_out.append(LeftOut(image.name, f"unusable image: {error.reason.replace('_', ' ')}"))
        else:
            checked.append(_Checked(image, hashlib.sha256(data).hexdigest(), width, height, fingerprint(pixels)))
    return checked, left_out


def _drop_conflicts(checked: list[_Checked]) -> tuple[list[_Checked], list[LeftOut]]:
    """Byte-identical pictures that carry different labels: nobody can say which is right, so none is kept."""
    labels: dict[str, set[str]] = defaultdict(set)
    for item in checked:
        labels[item.sha256].add(item.image.label)
    kept = [item for item in checked if len(labels[item.sha256]) == 1]
    dropped = [
        LeftOut(item.image.name, f"identical images labelled {' and '.join(sorted(labels[item.sha256]))}")
        for item in checked
        if len(labels[item.sha256]) > 1
    ]
    return kept, dropped


def _group(checked: list[_Checked], progress: bool) -> tuple[list[str], dict[str, int]]:
    """Leak group of each picture, named after its first lesion, and how many near-duplicate pairs there are."""
    links: list[tuple[int, int]] = []
    for names_of in ([item.image.lesion_id for item in checked], [item.sha256 for item in checked]):
        first: dict[str, int] = {}
        links += [(first.setdefault(name, position), position) for position, name in enumerate(names_of)]
    pairs = find_near_duplicates([item.fingerprint for item in checked], progress=progress)
    links += [(pair.first, pair.second) for pair in pairs]
    numbers = connected(len(checked), links)
    names: dict[int, str] = {}
    for number, item in zip(numbers.tolist(), checked, strict=True):
        names[number] = min(names.get(number, item.image.lesion_id), item.image.lesion_id)
    across = sum(checked[pair.first].image.lesion_id != checked[pair.second].image.lesion_id for pair in pairs)
    return [names[number] for number in numbers.tolist()], {"all": len(pairs), "across_lesions": across}


def _assign(
    checked: Sequence[_Checked], groups: Sequence[str], seed: int, fractions: Mapping[str, float]
) -> tuple[list[str | None], list[LeftOut]]:
    """Split of each picture, None for one taken out because its group is on the other side of a given split."""
    labels = [item.image.label for item in checked]
    given = [item.image.split for item in checked]
    if not any(given):
        return list(split_groups(labels, groups, seed=seed, fractions=fractions)), []
    homes: dict[str, str] = {}
    for group, split in zip(groups, given, strict=True):
        # test before val before train: what measures is kept, what is learnt from gives way.
        homes[group] = max(homes.get(group, split), split, key=SPLITS.index)
    splits: list[str | None] = [
        split if homes[group] == split else None for group, split in zip(groups, given, strict=True)
    ]
    left_out = [
        LeftOut(item.image.name, f"in {split}, but its lesion or a near-duplicate is in {homes[group]}")
        for item, group, split in zip(checked, groups, given, strict=True)
        if homes[group] != split
    ]
    lacking = {name: share for name, share in fractions.items() if name == "train" or name not in given}
    if len(lacking) > 1 and "train" in given:
        inside = [position for position, split in enumerate(splits) if split == "train"]
        shares = {name: share / sum(lacking.values()) for name, share in lacking.items()}
        parts = split_groups([labels[i] for i in inside], [groups[i] for i in inside], seed=seed, fractions=shares)
        for position, part in zip(inside, parts, strict=True):
            splits[position] = part
    return splits, left_out


def _require_classes(taxonomy: Taxonomy, labels: Sequence[str], where: str = "") -> None:
    empty = [code for code in taxonomy.codes if code not in set(labels)]
    if empty:
        raise DatasetError(
            f"No usable image of {', '.join(empty)}{where}; label set '{taxonomy.name}' needs every class."
        )


def _record(item: _Checked, group: str, split: str) -> ImageRecord:
    image = item.image
    return ImageRecord(
        path=image.path.absolute(),
        label=image.label,
        lesion_id=image.lesion_id,
        group=group,
        split=split,
        sha256=item.sha256,
        width=item.width,
        height=item.height,
        source=image.source,
        age=image.age,
        sex=image.sex,
        localization=image.localization,
        diagnosis_method=image.diagnosis_method,
    )


def _summarise(
    taxonomy: Taxonomy, source: Source, records: Sequence[ImageRecord], left_out: Sequence[LeftOut]
) -> dict[str, Any]:
    def tally(rows: Sequence[ImageRecord]) -> dict[str, Any]:
        per_class = Counter(record.label for record in rows)
        lesions = {code: len({row.lesion_id for row in rows if row.label == code}) for code in taxonomy.codes}
        return {
            "images": len(rows),
            "lesions": len({record.lesion_id for record in rows}),
            "groups": len({record.group for record in rows}),
            "images_per_class": {code: per_class[code] for code in taxonomy.codes},
            "lesions_per_class": lesions,
        }

    digest = hashlib.sha256("\n".join(sorted(record.sha256 for record in records)).encode()).hexdigest()
    return {
        "label_set": taxonomy.name,
        "classes": list(taxonomy.codes),
        "total": tally(records),
        "splits": {name: tally([record for record in records if record.split == name]) for name in SPLITS},
        "source_hashes": {"tables": source.tables, "images": digest},
        "left_out_per_reason": dict(Counter(entry.reason for entry in left_out).most_common()),
        "left_out": [asdict(entry) for entry in left_out],
    }


def _lay_out(records: Sequence[ImageRecord], out: Path) -> list[ImageRecord]:
    """Link (or, across file systems, copy) every picture to `out/dataset/<split>/<class>/`, under a name of its own."""
    home, partial = out / "dataset", out / ".dataset.partial"
    placed: list[ImageRecord] = []
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for record in records:
            # The hash keeps files of one name in different folders of the source apart.
            name = f"{record.path.stem}-{record.sha256[:8]}{record.path.suffix.lower()}"
            place = Path(record.split) / record.label / name
            (partial / place).parent.mkdir(parents=True, exist_ok=True)
            if not (partial / place).exists():
                _link_or_copy(record.path, partial / place)
            placed.append(replace(record, path=home / place))
        partial.rename(home)
    except OSError as error:
        raise DatasetError(f"Cannot lay out pictures in {home}: {error.strerror or 'writing failed'}.") from error
    return placed


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
