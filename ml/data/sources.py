"""Collections of labelled pictures as people download them: the HAM10000 layout and folders named after classes.

A source only lists files and what is said about them; nothing is decoded here.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ml.data.manifest import SPLITS
from ml.errors import DatasetError
from ml.files import sha256_file
from ml.labels import Taxonomy

FORMATS = ("ham10000", "folders")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".webp", ".heic", ".heif", ".avif"})

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_GROUP_FILES = ("manifest.csv", "groups.csv")
_GROUP_COLUMNS = ("lesion_id", "group", "group_id", "patient_id", "patient")
_FILE_COLUMNS = ("file", "image", "image_id", "path", "filename")


@dataclass(frozen=True)
class LeftOut:
    """Something that did not make it into the dataset, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class SourceImage:
    """One picture file with its label. `split` is the split that the source itself gives, empty where it gives none."""

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


@dataclass(frozen=True)
class Source:
    """What a source lists: images sorted by name, what was set aside, and the digests of its tables by file name."""

    images: tuple[SourceImage, ...]
    left_out: tuple[LeftOut, ...]
    tables: dict[str, str] = field(default_factory=dict)


def read_source(folder: Path, source_format: str, taxonomy: Taxonomy, *, group_column: str | None = None) -> Source:
    """List a source's images. `group_column` names the column of a groups table for `folders`.

    Raises DatasetError where the folder cannot be read as that format or holds no usable image.
    """
    if source_format not in FORMATS:
        raise DatasetError(f"Unknown source format '{source_format}'; known ones: {', '.join(FORMATS)}.")
    if not folder.is_dir():
        raise DatasetError(f"The source folder {folder} does not exist.")
    try:
        source = (
            _read_ham10000(folder, taxonomy)
            if source_format == "ham10000"
            else _read_folders(folder, taxonomy, group_column)
        )
    except OSError as error:
        raise DatasetError(f"Cannot read the source {folder}: {error.strerror or 'reading failed'}.") from error
    if not source.images:
        raise DatasetError(f"{folder} holds no labelled image that can be used as '{source_format}'.")
    return source


def _read_ham10000(folder: Path, taxonomy: Taxonomy) -> Source:
    """`HAM10000_metadata[.csv]` with image folders beside it (part 1 and 2, or any one folder), or images beside it.

    Columns as published: lesion_id, image_id, dx, dx_type, age, sex, localization (Tschandl, Rosendahl, Kittler 2018).
    """
    table = _find_metadata(folder)
    rows = _read_table(table, required=("lesion_id", "image_id", "dx"))
    files, left_out = _index_images(folder)
    images: dict[str, SourceImage] = {}
    for number, row in enumerate(rows, start=2):
        name, label = row["image_id"], row["dx"].lower()
        path = files.get(name.lower()) or files.get(Path(name).stem.lower())
        if not name or not row["lesion_id"]:
            left_out.append(LeftOut(f"{table.name}, line {number}", "no image_id or lesion_id"))
        elif name in images:
            left_out.append(LeftOut(f"{name} (line {number})", "listed twice in the metadata"))
        elif label not in taxonomy.codes:
            left_out.append(LeftOut(name, f"unknown label '{label}'"))
        elif path is None:
            left_out.append(LeftOut(name, "no image file"))
        else:
            images[name] = SourceImage(
                path=path,
                name=name,
                label=label,
                lesion_id=row["lesion_id"],
                source=row.get("dataset") or "ham10000",
                age=_parse_age(row.get("age", "")),
                sex=_known(row.get("sex", "")),
                localization=_known(row.get("localization", "")),
                diagnosis_method=_known(row.get("dx_type", "")),
            )
    listed = {Path(row["image_id"]).stem.lower() for row in rows}
    left_out.extend(LeftOut(path.name, "not in the metadata") for stem, path in files.items() if stem not in listed)
    return Source(_by_name(images.values()), _by_item(left_out), {table.name: sha256_file(table)})


def _find_metadata(folder: Path) -> Path:
    candidates = sorted(
        path for path in folder.iterdir()
        if path.is_file() and path.name.lower() in ("ham10000_metadata.csv", "ham10000_metadata", "metadata.csv")
    )  # fmt: skip
    if not candidates:
        raise DatasetError(f"{folder} has no HAM10000_metadata.csv.")
    # The published name first: a stray metadata.csv beside it must not win.
    return min(candidates, key=lambda path: (not path.name.lower().startswith("ham10000"), path.name))


def _index_images(folder: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """Image files by lower-case stem, in the folder and everything below it; a second file of one name is left out."""
    files: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for path in walk_images(folder):
        if files.setdefault(path.stem.lower(), path) != path:
            left_out.append(LeftOut(path.relative_to(folder).as_posix(), "second file of the same name"))
    return files, left_out


def _read_folders(folder: Path, taxonomy: Taxonomy, group_column: str | None) -> Source:
    """`train|val|test/<class>/...` or `<class>/...`; a folder's name is a class code or full name, in any case.

    A table manifest.csv or groups.csv with a file column and a group column says which pictures belong together;
    without one every picture is its own lesion.
    """
    codes = {label.code.lower(): label.code for label in taxonomy.labels}
    codes |= {label.name.lower(): label.code for label in taxonomy.labels}
    groups, tables = read_groups(folder, group_column)
    images: list[SourceImage] = []
    left_out: list[LeftOut] = []
    for path in walk_images(folder):
        name = path.relative_to(folder).as_posix()
        parts = name.split("/")[:-1]
        split = SPLIT_NAMES.get(parts[0].lower(), "") if parts and parts[0].lower() not in codes else ""
        place = parts[1:] if split else parts
        if not place:
            left_out.append(LeftOut(name, "not in a class folder"))
        elif place[0].lower() not in codes:
            left_out.append(LeftOut(name, f"unknown label '{place[0]}'"))
        else:
            images.append(SourceImage(path, name, codes[place[0].lower()], groups.get(name, name), "folders", split))
    given = {image.split for image in images}
    if "" in given and len(given) > 1:
        raise DatasetError(f"{folder} mixes split folders ({', '.join(SPLITS)}) with class folders; keep one layout.")
    return Source(_by_name(images), _by_item(left_out), tables)


def read_groups(folder: Path, group_column: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Group by file name relative to the folder, and the digest of the table it came from."""
    for name in _GROUP_FILES:
        table = folder / name
        if not table.is_file():
            continue
        rows = _read_table(table, required=())
        columns = rows[0].keys() if rows else ()
        file_column = next((column for column in _FILE_COLUMNS if column in columns), None)
        wanted = (group_column,) if group_column else _GROUP_COLUMNS
        column = next((column for column in wanted if column in columns), None)
        if file_column and column:
            groups = {row[file_column].replace("\\", "/"): row[column] for row in rows if row[column]}
            return groups, {name: sha256_file(table)}
    if group_column:
        raise DatasetError(
            f"{folder} has no {' or '.join(_GROUP_FILES)} with a file column and a column '{group_column}'."
        )
    return {}, {}


def _read_table(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
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


def _parse_age(text: str) -> float | None:
    try:
        age = float(text)
    except ValueError:
        return None
    return age if 0 <= age <= 130 else None


def _known(text: str) -> str:
    return "" if text.lower() in ("unknown", "nan", "na", "none") else text


def _by_name(images: Iterable[SourceImage]) -> tuple[SourceImage, ...]:
    return tuple(sorted(images, key=lambda image: image.name))


def _by_item(left_out: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple(sorted(left_out, key=lambda entry: (entry.reason, entry.item)))
