"""Backups put back into an instance: photos first, dated now so that no sweep takes them, and the database last."""

import os
from contextlib import closing
from pathlib import Path

from webapp.backup import (
    DATABASE,
    SECRET,
    Backup,
    check_backup,
    database_file,
    read_manifest,
)
from webapp.config import Config
from webapp.copying import BackupError, copy_database, copy_file
from webapp.database import sqlite_module


def restore_backup(config: Config, folder: Path, *, overwrite: bool = False) -> Backup:
    """Check a backup and put it in place. Raises BackupError where something is there already, unless told to.

    With `overwrite` a database that is damaged gives way too. Nobody may have the old one open.
    """
    database = database_file(config)
    found = check_backup(folder)
    if not overwrite and not _is_empty(config, database):
        raise BackupError(
            "This instance holds screenings, accounts or photos already. Nothing was changed. Stop the application and "
            "say --overwrite to have what the backup holds instead."
        )
    for name in read_manifest(folder)["files"]:
        target = _place_of(name, config)
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Dated now: until the rows are there these are photos without a screening, which a sweep deletes when old.
            copy_file(folder / name, target, fresh=True)
    # The rows come last: whoever is killed before has files too many, which a sweep removes, and no row too many.
    database.parent.mkdir(parents=True, exist_ok=True)
    _replace_database(folder / DATABASE, database)
    return found


def _replace_database(source: Path, target: Path) -> None:
    """Put a copy of `source` in the place of `target`, whatever that is; half of it is there at no time."""
    made = target.with_name(f".{target.name}.part")
    copy_database(source, made)
    for ending in ("-wal", "-shm", "-journal"):  # a log of the old one would be played into the new one
        target.with_name(target.name + ending).unlink(missing_ok=True)
    made.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place_of(name: str, config: Config) -> Path | None:
    head, _, rest = name.partition("/")
    folders = {"photos": config.photos, "models": config.models, "label-sets": config.label_sets}
    if head in folders:
        return folders[head] / rest
    return config.instance / SECRET if name == SECRET else None


def _is_empty(config: Config, database: Path) -> bool:
    """Whether there is nothing to lose; a database that cannot be read may hold something."""
    if any(config.photos.glob("*/*/*.jpg")):
        return False
    if not database.is_file():
        return True
    try:
        with closing(sqlite_module().connect(database)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return not any(
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608
                for table in ("screenings", "users")
                if table in tables
            )
    except sqlite_module().Error:
        return False
