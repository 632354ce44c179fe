"""What a source of labelled pictures lists, and what the readers of all sources share. Nothing is decoded here."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ml.errors import DatasetError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".webp", ".heic", ".heif", ".avif"})

REVIEWED = "reviewed"
"""The source of photos of the application's users. A model may learn from them, and keeps no features of any."""
REVIEWED_CARD = "reviewed.json"
"""Lies above the folders of an export of reviewed cases (`webapp.reviews.training_set`)."""
_EXPORTED = re.compile(r"screening-\d+-\d+")

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


@dataclass(frozen=True)
class LeftOut:
    """Something that did not make it into the dataset, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class SourceImage:
    """One picture with its label.

    `split` is the split that the source itself gives, empty where it gives none; `folds`, where it gives several, has
    one for each fold, "" where the picture has no part in a fold. `patient_id` joins pictures beyond their lesions.
    `container` is the name of the picture inside the HDF5 file `path`, empty for a picture file. `augmented_from` is
    the name of the listed picture that this one is an altered copy of.
    """

    path: Path
    name: str
    label: str
    lesion_id: str
    source: str
    split: str = ""
    age: float | None = None
    sex: str = ""
    localization: str = ""
    diagnosis_method: str = ""
    patient_id: str = ""
    container: str = ""
    folds: tuple[str, ...] = ()
    augmented_from: str = ""


@dataclass(frozen=True)
class Source:
    """What a source lists: images sorted by name, what was set aside, and the digests of its tables by file name."""

    images: tuple[SourceImage, ...]
    left_out: tuple[LeftOut, ...]
    tables: dict[str, str] = field(default_factory=dict)


def sorted_source(images: Iterable[SourceImage], left_out: Iterable[LeftOut], tables: dict[str, str]) -> Source:
    """A source in an order that does not depend on that of its files and rows."""
    return Source(
        tuple(sorted(images, key=lambda image: image.name)),
        tuple(sorted(left_out, key=lambda entry: (entry.reason, entry.item))),
        tables,
    )


def is_exported(path: Path) -> bool:
    """Whether a file is called as the export of reviewed cases calls users' photos."""
    return _EXPORTED.fullmatch(path.stem) is not None


def walk_images(folder: Path) -> Iterator[Path]:
    """Image files below a folder in sorted order, hidden ones and macOS archive leftovers skipped."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if (
            path.suffix.lower() in IMAGE_SUFFIXES
            and path.is_file()
            and not any(part.startswith((".", "__MACOSX")) for part in parts)
        ):
            yield path


def index_images(folder: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """Image files by lower-case stem, in the folder and everything below it; a second file of one name is left out."""
    files: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for path in walk_images(folder):
        if files.setdefault(path.stem.lower(), path) != path:
            left_out.append(LeftOut(path.relative_to(folder).as_posix(), "second file of the same name"))
    return files, left_out


def find_table(folder: Path, names: tuple[str, ...]) -> Path:
    """The first of these files (their names in any case) that is in the folder or one level below.

    Raises DatasetError, naming what was looked for.
    """
    files = [*sorted(folder.glob("*/*")), *sorted(folder.iterdir())]  # the folder's own come last, and so win
    present = {path.name.lower(): path for path in files if path.is_file()}
    found = next((present[name.lower()] for name in names if name.lower() in present), None)
    if found is None:
        raise DatasetError(f"{folder} has no {' or '.join(names)}.")
    return found


def read_table(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a table separated by commas, semicolons or tabs; column names in lower case, cells stripped.

    Raises DatasetError where it cannot be read or lacks a required column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        sample = text.partition("\n")[0]
        delimiter = max(",;\t", key=sample.count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = [
            {
                (key or "").strip().lower(): (value or "").strip()
                for key, value in row.items()
                if isinstance(value, str | None)
            }
            for row in reader
        ]
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
    except (UnicodeDecodeError, csv.Error):
        raise DatasetError(f"{path} is not a readable CSV table.") from None
    missing = [column for column in required if column not in columns]
    if missing:
        raise DatasetError(f"{path} has no column {', '.join(missing)}.")
    return rows


def parse_age(text: str) -> float | None:
    """Years, None where the text is no number from 0 to 130."""
    try:
        age = float(text)
    except ValueError:
        return None
    return age if 0 <= age <= 130 else None


def known(text: str) -> str:
    """The text, empty where it is a word for not knowing."""
    return "" if text.lower() in ("unknown", "nan", "na", "n/a", "none") else text
