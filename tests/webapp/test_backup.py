"""Backups of a running application: whole, checked, and put back into an empty instance."""

import json
import os
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from flask import Flask
from flask_migrate import upgrade
from numpy.typing import NDArray
from sqlalchemy import func, select, text

from ml.images import decode
from webapp import backup, clock, copying, create_app
from webapp.audit import faults
from webapp.backup import MANIFEST
from webapp.config import Config
from webapp.database import sqlite_module
from webapp.extensions import db
from webapp.models.audit import AuditEntry
from webapp.models.screening import PhotoRow, ScreeningRow, token_hash
from webapp.photos import get_photos
from webapp.screening.erasing import erase
from webapp.screening.lifecycle import Upload, answer, open_screening
from webapp.screening.upkeep import STRAY_AFTER

Lesion = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def app(config: Config) -> Flask:
    """The application on a migrated database, with a model and a label set of its own."""
    config.instance.mkdir(parents=True)
    app = create_app(replace(config, secret_key=""))
    with app.app_context():
        upgrade()
    for name in ("models/own/1/card.json", "models/.unfinished/card.json", "label-sets/own.toml"):
        path = config.instance / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return app


def put(app: Flask, lesion: Lesion, seed: int = 0) -> tuple[int, str]:
    with app.app_context():
        opened = open_screening([Upload(lesion("mel", seed), f"{seed:064d}")], channel="web", language="en",
                                consented=True)  # fmt: skip
        answer(opened[0])
        return opened


def run(app: Flask, *arguments: object) -> Result:
    return app.test_cli_runner().invoke(args=[str(argument) for argument in arguments])


def empty(config: Config, name: str) -> Flask:
    config = replace(config, instance=config.instance.parent / name, secret_key="")
    config.instance.mkdir()
    return create_app(config)


def test_restored_while_uploads_go_on(app: Flask, config: Config, lesion: Lesion, tmp_path: Path) -> None:
    before = [put(app, lesion, seed) for seed in range(3)]
    stop = threading.Event()

    def go_on() -> None:
        seed = 100
        while not stop.is_set():
            seed += 1
            screening_id, _ = put(app, lesion, seed)
            if seed % 2:
                with app.app_context():
                    erase(screening_id)

    busy = threading.Thread(target=go_on)
    busy.start()
    try:
        for target in (tmp_path / "saved", tmp_path / "saved", tmp_path / "saved.tar"):
            result = run(app, "backup", target)
            assert result.exit_code == 0, result.output
            assert "all checksums agree" in result.output
    finally:
        stop.set()
        busy.join()

    for source in (tmp_path / "saved", tmp_path / "saved.tar"):
        restored = empty(config, f"restored-from-{source.name}")
        assert "restored" in run(restored, "restore", source).output
        with restored.app_context():
            upgrade()
            assert list(db.session.scalars(text("PRAGMA integrity_check"))) == ["ok"]
            photos = db.session.scalars(
                select(PhotoRow).join(ScreeningRow).where(ScreeningRow.deleted_at.is_(None))
            ).all()
            assert len(photos) >= len(before)
            for photo in photos:
                for small in (False, True):
                    assert decode(get_photos().open(photo.name, small=small)).ndim == 3
            for _, token in before:
                row = db.session.scalars(select(ScreeningRow).where(ScreeningRow.token_hash == token_hash(token))).one()
                assert row.state == "done"
            db.session.remove()
            db.engine.dispose()
        folder = restored.config["LENS"].instance
        assert (folder / "models/own/1/card.json").is_file()
        assert not (folder / "models/.unfinished").exists()
        assert (folder / "label-sets/own.toml").is_file()


def test_a_folder_is_brought_up_to_date(app: Flask, lesion: Lesion, tmp_path: Path) -> None:
    first, second = put(app, lesion, 1), put(app, lesion, 2)
    target = tmp_path / "saved"
    assert "2 photos, 4 files of photos copied" in run(app, "backup", target).output
    with app.app_context():
        (entry,) = db.session.scalars(select(AuditEntry))
        assert (entry.actor, entry.action) == ("cli", "backup.make")
        assert entry.details == {"screenings": 2, "photos": 2, "with_key": False}
    put(app, lesion, 3)
    with app.app_context():
        erase(first[0])
    assert "2 photos, 2 files of photos copied" in run(app, "backup", target).output  # the deleted one has left it
    assert len(list((target / "photos").rglob("*.jpg"))) == 4
    assert "all checksums agree" in run(app, "backup", target, "--check").output
    assert second


