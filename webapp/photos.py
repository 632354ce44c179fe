"""Where photos are kept: re-encoded without metadata, under generated names, in a folder that is never served."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from flask import Flask, current_app
from numpy.typing import NDArray

from ml.images import encode_jpeg, thumbnail

NAME = re.compile(r"[0-9a-f]{32}")
# A photo, its thumbnail, or what an interrupted write left of one of them.
FILE = re.compile(r"\.?([0-9a-f]{32})(-small)?\.jpg(\.part)?")
THUMBNAIL_SIDE = 320
JPEG_QUALITY = 95


@dataclass(frozen=True)
class PhotoStore:
    """Photos and their thumbnails as JPEG files in a local folder, spread over subfolders."""

    folder: Path

    def keep(self, pixels: NDArray[np.uint8]) -> str:
        """Keep an upright RGB picture [H, W, 3] and its thumbnail; returns the generated name.

        The files are on the disk when this returns. Raises OSError where they cannot be written.
        """
        name = secrets.token_hex(16)
        try:
            _write(self._path(name), encode_jpeg(pixels, quality=JPEG_QUALITY))
            _write(self._path(name, small=True), encode_jpeg(thumbnail(pixels, THUMBNAIL_SIDE)))
        except OSError:
            with suppress(OSError):
                self.delete(name)
            raise
        return name

    def share(self, name: str) -> str:
        """Keep a kept photo under one more name, as a link to the same file; returns that name.

        Deleting one of them leaves the other. Raises OSError where there is no such photo.
        """
        other = secrets.token_hex(16)
        for small in (False, True):
            target = self._path(other, small=small)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(self._path(name, small=small), target)
        return other

    def open(self, name: str, *, small: bool = False) -> bytes:
        """The JPEG bytes of a photo, or of its thumbnail. Raises FileNotFoundError where there is none."""
        return self._path(name, small=small).read_bytes()

    def delete(self, name: str) -> None:
        """Remove a photo and its thumbnail. Nothing happens where they are gone already."""
        for small in (True, False):
            self._path(name, small=small).unlink(missing_ok=True)

    def written_before(self, moment: datetime) -> Iterator[tuple[str, Path]]:
        """Files last written before a time, unfinished ones too, each with the name of the photo it belongs to."""
        for path in self.folder.glob("*/*/*"):
            found = FILE.fullmatch(path.name)
            with suppress(FileNotFoundError):  # deleted meanwhile
                if found and path.stat().st_mtime < moment.timestamp():
                    yield found.group(1), path

    def count_files(self) -> int:
        """How many files of photos and thumbnails there are."""
        return sum(1 for path in self.folder.glob("*/*/*.jpg") if FILE.fullmatch(path.name))

    def _path(self, name: str, *, small: bool = False) -> Path:
        if not NAME.fullmatch(name):
            raise FileNotFoundError(name)
        return self.folder / name[:2] / name[2:4] / f"{name}{'-small' if small else ''}.jpg"


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole and on the disk or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def init_photos(app: Flask, folder: Path) -> None:
    """Give the application its photo store."""
    app.extensions["photos"] = PhotoStore(folder)


def get_photos() -> PhotoStore:
    """The photo store of the current application."""
    store: PhotoStore = current_app.extensions["photos"]
    return store
