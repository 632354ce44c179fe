"""Folders named after classes, with or without a split of their own; MSID is one of them."""

from collections.abc import Collection, Mapping
from pathlib import Path

from ml.data.listing import (
    REVIEWED,
    REVIEWED_CARD,
    SPLIT_NAMES,
    LeftOut,
    Source,
    SourceImage,
    is_exported,
    read_table,
    sorted_source,
    walk_images,
)
from ml.data.manifest import SPLITS
from ml.errors import DatasetError
from ml.files import sha256_file
from ml.labels import Taxonomy

_GROUP_FILES = ("manifest.csv", "groups.csv")
_GROUP_COLUMNS = ("lesion_id", "group", "group_id", "patient_id", "patient")
_FILE_COLUMNS = ("file", "image", "image_id", "path", "filename")


def read_folders(folder: Path, taxonomy: Taxonomy, group_column: str | None, source: str = "folders") -> Source:
    """`train|val|test/<class>/...` or `<class>/...`; a folder is called as its class is, by any name and in any case.

    A table manifest.csv or groups.csv with a file column and a group column says which pictures belong together;
    without one every picture is its own lesion. Users' photos from an export of reviewed cases stay known as such, and
    those that its table does not name are left out: their person took them back while it was made.
    """
    exported = any((place / REVIEWED_CARD).is_file() for place in (folder, folder.absolute().parent))
    listed = exported and (folder / _GROUP_FILES[0]).is_file()
    groups, tables = read_groups(folder, group_column)
    images: list[SourceImage] = []
    pictures = {path.relative_to(folder).as_posix(): path for path in walk_images(folder)}
    left_out = unmatched(groups, pictures, folder)
    for name, path in pictures.items():
        parts = name.split("/")[:-1]
        split = SPLIT_NAMES.get(parts[0].lower(), "") if parts and taxonomy.find(parts[0]) is None else ""
        place = parts[1:] if split else parts
        if listed and name not in groups:
            left_out.append(LeftOut(name, "not in the table of the export"))
        elif not place:
            left_out.append(LeftOut(name, "not in a class folder"))
        elif (label := taxonomy.find(place[0])) is None:
            left_out.append(LeftOut(name, f"'{place[0]}' is no class of {taxonomy.name}"))
        else:
            origin = REVIEWED if exported or is_exported(path) else source
            images.append(SourceImage(path, name, label, groups.get(name, name), origin, split))
    given = {image.split for image in images}
    if "" in given and len(given) > 1:
        raise DatasetError(f"{folder} mixes split folders ({', '.join(SPLITS)}) with class folders; keep one layout.")
    return sorted_source(images, left_out, tables)


def read_msid(folder: Path, taxonomy: Taxonomy) -> Source:
    """The Monkeypox Skin Images Dataset: a folder a class, and manifest.csv with `group`, which joins near-duplicates.

    Raises DatasetError where the groups are missing: without them copies of one photo would cross the split.
    """
    return read_folders(folder, taxonomy, "group", source="msid")


def unmatched(groups: Mapping[str, str], known: Collection[str], folder: Path) -> list[LeftOut]:
    """The rows of a groups table that name no picture, whose ways to be named are `known`.

    Raises DatasetError where that is all of them: then the table is of other names, and what it joins would be lost.
    """
    missing = [name for name in groups if name not in known]
    if missing and len(missing) == len(groups):
        raise DatasetError(
            f"The groups table in {folder} names no picture there: '{missing[0]}' is none, for example. Give paths "
            "relative to that folder."
        )
    return [LeftOut(name, "in the groups table, but there is no such picture") for name in missing]


def read_groups(folder: Path, group_column: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Group by file name relative to the folder, and the digest of the table it came from."""
    for name in _GROUP_FILES:
        table = folder / name
        if not table.is_file():
            continue
        rows = read_table(table, required=())
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