def test_the_secret_key_only_on_request(app: Flask, config: Config, tmp_path: Path) -> None:
    key = config.instance / "secret_key"
    assert "is not in it" in run(app, "backup", tmp_path / "without").output
    assert not (tmp_path / "without" / "secret_key").exists()
    assert "keep it safe" in run(app, "backup", tmp_path / "with", "--with-secret-key").output
    restored = empty(config, "restored")
    assert run(restored, "restore", tmp_path / "with").exit_code == 0
    with restored.app_context():
        # The first backup is in the log that the second one saved, and what was restored says so.
        told = list(db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
        assert [entry.action for entry in told] == ["backup.make", "backup.restore"]
        assert told[-1].details["with_key"]
        assert list(faults()) == []
        db.session.remove()
        db.engine.dispose()
    assert (restored.config["LENS"].instance / "secret_key").read_text() == key.read_text()


def test_what_is_there_is_not_overwritten_unawares(app: Flask, config: Config, lesion: Lesion, tmp_path: Path) -> None:
    put(app, lesion, 1)
    assert run(app, "backup", tmp_path / "saved").exit_code == 0
    put(app, lesion, 2)
    refused = run(app, "restore", tmp_path / "saved")
    assert refused.exit_code == 1
    assert "Nothing was changed" in refused.output
    with app.app_context():
        assert db.session.scalar(select(func.count(ScreeningRow.id))) == 2
        db.session.remove()
    assert run(app, "restore", tmp_path / "saved", "--overwrite").exit_code == 0
    with app.app_context():
        assert db.session.scalar(select(func.count(ScreeningRow.id))) == 1
        db.session.remove()


def test_a_damaged_backup_is_refused(app: Flask, config: Config, lesion: Lesion, tmp_path: Path) -> None:
    put(app, lesion)
    saved = tmp_path / "saved"
    assert run(app, "backup", saved).exit_code == 0
    restored = empty(config, "restored")
    photo = next((saved / "photos").rglob("*.jpg"))
    whole = photo.read_bytes()
    photo.write_bytes(whole[:-1])
    assert "is damaged" in run(restored, "restore", saved).output
    photo.write_bytes(whole)
    manifest = json.loads((saved / MANIFEST).read_text())
    manifest["files"]["../outside"] = "0" * 64
    (saved / MANIFEST).write_text(json.dumps(manifest))
    assert "another version" in run(restored, "restore", saved).output
    (tmp_path / "no.tar").write_bytes(b"no archive")
    assert "no backup" in run(restored, "restore", tmp_path / "no.tar").output
    assert not (restored.config["LENS"].instance / "lesion-lens.sqlite").exists()


def test_a_photo_that_is_lost_is_told(app: Flask, config: Config, lesion: Lesion, tmp_path: Path) -> None:
    put(app, lesion)
    next(config.photos.rglob("*[0-9a-f].jpg")).unlink()
    result = run(app, "backup", tmp_path / "saved")
    assert result.exit_code == 1
    assert "Photos of 1 screenings are not in the backup" in result.output
    assert "(screenings 1)" in result.output
    for target in (tmp_path / "saved", tmp_path / "saved.tar"):
        result = run(app, "backup", target, "--allow-missing")
        assert result.exit_code == 0, result.output
        assert "1 screenings and 0 photos" in result.output
        assert "1 photos were lost" in result.output
        assert "1 photos were lost" in run(app, "backup", target, "--check").output
        restored = run(empty(config, f"restored-{target.name}"), "restore", target)
        assert restored.exit_code == 0, restored.output
        assert "1 photos were lost" in restored.output
    assert run(app, "backup", tmp_path / "saved").exit_code == 1, "it is asked for each time"


def test_what_was_damaged_in_the_folder_is_copied_again(app: Flask, lesion: Lesion, tmp_path: Path) -> None:
    put(app, lesion)
    saved = tmp_path / "saved"
    assert run(app, "backup", saved).exit_code == 0
    photo, card = next((saved / "photos").rglob("*.jpg")), saved / "models/own/1/card.json"
    for path in (photo, card):
        times = path.stat()
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "is damaged" in run(app, "backup", saved, "--check").output
    assert "2 files of photos copied" in run(app, "backup", saved).output
    assert "all checksums agree" in run(app, "backup", saved, "--check").output
    card.write_text("other")
    (app.config["LENS"].models / "own/1/card.json").unlink()
    assert run(app, "backup", saved).exit_code == 0, "what is gone here leaves the backup"


def test_a_database_of_few_does_not_replace_a_backup_of_many(
    app: Flask, config: Config, lesion: Lesion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "FEW_SCREENINGS", 2)
    for seed in range(3):
        put(app, lesion, seed)
    other = empty(config, "other")
    with other.app_context():
        upgrade()
    for target in (tmp_path / "saved", tmp_path / "saved.tar"):
        assert run(app, "backup", target).exit_code == 0
        refused = run(other, "backup", target)
        assert refused.exit_code == 1
        assert "holds 3 screenings, this database 0" in refused.output
        assert "3 screenings and 3 photos" in run(app, "backup", target, "--check").output
        assert "0 screenings and 0 photos" in run(other, "backup", target, "--allow-fewer").output


def test_a_restored_photo_is_no_stray(app: Flask, config: Config, lesion: Lesion, tmp_path: Path) -> None:
    """Its date is that of the restore: a sweep that comes before the rows leaves it alone."""
    put(app, lesion)
    for path in config.photos.rglob("*.jpg"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert run(app, "backup", tmp_path / "saved").exit_code == 0
    restored = empty(config, "restored")
    assert run(restored, "restore", tmp_path / "saved").exit_code == 0
    with restored.app_context():
        assert list(get_photos().written_before(clock.now() - STRAY_AFTER)) == []
        assert len(list(get_photos().written_before(clock.now() + STRAY_AFTER))) == 2


def test_a_damaged_database_is_replaced(app: Flask, config: Config, lesion: Lesion, tmp_path: Path) -> None:
    put(app, lesion)
    saved = tmp_path / "saved"
    assert run(app, "backup", saved).exit_code == 0
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    database = config.instance / "lesion-lens.sqlite"
    database.write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    database.with_name(database.name + "-wal").write_bytes(os.urandom(4096))
    refused = run(app, "backup", tmp_path / "another")
    assert refused.exit_code == 1
    assert "is damaged" in refused.output
    assert isinstance(refused.exception, SystemExit)
    assert "Nothing was changed" in run(app, "restore", saved).output
    result = run(app, "restore", saved, "--overwrite")
    assert result.exit_code == 0, result.output
    with app.app_context():
        assert list(db.session.scalars(text("PRAGMA integrity_check"))) == ["ok"]
        assert db.session.scalar(select(func.count(ScreeningRow.id))) == 1
        db.session.remove()
    assert database.stat().st_mode & 0o777 == 0o600


def test_a_locked_database_is_told(app: Flask, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "LOCK_SECONDS", 0.3)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    with closing(sqlite_module().connect(config.instance / "lesion-lens.sqlite")) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("PRAGMA user_version = 1")
        refused = run(app, "backup", tmp_path / "saved")
    assert refused.exit_code == 1
    assert "locked by another program" in refused.output
    assert run(app, "backup", tmp_path / "saved2").exit_code == 0


def test_a_backup_is_its_owners_alone(app: Flask, lesion: Lesion, tmp_path: Path) -> None:
    put(app, lesion)
    seen: list[int] = []
    add = tarfile.TarFile.add

    def noted(archive: tarfile.TarFile, *arguments: object) -> None:
        seen.append(os.stat(next(tmp_path.glob(".*.part"))).st_mode & 0o777)
        add(archive, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tarfile.TarFile, "add", noted)
        assert run(app, "backup", tmp_path / "saved.tar").exit_code == 0
    assert set(seen) == {0o600}, "while it is written too"
    assert run(app, "backup", tmp_path / "saved").exit_code == 0
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o700
    for path in [tmp_path / "saved.tar", *(p for p in (tmp_path / "saved").rglob("*") if p.is_file())]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_folder_with_something_else_is_left_alone(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("keep me")
    assert "holds no backup" in run(app, "backup", tmp_path / "other").output
    assert (tmp_path / "other" / "letter.txt").read_text() == "keep me"


def test_postgresql_has_tools_of_its_own(app: Flask, tmp_path: Path) -> None:
    app.config["LENS"] = replace(app.config["LENS"], database_url="postgresql://localhost/lens")
    assert "pg_dump" in run(app, "backup", tmp_path / "saved").output
