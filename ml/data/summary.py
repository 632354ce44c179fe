"""`summary.json`: counts for each split and class, and everything that was left out with the reason."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ml.data.listing import LeftOut
from ml.data.manifest import PROMOTION, SPLITS, ImageRecord
from ml.labels import Taxonomy

LISTED = 1000
"""Items that are named for one reason; of a challenge's 400,000 pictures without a diagnosis the count is enough."""


def summarise(
    taxonomy: Taxonomy, tables: Mapping[str, str], records: Sequence[ImageRecord], left_out: Sequence[LeftOut]
) -> dict[str, Any]:
    """Counts of the records and what was left out, as plain JSON types. `tables` are digests by file name."""
    digest = hashlib.sha256("\n".join(sorted(record.sha256 for record in records)).encode()).hexdigest()
    counted: Counter[str] = Counter()
    named = []
    for entry in left_out:
        counted[entry.reason] += 1
        if counted[entry.reason] <= LISTED:
            named.append(asdict(entry))
    return {
        "label_set": taxonomy.name,
        "classes": list(taxonomy.codes),
        "total": tally(taxonomy, records),
        **_splits(taxonomy, records),
        "source_hashes": {"tables": dict(tables), "images": digest},
        "left_out_per_reason": dict(counted.most_common()),
        "left_out": named,
    }


def divided(records: Sequence[ImageRecord]) -> list[dict[str, list[ImageRecord]]]:
    """The records by split, for the one split of a dataset or for each of its folds; an empty split is not there."""
    views: list[list[str]]
    if records and records[0].folds:
        views = [[record.folds[number] for record in records] for number in range(len(records[0].folds))]
    else:
        views = [[record.split for record in records]]
    parts = []
    for view in views:
        found: dict[str, list[ImageRecord]] = {}
        for record, part in zip(records, view, strict=True):
            if part:
                found.setdefault(part, []).append(record)
        parts.append(found)
    return parts


def _splits(taxonomy: Taxonomy, records: Sequence[ImageRecord]) -> dict[str, Any]:
    tallies = [
        {name: tally(taxonomy, found.get(name, [])) for name in (*SPLITS, *([PROMOTION] if PROMOTION in found else []))}
        for found in divided(records)
    ]
    if not records or not records[0].folds:
        return {"splits": tallies[0]}
    tested = Counter(record.folds.count("test") for record in records if not record.augmented_from)
    return {
        "fold_splits": tallies,
        "folds": len(tallies),
        "times_tested": {str(times): count for times, count in sorted(tested.items())},
    }


def tally(taxonomy: Taxonomy, rows: Sequence[ImageRecord]) -> dict[str, Any]:
    """Images, lesions and groups of some records, and how many of each class."""
    per_class = Counter(record.label for record in rows)
    lesions = {code: len({row.lesion_id for row in rows if row.label == code}) for code in taxonomy.codes}
    augmented = sum(bool(record.augmented_from) for record in rows)
    return {
        "images": len(rows),
        "lesions": len({record.lesion_id for record in rows}),
        "groups": len({record.group for record in rows}),
        "images_per_class": {code: per_class[code] for code in taxonomy.codes},
        "lesions_per_class": lesions,
        **({"augmented": augmented} if augmented else {}),
    }
