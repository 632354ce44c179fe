"""Photo files that belong to no screening: found and deleted by a sweep, but not while they may still get one."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from numpy.typing import NDArray
from sqlalchemy import select

from tests.times import Clock
from webapp.config import Config
from webapp.extensions import db
from webapp.models.audit import AuditEntry
from webapp.photos import PhotoStore, get_photos
from webapp.screening.erasing import erase
from webapp.screening.lifecycle import Upload, open_screening

NAME = "0123456789abcdef" * 2


def test_stray_files_are_deleted_after_a_day(
    app: Flask, config: Config, clock: Clock, lesion: Callable[..., NDArray[np.uint8]]
) -> None:
    with app.app_context():
        open_screening([Upload(lesion(), "0" * 64)], channel="web", language="en", consented=True)
        named = files(config.photos)
        get_photos().keep(lesion())  # as a process leaves it that ends before its row is committed
    folder = config.photos / NAME[:2] / NAME[2:4]
    folder.mkdir(parents=True)
    unfinished = folder / f".{NAME}.jpg.part"
    foreign = folder / "notes.txt"
    for path in (unfinished, foreign):
        path.write_text("x")
    (config.photos / "more-notes.txt").write_text("x")
    everything = files(config.photos)
    for path in everything:
        os.utime(path, (clock.time.timestamp(), clock.time.timestamp()))

    clock.forward(hours=23)
    assert "0 stray files deleted" in sweep(app)
    assert files(config.photos) == everything
    clock.forward(hours=2)
    assert "3 stray files deleted" in sweep(app)  # a photo, its thumbnail, and the unfinished one
    assert files(config.photos) == named | {foreign, config.photos / "more-notes.txt"}


def test_a_sweep_before_the_first_photo(app: Flask) -> None:
    assert "0 stray files deleted" in sweep(app)
    assert "older than a day" in app.test_cli_runner().invoke(args=["screenings", "sweep", "--help"]).output


def files(folder: Path) -> set[Path]:
    """All files below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def sweep(app: Flask) -> str:
    """What the command says."""
    result = app.test_cli_runner().invoke(args=["screenings", "sweep"])
    assert result.exit_code == 0, result.output
    return result.output


def test_photos_are_swept_and_purged(
    config: Config,
    make_app: Callable[[Config], Flask],
    clock: Clock,
    lesion: Callable[..., NDArray[np.uint8]],
) -> None:
    app = make_app(replace(config, photo_retention_days=30))
    runner = app.test_cli_runner()
    with app.app_context():
        open_screening([Upload(lesion(), "0" * 64)], channel="web", language="en", consented=True)
        named = files(config.photos)
        get_photos().keep(lesion())
    for path in files(config.photos):
        os.utime(path, (clock.time.timestamp(), clock.time.timestamp()))
    clock.forward(days=29)
    assert "2 stray files deleted, 0 deletions finished" in runner.invoke(args=["photos", "sweep"]).output
    assert "0 screenings erased" in runner.invoke(args=["photos", "purge"]).output
    assert files(config.photos) == named
    clock.forward(days=2)
    assert "1 screenings erased" in runner.invoke(args=["photos", "purge"]).output
    assert files(config.photos) == set()
    assert entries(app) == [("photo.sweep", 2), ("screening.expire", 1)], "what removed nothing is not told"


def test_the_log_has_the_deletions_that_a_sweep_finished(
    app: Flask, lesion: Callable[..., NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        number, _ = open_screening([Upload(lesion(), "0" * 64)], channel="web", language="en", consented=True)
        with monkeypatch.context() as broken:
            broken.setattr(PhotoStore, "delete", _fail)
            with pytest.raises(OSError, match="gone"):
                erase(number)
    assert "1 erased" in sweep(app)
    assert entries(app) == [("screening.finish_deletion", 1)]


def _fail(*_: object) -> None:
    raise OSError("gone")


def entries(app: Flask) -> list[tuple[str, int]]:
    """What the audit log has, with the counts."""
    with app.app_context():
        return [(one.action, one.details["count"]) for one in db.session.scalars(select(AuditEntry))]


@pytest.mark.parametrize("command", ["photos", "screenings"])
def test_a_database_that_knows_none_of_the_photos_takes_none(
    app: Flask, config: Config, clock: Clock, lesion: Callable[..., NDArray[np.uint8]], command: str
) -> None:
    runner = app.test_cli_runner()
    with app.app_context():
        for _ in range(2):
            get_photos().keep(lesion())
    everything = files(config.photos)
    unfinished = next(iter(everything)).with_name(f".{NAME}.jpg.part")
    unfinished.write_text("x")
    clock.forward(days=2)
    for path in files(config.photos):
        os.utime(path, (clock.time.timestamp() - 2 * 24 * 3600,) * 2)
    refused = runner.invoke(args=[command, "sweep"])  # an empty database, however few photos there are
    assert refused.exit_code == 1
    assert "4 photo files belong to no screening" in refused.output
    assert "say --all" in refused.output
    assert files(config.photos) == everything, "half a file is nobody's"

    with app.app_context():
        open_screening([Upload(lesion(), "0" * 64)], channel="web", language="en", consented=True)
        named = files(config.photos) - everything
        assert "4 stray files deleted" in runner.invoke(args=[command, "sweep"]).output  # few beside a screening
        for _ in range(11):
            get_photos().keep(lesion())
    for path in files(config.photos) - named:
        os.utime(path, (clock.time.timestamp() - 2 * 24 * 3600,) * 2)
    assert "22 photo files belong to no screening" in runner.invoke(args=[command, "sweep"]).output
    assert len(files(config.photos)) == 24
    assert "22 stray files deleted" in runner.invoke(args=[command, "sweep", "--all"]).output
    assert files(config.photos) == named
