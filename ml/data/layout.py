"""Pictures laid out as files: `dataset/<split>/<class>/` for other programs, and those that came inside a container."""

import csv
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ml.data.check import read_picture
from ml.data.listing import SourceImage
from ml.data.manifest import ImageRecord
from ml.errors import DatasetError
from ml.files import write_bytes

GROUPS = "groups.csv"


def place_of(image: SourceImage) -> Path:
    """Where a listed picture is: its file, or, as a path that only `unpack` understands, its place in a container."""
    return image.path.absolute() / image.container


def unpack(records: Sequence[ImageRecord], packed: Sequence[SourceImage], out: Path) -> list[ImageRecord]:
    """Write the records' pictures that lie in containers to `out/images/`; everything that follows reads files.

    Returns the records with their files. Raises DatasetError where the folder cannot be written.
    """
    inside = {place_of(image): image for image in packed}
    placed: list[ImageRecord] = []
    try:
        for record in records:
            image = inside.get(record.path)
            if image is not None:
                (out / "images").mkdir(parents=True, exist_ok=True)
                record = replace(record, path=(out / "images" / f"{image.container}.jpg").absolute())
                write_bytes(record.path, read_picture(image))
            placed.append(record)
    except OSError as error:
        raise DatasetError(f"Cannot write to {out / 'images'}: {error.strerror or 'writing failed'}.") from error
    return placed


def lay_out(records: Sequence[ImageRecord], out: Path) -> list[ImageRecord]:
    """Link (or, across file systems, copy) every picture to `out/dataset/<split>/<class>/`, under a name of its own,
    with a table `groups.csv` beside them that says which lesion and group each is of: `--format folders` reads both.

    Returns the records as they lie there. Raises DatasetError where the folder cannot be written.
    """
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
        write_bytes(partial / GROUPS, _groups_table(placed, home).encode())
        partial.rename(home)
    except OSError as error:
        raise DatasetError(f"Cannot lay out pictures in {home}: {error.strerror or 'writing failed'}.") from error
    return placed


def _groups_table(records: Sequence[ImageRecord], home: Path) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("file", "lesion_id", "group"))
    files = {record.path.relative_to(home).as_posix(): record for record in records}
    writer.writerows((file, record.lesion_id, record.group) for file, record in sorted(files.items()))
    return table.getvalue()


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
