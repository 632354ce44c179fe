"""Backups of a running application: database and photos of one moment, models, label sets; checked, and put back.

The database is copied by SQLite's own backup, in one step. Photos are never changed after they are written, so those
that its rows name are copied then. One that is gone was deleted meanwhile: the database is copied anew, and tells so.
What a person has deleted leaves a backup folder when that is brought up to date.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from ml.files import sha256_file, write_json
from webapp import clock
from webapp.config import Config
from webapp.database import sqlite_module

FORMAT = 1
MANIFEST = "backup.json"
DATABASE = "database.sqlite"
SECRET = "secret_key"  # noqa: S105  # the name of a file
ATTEMPTS = 5
# Photos of screenings that are not deleted.
NAMED = "SELECT p.name FROM photos p JOIN screenings s ON s.id = p.screening_id WHERE s.deleted_at IS NULL"


class BackupError(Exception):
    """A backup cannot be made, or cannot be trusted; the message says why and what to do."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    folder: Path
    screenings: int
    photos: int
    copied: int
    revision: str | None
    with_secret_key: bool


def database_file(config: Config) -> Path:
    """The SQLite file in use. Raises BackupError for another kind of database, saying what to use instead."""
    address = make_url(config.database)
    if address.get_backend_name() != "sqlite" or not address.database:
        raise BackupError(
            "This is for SQLite. Save a PostgreSQL database with pg_dump first and copy the photo folder after it, "
            "so that each row's photos are there; restore with pg_restore."
        )
    return Path(address.database)


