"""Backups of a running application: database and photos of one moment, models, label sets; checked as they are made.

The database is copied by SQLite's own backup, in one step. Photos are never changed after they are written, so those
that its rows name are copied then. One that is gone was deleted meanwhile: the database is copied anew, and tells so.
What a person has deleted leaves a backup folder when that is brought up to date. `webapp.restoring` puts one back.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from ml.files import sha256_file, write_json
from webapp import clock
from webapp.config import Config
from webapp.copying import BackupError, copy_database, copy_file, told_of_database
from webapp.database import sqlite_module

FORMAT = 1
MANIFEST = "backup.json"
DATABASE = "database.sqlite"
SECRET = "secret_key"  # noqa: S105  # the name of a file
ATTEMPTS = 5
FEW_SCREENINGS = 20
"""A backup of more screenings than this does not give way to one of less than half as many unasked."""
# Photos of screenings that are not deleted.
NAMED = "SELECT p.name, s.id FROM photos p JOIN screenings s ON s.id = p.screening_id WHERE s.deleted_at IS NULL"


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    folder: Path
    screenings: int
    photos: int
    copied: int
    revision: str | None
    with_secret_key: bool
    missing: tuple[str, ...] = ()
    """Names of photos that screenings name and that were not in the photo folder when it was made."""


def database_file(config: Config) -> Path:
    """The SQLite file in use. Raises BackupError for another kind of database, saying what to use instead."""
    address = make_url(config.database)
    if address.get_backend_name() != "sqlite" or not address.database:
        raise BackupError(
            "This is for SQLite. Save a PostgreSQL database with pg_dump first and copy the photo folder after it, "
            "so that each row's photos are there; restore with pg_restore."
        )
    return Path(address.database)


def make_backup(
    config: Config,
    folder: Path,
    *,
    secret_key: bool = False,
    link: bool = False,
    allow_missing: bool = False,
    allow_fewer: bool = False,
    before: int = 0,
) -> Backup:
    """Write a backup into `folder`, or bring the one that is there up to date: what it has is not copied again.

    `link` makes hard links where that is possible, for a folder that lives shortly. `allow_missing` goes on without
    the photos that screenings name and the photo folder lacks. Screenings are never removed, only emptied: a backup
    that held many (`before`, or what is in `folder`) is given up for one of few only with `allow_fewer`. Raises
    BackupError, also where what was written does not stand the check.
    """
    database = database_file(config)
    if not database.is_file():
        raise BackupError("There is no database yet: nothing to save.")
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise BackupError("The folder is not empty and holds no backup. Name another one.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    known = read_manifest(folder) if (folder / MANIFEST).is_file() else {"files": {}}
    before = max(before, known.get("screenings", 0))
    files: dict[str, str] = {}
    snapshot = folder / f".{DATABASE}.part"
    for _ in range(ATTEMPTS):
        copy_database(database, snapshot)
        screenings, names = _contents(snapshot)
        if before > FEW_SCREENINGS and 2 * screenings < before and not allow_fewer:
            snapshot.unlink()
            raise BackupError(
                f"The backup that is there holds {before} screenings, this database {screenings}: it may be another "
                "one, or an empty one. Nothing was changed. Look at DATABASE_URL and INSTANCE, name another place, or "
                "say --allow-fewer."
            )
        wanted = {path: config.photos / Path(path).relative_to("photos") for name in names for path in _paths(name)}
        missing = _copy(wanted, folder, known["files"], files, link=link, immutable=True)
        if not missing:
            break
    files = {name: digest for name, digest in files.items() if name in wanted}
    copied = sum(name not in known["files"] for name in files)
    others = dict(_other_files(config, secret_key=secret_key))
    _copy(others, folder, known["files"], files, link=link)
    mended = _mend(folder, files, wanted | others)
    snapshot.replace(folder / DATABASE)
    files[DATABASE] = sha256_file(folder / DATABASE)
    lost = [name for name in names if photo_path(name) not in files] if allow_missing else []
    manifest = {
        "format": FORMAT,
        "made_at": clock.now().isoformat(timespec="seconds"),
        "secret_key": SECRET in files,
        "screenings": screenings,
        "missing": lost,
        "files": dict(sorted(files.items())),
    }
    write_json(folder / MANIFEST, manifest)
    (folder / MANIFEST).chmod(0o600)
    for path in files_below(folder):
        if path.relative_to(folder).as_posix() not in {*files, MANIFEST}:
            path.unlink()
    return replace(_check_rows(folder, manifest), copied=copied + mended)


def check_backup(folder: Path) -> Backup:
    """Read all of a backup and compare it with its checksums, its database with itself and with the photos.

    Raises BackupError saying what is wrong.
    """
    manifest = read_manifest(folder)
    for name in _damaged(folder, manifest["files"]):
        raise BackupError(f"The backup is damaged: {name} is missing or was changed. Use another one.")
    return _check_rows(folder, manifest)


def _damaged(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    for name, digest in files.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != digest:
            yield name


def _mend(folder: Path, files: dict[str, str], sources: Mapping[str, Path]) -> int:
    """Copy files anew that are no longer what was once copied, as a failing disk leaves them; returns how many."""
    damaged = list(_damaged(folder, files))
    for name in damaged:
        try:
            copy_file(sources[name], folder / name)
            files[name] = sha256_file(sources[name])
        except FileNotFoundError:
            raise BackupError(
                f"The backup is damaged: {name} was changed in it, and is no longer here to be copied again. Keep it "
                "for what it still holds, and name another place."
            ) from None
    for name in _damaged(folder, {name: files[name] for name in damaged}):
        raise BackupError(f"What was written does not read back: {name}. Look at the disk, or name another place.")
    return len(damaged)


def _check_rows(folder: Path, manifest: Mapping[str, Any]) -> Backup:
    """Compare the database of a backup with itself and with the photos that are there."""
    with (
        told_of_database("The database in the backup"),
        closing(sqlite_module().connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as connection,
    ):
        sound = [line for (line,) in connection.execute("PRAGMA integrity_check")]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if sound != ["ok"] or broken:
            raise BackupError("The database in the backup is damaged. Use another backup.")
        named = dict(connection.execute(NAMED).fetchall())
        rows = connection.execute("SELECT count(*) FROM screenings").fetchone()[0]
        has_revision = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_revision else None
    absent = [name for name in named if photo_path(name) not in manifest["files"]]
    known = tuple(manifest.get("missing", ()))
    if lost := sorted({named[name] for name in absent if name not in known}):
        shown = ", ".join(map(str, lost[:10])) + (" and others" if len(lost) > 10 else "")
        raise BackupError(
            f"Photos of {len(lost)} screenings are not in the backup, since they were not in the photo folder "
            f"(screenings {shown}). Put them back, delete these screenings, or say --allow-missing."
        )
    with_key = bool(manifest["secret_key"])
    return Backup(folder, rows, len(named) - len(absent), 0, revision[0] if revision else None, with_key, known)


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


def photo_path(name: str, kind: str = "") -> str:
    """The place of a photo in a backup; of its thumbnail with kind "-small"."""
    return f"photos/{name[:2]}/{name[2:4]}/{name}{kind}.jpg"


def _paths(name: str) -> tuple[str, str]:
    return photo_path(name), photo_path(name, "-small")


def _contents(database: Path) -> tuple[int, list[str]]:
    """How many screenings a database has, deleted ones included, and the names of all its photos."""
    with told_of_database("The database"), closing(sqlite_module().connect(database)) as connection:
        rows = connection.execute("SELECT count(*) FROM screenings").fetchone()[0]
        return rows, [name for name, _ in connection.execute(NAMED)]


def _other_files(config: Config, *, secret_key: bool) -> Iterator[tuple[str, Path]]:
    for name, folder in (("models", config.models), ("label-sets", config.label_sets)):
        for path in files_below(folder):
            place = path.relative_to(folder)
            if not any(part.startswith(".") for part in place.parts):  # what is being written
                yield f"{name}/{place.as_posix()}", path
    if secret_key and (config.instance / SECRET).is_file():
        yield SECRET, config.instance / SECRET


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, in order; none where it is not there."""
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
                copy_file(source, target, link=link)
                files[name] = sha256_file(source)
            else:
                files.setdefault(name, known.get(name, ""))
        except FileNotFoundError:
            missing.append(name)
    return missing
