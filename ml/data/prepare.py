"""From sources to a prepared dataset: check every picture, join near-duplicates, split by lesion, write it down."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ml.data.check import Checked, check_images, drop_conflicts, group_images
from ml.data.folds import Parts, admit_augmented, draw_folds, given_folds
from ml.data.layout import lay_out, place_of, unpack
from ml.data.listing import LeftOut
from ml.data.manifest import LAYOUTS, PROMOTION, SPLITS, Dataset, ImageRecord, load_manifest, write_dataset
from ml.data.sources import SourceFolder, read_sources
from ml.data.split import FRACTIONS, split_groups, take_groups
from ml.data.summary import divided, summarise
from ml.errors import DatasetError
from ml.labels import Taxonomy, load_taxonomy

VERSION = 1  # of this preparation: raised whenever the same source and seed would give another manifest


def prepare(
    source_folder: Path,
    source_format: str,
    out: Path,
    *,
    more_sources: Sequence[SourceFolder] = (),
    label_set: str = "ham10000",
    seed: int = 0,
    fractions: Mapping[str, float] = FRACTIONS,
    promotion: float = 0.0,
    folds: int | None = None,
    layout: str | None = None,
    group_column: str | None = None,
    progress: bool = False,
) -> Dataset:
    """Prepare `source_folder`, and `more_sources` with it, into `out`; return it as `load_manifest` reads it.

    Unusable rows and pictures are set aside and listed under `left_out` of the summary. A source that comes split keeps
    its split, except that pictures of a lesion which is also in test (or, after that, in val) are taken out of the
    others; a split that it lacks is taken from its training pictures. A source that comes in folds keeps those in the
    same way. `folds` makes that many instead of one split, whatever split the source has. `promotion` is the share of
    all pictures that go to the split of this name instead of train; the other splits are the same without it, and a
    dataset in folds has none. `layout="folders"` also lays the pictures out as `out/dataset/<split>/<class>/`, and the
    manifest then points there.

    Raises DatasetError where the source cannot be read, a class has no image, or a class cannot be split.
    """
    out = Path(out)
    if layout is not None and layout not in LAYOUTS:
        raise DatasetError(f"Unknown layout '{layout}'; known ones: {', '.join(LAYOUTS)}.")
    if layout is not None and (home := out / "dataset").exists():
        raise DatasetError(f"{home} exists already; remove it or choose another output folder.")
    taxonomy = load_taxonomy(label_set)
    sources = (SourceFolder(Path(source_folder), source_format), *more_sources)
    source = read_sources(sources, taxonomy, group_column=group_column)
    given = any(image.folds for image in source.images)
    if given and folds is not None:
        raise DatasetError("The source comes with folds of its own; leave out --folds.")
    if layout is not None and (given or folds is not None):
        raise DatasetError("Folders can be laid out for one split, not for folds; leave out one of the two.")
    checked, left_out = check_images(source, progress)
    checked, conflicting = drop_conflicts(checked)
    originals = [item for item in checked if not item.image.augmented_from]
    _require_classes(taxonomy, [item.image.label for item in originals])
    groups, pairs = group_images(originals, progress)
    if given or folds is not None:
        records, refused = _in_folds(checked, groups, seed, fractions, folds, progress)
    else:
        records, refused = _split_once(originals, groups, seed, fractions)
        records = _with_promotion(records, promotion, seed)
    _require_classes_everywhere(taxonomy, records)
    summary = summarise(taxonomy, source.tables, records, left_out + conflicting + refused)
    summary |= {
        "seed": seed,
        "fractions": dict(fractions),
        **({"promotion_share": promotion} if any(record.split == PROMOTION for record in records) else {}),
        "source_format": "+".join(entry.format for entry in sources),
        "split_from_source": given or (folds is None and any(item.image.split for item in originals)),
        "near_duplicate_pairs": pairs,
        "tool": {"name": "data prepare", "version": VERSION},
    }
    records = unpack(records, [item.image for item in checked if item.image.container], out)
    if layout == "folders":
        records = lay_out(records, out)
    write_dataset(out, records, summary)
    return load_manifest(out)


def _split_once(
    checked: Sequence[Checked], groups: Sequence[str], seed: int, fractions: Mapping[str, float]
) -> tuple[list[ImageRecord], list[LeftOut]]:
    splits, left_out = _assign(checked, groups, seed, fractions)
    rows = zip(checked, groups, splits, strict=True)
    return [record_of(item, group, split) for item, group, split in rows if split], left_out


def _with_promotion(records: Sequence[ImageRecord], share: float, seed: int) -> list[ImageRecord]:
    """The records with `share` of all of them, lesion by lesion and class by class, moved from train to promotion."""
    training = [position for position, record in enumerate(records) if record.split == "train"]
    if not 0 <= share * len(records) < len(training):
        raise DatasetError("The share for promotion must be smaller than the share of train, which it is taken from.")
    moved = list(records)
    if share:
        labels, groups = [records[i].label for i in training], [records[i].group for i in training]
        taken = take_groups(labels, groups, share * len(records) / len(training), seed)
        for position, out in zip(training, taken, strict=True):
            if out:
                moved[position] = replace(records[position], split=PROMOTION)
    return moved


def _in_folds(
    checked: Sequence[Checked],
    groups: Sequence[str],
    seed: int,
    fractions: Mapping[str, float],
    folds: int | None,
    progress: bool,
) -> tuple[list[ImageRecord], list[LeftOut]]:
    """Records of the originals, whose groups these are, and of the augmented pictures that may be trained on."""
    originals = [item for item in checked if not item.image.augmented_from]
    augmented = [item for item in checked if item.image.augmented_from]
    left_out: list[LeftOut] = []
    if folds is None:
        parts, left_out = given_folds(originals, groups)
    else:
        labels = [item.image.label for item in originals]
        parts = draw_folds(labels, groups, folds, seed=seed, fractions=fractions)
    admitted, refused = admit_augmented(originals, groups, parts, augmented, progress)
    rows: list[tuple[Checked, str, Parts]] = [
        *zip(originals, groups, parts, strict=True),
        *((item, group, item.image.folds) for item, group in admitted),
    ]
    return [record_of(item, group, "", row) for item, group, row in rows if any(row)], left_out + refused


def _assign(
    checked: Sequence[Checked], groups: Sequence[str], seed: int, fractions: Mapping[str, float]
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


def _require_classes_everywhere(taxonomy: Taxonomy, records: Sequence[ImageRecord]) -> None:
    views = divided(records)
    for number, parts in enumerate(views, start=1):
        where = f" of fold {number}" if len(views) > 1 else ""
        for split in [name for name in SPLITS if name in parts]:
            _require_classes(taxonomy, [record.label for record in parts[split]], f" in the {split} split{where}")


def record_of(item: Checked, group: str, split: str, folds: Parts = ()) -> ImageRecord:
    """The manifest's row of a checked picture."""
    image = item.image
    return ImageRecord(
        path=place_of(image),
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
        folds=folds,
        augmented_from=image.augmented_from,
    )
