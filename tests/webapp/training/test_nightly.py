"""The sweep that the trainer starts: once a night, in a process of its own, and only where nobody else has swept."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from numpy.typing import NDArray
from sqlalchemy import select, update

from tests.webapp.training.processes import as_environment, wait_for
from webapp import clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.screening import ScreeningRow
from webapp.screening.lifecycle import Upload, open_screening
from webapp.training import nightly
from webapp.training.nightly import SWEPT, Nightly, is_due, note_sweep


def test_it_is_due_once_a_night(tmp_path: Path) -> None:
    now = datetime(2026, 3, 2, 1, 59, tzinfo=UTC)
    assert is_due(tmp_path, now), "nobody ever has"
    note_sweep(tmp_path, own=True)

    def swept(moment: datetime) -> None:
        os.utime(tmp_path / SWEPT, (moment.timestamp(), moment.timestamp()))

    swept(datetime(2026, 3, 1, 3, tzinfo=UTC))
    assert not is_due(tmp_path, now)
    assert is_due(tmp_path, now + timedelta(minutes=2))
    swept(now + timedelta(minutes=2))
    assert not is_due(tmp_path, now + timedelta(hours=20))


def test_it_waits_for_a_timer_that_sweeps_every_day(tmp_path: Path) -> None:
    note_sweep(tmp_path, own=False)
    swept = datetime.fromtimestamp((tmp_path / SWEPT).stat().st_mtime, UTC)
    assert not is_due(tmp_path, swept + timedelta(hours=25))
    assert is_due(tmp_path, swept + timedelta(hours=27)), "the timer is gone"


def test_the_trainer_erases_what_is_past_its_time(
    config: Config,
    make_app: Callable[[Config], Flask],
    lesion: Callable[..., NDArray[np.uint8]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = replace(config, photo_retention_days=30)
    app = make_app(config)
    for name, value in as_environment(config).items():
        monkeypatch.setenv(name, value)
    with app.app_context():
        for seed, days in enumerate((31, 29)):
            upload = Upload(lesion("nv", seed), f"{seed:064d}")
            number, _ = open_screening([upload], channel="web", language="en", consented=True)
            with write_transaction() as session:
                old = {"created_at": clock.now() - timedelta(days=days), "state": "failed", "failure": "no_answer"}
                session.execute(update(ScreeningRow).where(ScreeningRow.id == number).values(**old))
    monkeypatch.setattr(nightly, "REST_SECONDS", 0.0)
    caplog.set_level(logging.INFO, "lesion_lens.trainer")
    sweeper = Nightly(config)
    started = time.monotonic()
    sweeper.step()
    assert time.monotonic() - started < 5, "the trainer has its runs to look after"
    assert sweeper._process is not None

    def over() -> bool:
        sweeper.step()
        return sweeper._process is None

    wait_for(over)
    assert "1 erased" in caplog.text
    with app.app_context():
        erased = select(ScreeningRow.deleted_at).order_by(ScreeningRow.id)
        assert [moment is not None for moment in db.session.scalars(erased)] == [True, False]
    assert not is_due(config.instance, clock.now())
    sweeper.step()
    assert sweeper._process is None

    (config.instance / SWEPT).unlink()
    sweeper.step()
    assert sweeper._process is None, "one that failed is not tried again at once"
    monkeypatch.setattr(sweeper, "_not_before", 0.0)
    sweeper.step()
    process = sweeper._process
    assert process is not None
    sweeper.end()
    assert process.poll() is not None, "it ends with the trainer"