def make_backup(config: Config, folder: Path, *, secret_key: bool = False, link: bool = False) -> Backup:
    """Write a backup into `folder`, or bring the one that is there up to date: what it has is not copied again.

    `link` makes hard links where that is possible, for a folder that lives shortly. Raises BackupError, also where
    what was written does not stand the check.
    """
    database = database_file(config)
    if not database.is_file():
        raise BackupError("There is no database yet: nothing to save.")
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise BackupError("The folder is not empty and holds no backup. Name another one.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    known: dict[str, str] = read_manifest(folder)["files"] if (folder / MANIFEST).is_file() else {}
    files: dict[str, str] = {}
    snapshot = folder / f".{DATABASE}.part"
    for _ in range(ATTEMPTS):
        _copy_database(database, snapshot)
        wanted = dict(_photo_files(config.photos, snapshot))
        missing = _copy(wanted, folder, known, files, link=link, immutable=True)
        if not missing:
            break
    files = {name: digest for name, digest in files.items() if name in wanted}
    copied = sum(name not in known for name in files)
    _copy(dict(_other_files(config, secret_key=secret_key)), folder, known, files, link=link)
    snapshot.replace(folder / DATABASE)
    files[DATABASE] = sha256_file(folder / DATABASE)
    made = {"format": FORMAT, "made_at": clock.now().isoformat(timespec="seconds"), "secret_key": SECRET in files}
    write_json(folder / MANIFEST, {**made, "files": dict(sorted(files.items()))})
    for path in _files_below(folder):
        if path.relative_to(folder).as_posix() not in {*files, MANIFEST}:
            path.unlink()
    found = check_backup(folder)
    return Backup(folder, found.screenings, found.photos, copied, found.revision, found.with_secret_key)


def check_backup(folder: Path) -> Backup:
    """Read all of a backup and compare it with its checksums, its database with itself and with the photos.

    Raises BackupError saying what is wrong.
    """
    manifest = read_manifest(folder)
    for name, digest in manifest["files"].items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != digest:
            raise BackupError(f"The backup is damaged: {name} is missing or was changed. Use another one.")
    with closing(sqlite_module().connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as connection:
        sound = [line for (line,) in connection.execute("PRAGMA integrity_check")]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if sound != ["ok"] or broken:
            raise BackupError("The database in the backup is damaged. Use another backup.")
        names = [name for (name,) in connection.execute(NAMED)]
        rows = connection.execute("SELECT count(*) FROM screenings").fetchone()[0]
        has_revision = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_revision else None
    lost = [name for name in names if _photo_path(name) not in manifest["files"]]
    if lost:
        raise BackupError(
            f"{len(lost)} photos that screenings name are not in the backup, since they were not in the photo folder."
        )
    return Backup(folder, rows, len(names), 0, revision[0] if revision else None, bool(manifest["secret_key"]))


def restore_backup(config: Config, folder: Path, *, overwrite: bool = False) -> Backup:
    """Check a backup and put it in place. Raises BackupError where something is there already, unless told to."""
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
            _copy_file(folder / name, target)
    # The rows come last: whoever is killed before has files too many, which a sweep removes, and no row too many.
    database.parent.mkdir(parents=True, exist_ok=True)
    _copy_database(folder / DATABASE, database)
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a backup says about itself. Raises BackupError where it is none, or of a later format."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known = manifest["format"] == FORMAT and isinstance(manifest["files"], dict)
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupError(f"There is no backup here: {MANIFEST} is missing or damaged.") from None
    if not known or any(name.startswith("/") or ".." in Path(name).parts for name in manifest["files"]):
        raise BackupError("The backup was made by another version of this program.")
    return manifest


def _photo_path(name: str, kind: str = "") -> str:
    return f"photos/{name[:2]}/{name[2:4]}/{name}{kind}.jpg"


def _photo_files(store: Path, database: Path) -> Iterator[tuple[str, Path]]:
    with closing(sqlite_module().connect(database)) as connection:
        for (name,) in connection.execute(NAMED):
            for kind in ("", "-small"):
                path = _photo_path(name, kind)
                yield path, store / Path(path).relative_to("photos")


def _other_files(config: Config, *, secret_key: bool) -> Iterator[tuple[str, Path]]:
    for name, folder in (("models", config.models), ("label-sets", config.label_sets)):
        for path in _files_below(folder):
            place = path.relative_to(folder)
            if not any(part.startswith(".") for part in place.parts):  # what is being written
                yield f"{name}/{place.as_posix()}", path
    if secret_key and (config.instance / SECRET).is_file():
        yield SECRET, config.instance / SECRET


def _place_of(name: str, config: Config) -> Path | None:
    head, _, rest = name.partition("/")
    folders = {"photos": config.photos, "models": config.models, "label-sets": config.label_sets}
    if head in folders:
        return folders[head] / rest
    return config.instance / SECRET if name == SECRET else None


def _files_below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []


def _copy(
    wanted: dict[str, Path],
    folder: Path,
    known: dict[str, str],
    files: dict[str, str],
    *,
    link: bool,
    immutable: bool = False,
) -> list[str]:
    """Copy what the backup has not yet, into `files` with checksums; returns what is gone."""
    missing = []
    for name, source in wanted.items():
        target = folder / name
        try:
            same = target.is_file() and (immutable or target.stat().st_mtime_ns == source.stat().st_mtime_ns)
            if not (same and (name in known or name in files)):
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy_file(source, target, link=link)
                files[name] = sha256_file(source)
            else:
                files.setdefault(name, known.get(name, ""))
        except FileNotFoundError:
            missing.append(name)
    return missing


def _copy_file(source: Path, target: Path, *, link: bool = False) -> None:
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        if link:
            os.link(source, temporary)
        else:
            shutil.copy2(source, temporary)
    except FileNotFoundError:
        raise
    except OSError:
        if not link:
            raise
        shutil.copy2(source, temporary)  # on another file system
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(target)


def _copy_database(source: Path, target: Path) -> None:
    """SQLite's online backup: the target holds the source as of one moment, whoever writes there meanwhile."""
    module = sqlite_module()
    with closing(module.connect(source, timeout=30)) as origin, closing(module.connect(target, timeout=30)) as copy:
        origin.backup(copy)
        if target.name.endswith(".part"):
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


def _is_empty(config: Config, database: Path) -> bool:
    if any(config.photos.glob("*/*/*.jpg")):
        return False
    if not database.is_file():
        return True
    with closing(sqlite_module().connect(database)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return not any(
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608
            for table in ("screenings", "users")
            if table in tables
        )
