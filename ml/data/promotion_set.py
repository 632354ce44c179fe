"""A promotion split for data that were prepared without one, from another source: nothing was learnt from those yet.

A lesion of train was learnt from, one of val was tuned on, and test is what is reported: none of them can decide later
whether a model may replace another. So pictures come from elsewhere, reviewed cases for instance, and every lesion that
has anything to do with a picture of the prepared data is left out.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ml.data.check import Checked, check_images, drop_conflicts, group_images
from ml.data.duplicates import Fingerprint, find_near_duplicates, fingerprint
from ml.data.layout import unpack
from ml.data.listing import LeftOut
from ml.data.manifest import (
    MANIFEST,
    PROMOTION,
    SPLITS,
    Dataset,
    ImageRecord,
    load_dataset,
    load_manifest,
    read_image,
    write_dataset,
)
from ml.data.prepare import record_of
from ml.data.sources import SourceFolder, read_sources
from ml.data.summary import summarise, tally
from ml.errors import DatasetError
from ml.labels import load_taxonomy

_SCAN_SIDE = 192  # pixels, as in preparation


def add_promotion_set(
    folder: Path,
    source: SourceFolder,
    *,
    label_set: str = "ham10000",
    group_column: str | None = None,
    progress: bool = False,
) -> Dataset:
    """Give the prepared dataset in `folder` the split `promotion`, of pictures from `source`; returns it as read again.

    Where there is no dataset in `folder`, one is written that has this split alone, for `label_set`. The rows of a
    dataset that is there stay as they are. Raises DatasetError where it has folds, has the split already (it is frozen:
    choosing again after a look at results would be tuning), or nothing usable is left.
    """
    folder = Path(folder)
    dataset = load_dataset(folder) if (folder / MANIFEST).exists() else None
    if dataset is not None and dataset.split(PROMOTION):
        raise DatasetError(f"{folder} has a promotion split already, and it stays: it must not be chosen twice.")
    taxonomy = load_taxonomy(dataset.label_set if dataset else label_set)
    checked, left_out = check_images(read_sources((source,), taxonomy, group_column=group_column), progress)
    checked, conflicting = drop_conflicts([item for item in checked if not item.image.augmented_from])
    groups, pairs = group_images(checked, progress)
    known = dataset.records if dataset else ()
    touched = _touched(checked, groups, known, progress)
    kept = [(item, group) for item, group in zip(checked, groups, strict=True) if group not in touched]
    left_out = left_out + conflicting + [
        LeftOut(item.image.name, f"its lesion or a near-duplicate is in {touched[group]}")
        for item, group in zip(checked, groups, strict=True)
        if group in touched
    ]  # fmt: skip
    if not kept:
        raise DatasetError("No picture is left: every one is unusable, or alike to one that was learnt from or tested.")
    records = [record_of(item, group, PROMOTION) for item, group in kept]
    own = summarise(taxonomy, {}, records, left_out)
    origin = {"source_format": source.format, "images": own["source_hashes"]["images"]}
    summary: dict[str, Any]
    if dataset is None:
        empty = {name: tally(taxonomy, []) for name in SPLITS}
        summary = own | {
            "splits": empty | {PROMOTION: tally(taxonomy, records)},
            "source_format": source.format,
            "near_duplicate_pairs": pairs,
        }
    else:
        summary = dict(dataset.summary)
        summary["splits"] = {**summary.get("splits", {}), PROMOTION: tally(taxonomy, records)}
    summary["promotion"] = origin | {"left_out_per_reason": dict(Counter(entry.reason for entry in left_out))}
    records = unpack(records, [item.image for item, _ in kept if item.image.container], folder)
    write_dataset(folder, [*known, *records], summary)
    return load_manifest(folder)


def _touched(
    checked: Sequence[Checked], groups: Sequence[str], known: Sequence[ImageRecord], progress: bool
) -> dict[str, str]:
    """The groups that share bytes, a lesion or a near-duplicate with a known picture, each with that one's split."""
    by_key = {key: record.split for record in known for key in (record.sha256, record.lesion_id, record.group)}
    touched = {
        group: by_key[key]
        for item, group in zip(checked, groups, strict=True)
        for key in (item.sha256, item.image.lesion_id)
        if key in by_key
    }
    prints: list[Fingerprint] = [
        fingerprint(read_image(record, _SCAN_SIDE)) for record in tqdm(known, unit="image", disable=not progress)
    ]
    for pair in find_near_duplicates([*prints, *(item.fingerprint for item in checked)], progress=progress):
        if pair.first < len(prints) <= pair.second:
            touched.setdefault(groups[pair.second - len(prints)], known[pair.first].split)
    return touched
