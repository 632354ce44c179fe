"""Reviewed cases of the application, as `flask data export-reviewed` writes them, added to what is trained on.

They join the training split and nothing else. Whatever is frozen stays free of them: a lesion of which any photo is
also in a validation, test or promotion split, as the same file or as a near-duplicate (see ml.data.duplicates), is left
out as a whole.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ml.data.check import Checked, check_images, drop_conflicts
from ml.data.duplicates import find_near_duplicates, fingerprint
from ml.data.listing import REVIEWED, LeftOut, is_exported
from ml.data.manifest import Dataset, ImageRecord, read_image
from ml.data.sources_folders import read_folders
from ml.errors import DatasetError
from ml.labels import Taxonomy

SOURCE = REVIEWED
SCAN_SIDE = 192  # pixels, as in ml.data.check


def with_reviewed(
    dataset: Dataset,
    folder: Path,
    taxonomy: Taxonomy,
    *,
    held: Sequence[ImageRecord] = (),
    progress: bool = False,
) -> Dataset:
    """The dataset with the reviewed cases of `folder` in its training split, and told of in its summary.

    `held` are more pictures that stay free of them, a promotion set of its own for instance.
    `folder` has a folder for each label set, as exported, or is that of this label set. `summary["reviewed"]` has
    `images`, `lesions`, `images_per_class`, and `left_out`, which says how many were not added, for each reason. Raises
    DatasetError where the folder cannot be read, the export is of another label set, or a frozen picture cannot be
    read.
    """
    home = folder / taxonomy.name if (folder / taxonomy.name).is_dir() else folder
    if not (home / "manifest.csv").is_file():
        raise DatasetError(
            f"{folder} has no reviewed cases of the label set '{taxonomy.name}'. Review some, with consent to training."
        )
    source = read_folders(home, taxonomy, "lesion_id", source=SOURCE)
    checked, left_out = check_images(source, progress)
    checked, conflicting = drop_conflicts(checked)
    left_out += conflicting
    fixed = [*(record for record in dataset.records if record.split != "train"), *held]
    known = {record.sha256 for record in dataset.records if record.split == "train"}
    shared = _shared_lesions(checked, fixed, _uploaded(home), progress)
    kept: list[Checked] = []
    for item in checked:
        if item.image.lesion_id in shared:
            left_out.append(LeftOut(item.image.name, shared[item.image.lesion_id]))
        elif item.sha256 in known:
            left_out.append(LeftOut(item.image.name, "in the training split already"))
        else:
            kept.append(item)
            known.add(item.sha256)
    records = tuple(_record(item) for item in kept)
    told = {
        "images": len(records),
        "lesions": len({record.lesion_id for record in records}),
        "images_per_class": {code: sum(record.label == code for record in records) for code in taxonomy.codes},
        "left_out": dict(Counter(entry.reason for entry in left_out)),
    }
    # Not a public collection any more, so that the names of its cases are not shown as if they were.
    formats = "+".join(name for name in (dataset.summary.get("source_format"), SOURCE) if name)
    summary = {**dataset.summary, "source_format": formats, "reviewed": told}
    # What is decoded of them lies with them, and goes with them (webapp.reviews.copies).
    return replace(dataset, records=(*dataset.records, *records), summary=summary, decoded_in=folder / "cache")


def of_users(record: ImageRecord) -> bool:
    """Whether a picture is a photo of the application's users, also where data with an export were prepared before
    such were marked."""
    return record.source == SOURCE or is_exported(record.path)


def _shared_lesions(
    checked: Sequence[Checked], fixed: Sequence[ImageRecord], uploaded: dict[str, str], progress: bool
) -> dict[str, str]:
    """Lesions with a photo that is in a frozen split too, and why they are left out."""
    digests = {record.sha256: record.split for record in fixed}
    found: dict[str, str] = {}
    for item in checked:
        for digest in (item.sha256, uploaded.get(item.image.name, "")):
            if digest in digests:
                found[item.image.lesion_id] = f"the same file is in the {digests[digest]} split"
    prints = [item.fingerprint for item in checked]
    bar: Iterable[ImageRecord] = tqdm(fixed, desc="frozen splits", unit="image", disable=not progress)
    prints += [fingerprint(read_image(record, SCAN_SIDE)) for record in bar]
    for pair in find_near_duplicates(prints, progress=progress):
        if pair.first < len(checked) <= pair.second:
            split = fixed[pair.second - len(checked)].split
            found.setdefault(checked[pair.first].image.lesion_id, f"a near-duplicate is in the {split} split")
    return found


def _uploaded(home: Path) -> dict[str, str]:
    """The SHA-256 of the file that each photo was uploaded as, by the photo's name: what is kept is encoded anew."""
    with (home / "manifest.csv").open(encoding="utf-8", newline="") as table:
        return {row["file"]: row.get("uploaded_sha256") or "" for row in csv.DictReader(table) if row.get("file")}


def _record(item: Checked) -> ImageRecord:
    image = item.image
    return ImageRecord(
        path=image.path,
        label=image.label,
        lesion_id=f"{SOURCE}/{image.lesion_id}",
        group=f"{SOURCE}/{image.lesion_id}",
        split="train",
        sha256=item.sha256,
        width=item.width,
        height=item.height,
        source=SOURCE,
    )
