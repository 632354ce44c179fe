"""`flask backup` and `flask restore`: what must not be lost, saved while the application runs, and put back."""

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from webapp import audit
from webapp.backup import MANIFEST, Backup, check_backup, make_backup, read_manifest
from webapp.config import PROJECT_FOLDER, Config
from webapp.copying import BackupError
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.restoring import restore_backup


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--with-secret-key", is_flag=True, help="Save the secret key too: whoever has the backup can then log in."
)
@click.option("--allow-missing", is_flag=True, help="Save the rest where photos that screenings name are lost.")
@click.option("--allow-fewer", is_flag=True, help="Let a backup of many screenings give way to one of few.")
@click.option("--check", is_flag=True, help="Only read and check the backup at TARGET.")
@with_appcontext
def backup_command(target: Path, with_secret_key: bool, allow_missing: bool, allow_fewer: bool, check: bool) -> None:
    """Save database, photos, trained models and own label sets to TARGET: a folder, or a file that ends in .tar.

    The application may run meanwhile. A folder that holds a backup is brought up to date; what it has already is not
    copied again. Everything is read back and compared with its checksums. Training runs and data sets are not saved.

    Without the secret key people log in again after a restore, and the bot's chats are not recognised.
    """
    config: Config = current_app.config["LENS"]
    options = {"secret_key": with_secret_key, "allow_missing": allow_missing, "allow_fewer": allow_fewer}
    try:
        if check:
            with _opened(target) as folder:
                found = check_backup(folder)
        elif target.suffix == ".tar":
            found = _as_file(config, target, options)
        else:
            found = make_backup(config, target, **options)
    except (BackupError, OSError) as error:
        raise click.ClickException(_sentence(error)) from error
    if not check:
        _record("backup.make", found)
    new = "" if check else f", {found.copied} files of photos copied"
    click.echo(f"{found.screenings} screenings and {found.photos} photos{new}; all checksums agree.")
    _tell_missing(found)
    if not check:
        click.echo(
            "The secret key is in it: keep it safe." if found.with_secret_key else "The secret key is not in it."
        )


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--overwrite", is_flag=True, help="Replace what this instance holds. Stop the application first.")
@with_appcontext
def restore_command(source: Path, overwrite: bool) -> None:
    """Put a backup that `flask backup` made into this instance, which must be empty."""
    config: Config = current_app.config["LENS"]
    db.session.remove()
    db.engine.dispose()  # no connection of this process may hold the file that is replaced
    try:
        with _opened(source) as folder:
            _check_revision(check_backup(folder))
            found = restore_backup(config, folder, overwrite=overwrite)
    except (BackupError, OSError, tarfile.TarError) as error:
        raise click.ClickException(_sentence(error)) from error
    _record("backup.restore", found)
    click.echo(f"{found.screenings} screenings and {found.photos} photos restored.")
    _tell_missing(found)
    if not found.with_secret_key:
        click.echo("The backup holds no secret key: people log in again, and the bot's chats are not recognised.")
    click.echo("Run `flask db upgrade`, then start the application.")


def _record(action: str, found: Backup) -> None:
    """Add to the audit log that everything was copied, or replaced: how much, and whether with the secret key.

    A backup of an earlier version may have no audit log, or another one: it is no worse for that.
    """
    try:
        with write_transaction():
            audit.record(
                action, "backup", screenings=found.screenings, photos=found.photos, with_key=found.with_secret_key
            )
    except SQLAlchemyError:
        click.echo("This is not in the audit log: it could not be written.", err=True)


def _tell_missing(found: Backup) -> None:
    if found.missing:
        click.echo(f"{len(found.missing)} photos were lost before it was made and are not in it:")
        for name in found.missing:
            click.echo(f"  {name}")


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, BackupError) else f"Files could not be read or written: {error}"


def _check_revision(found: Backup) -> None:
    """Raises BackupError for a database that a later version of this program has migrated."""
    if found.revision is None:
        return
    try:
        ScriptDirectory(str(PROJECT_FOLDER / "migrations")).get_revision(found.revision)
    except CommandError:
        raise BackupError("The backup is of a later version of this program. Update first.") from None


@contextmanager
def _opened(source: Path) -> Iterator[Path]:
    """The backup as a folder."""
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory(dir=source.parent, prefix=f".{source.name}.") as place:
        try:
            with tarfile.open(source) as archive:
                archive.extractall(place, filter="data")
        except (tarfile.TarError, OSError):
            raise BackupError("The file is no backup, or is damaged.") from None
        yield Path(place)


def _as_file(config: Config, target: Path, options: dict[str, bool]) -> Backup:
    """A backup as one file, put in place when it is whole."""
    staging = Path(tempfile.mkdtemp(dir=target.resolve().parent, prefix=f".{target.name}."))
    partial = target.with_name(f".{target.name}.part")
    try:
        found = make_backup(config, staging, link=True, before=_screenings_in(target), **options)
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)  # before anything is in it
        with os.fdopen(descriptor, "w+b") as file, tarfile.open(fileobj=file, mode="w") as archive:
            for name in [MANIFEST, *read_manifest(staging)["files"]]:
                archive.add(staging / name, name)
        with _opened(partial) as folder:
            check_backup(folder)
        partial.replace(target)
        return found
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(staging, ignore_errors=True)


def _screenings_in(target: Path) -> int:
    """How many screenings the backup holds that is in this file; 0 where that is not known."""
    try:
        with tarfile.open(target) as archive:
            manifest = archive.extractfile(MANIFEST)
            return int(json.load(manifest).get("screenings", 0)) if manifest else 0
    except (OSError, KeyError, ValueError, AttributeError, tarfile.TarError):
        return 0
