"""Copies for backups: a file or a SQLite database, whole or not at all, and what went wrong in a sentence."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from webapp.database import sqlite_module

LOCK_SECONDS = 30


class BackupError(Exception):
    """A backup cannot be made, or cannot be trusted; the message says why and what to do."""


def copy_file(source: Path, target: Path, *, link: bool = False, fresh: bool = False) -> None:
    """Copy a file so that `target` is either whole or as it was; `fresh` dates it now and not as `source` is."""
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    copy = shutil.copyfile if fresh else shutil.copy2
    try:
        if link:
            os.link(source, temporary)
        else:
            copy(source, temporary)
    except FileNotFoundError:
        raise
    except OSError:
        if not link:
            raise
        copy(source, temporary)  # on another file system
    if not link:
        temporary.chmod(0o600)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(target)


def copy_database(source: Path, target: Path) -> None:
    """SQLite's online backup into a new file: the source as of one moment, whoever writes there meanwhile.

    Raises BackupError where the source is damaged or locked, and where the disk is full.
    """
    module = sqlite_module()
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o600))
    until = time.monotonic() + LOCK_SECONDS

    def go_on(status: int, remaining: int, total: int) -> None:
        if time.monotonic() > until and remaining == total:
            raise module.OperationalError("database is locked")  # SQLite's driver would ask again for ever

    try:
        with (
            told_of_database("The database"),
            closing(module.connect(source, timeout=LOCK_SECONDS)) as origin,
            closing(module.connect(target)) as copy,
        ):
            origin.backup(copy, progress=go_on)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    with target.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def told_of_database(which: str) -> Iterator[None]:
    """Turn what SQLite says into a BackupError: `which` is the database that it speaks of."""
    try:
        yield
    except sqlite_module().Error as error:
        words = str(error)
        if "locked" in words or "busy" in words:
            sentence = f"{which} is locked by another program. Try again in a minute, or stop that program."
        elif "full" in words:
            sentence = "There is no room left on the disk."
        elif "no such table" in words:
            sentence = f"{which} has no tables of this program: it is another one, or `flask db upgrade` is due."
        else:
            sentence = f"{which} cannot be read ({words}): it is damaged, or not open to this user."
        raise BackupError(sentence) from error
