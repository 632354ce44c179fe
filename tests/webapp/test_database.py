"""The database: migrations both ways, safe journal, writers that wait for each other."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError, StatementError

from webapp import create_app, database
from webapp.config import PROJECT_FOLDER, Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.base import Base
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.models.user import User


def row(number: int) -> ScreeningRow:
    return ScreeningRow(token_hash=f"{number:064d}", channel="web", language="en", created_at=datetime.now(UTC))


def test_migrations_up_and_down_on_a_filled_database(config: Config) -> None:
    config.instance.mkdir(parents=True)
    app = create_app(config)
    with app.app_context():
        upgrade()
        tables = set(inspect(db.engine).get_table_names())
        assert tables == {"alembic_version", *Base.metadata.tables}
        with write_transaction() as session:
            filled = row(1)
            filled.photos = [PhotoRow(position=1, name="0" * 32, sha256="0" * 64, width=1, height=1)]
            session.add(filled)
        kept = "SELECT count(*) FROM photos JOIN screenings ON screenings.id = photos.screening_id"
        steps = ScriptDirectory(str(PROJECT_FOLDER / "migrations")).walk_revisions()
        for step in list(steps)[1:]:  # each step down loses its own columns, and no photo
            downgrade(revision=step.revision)
            assert db.session.scalar(text(kept)) == 1
            db.session.commit()
        downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        upgrade()
        assert db.session.query(ScreeningRow).count() == 0
        db.session.commit()
        db.engine.dispose()


def test_migrations_say_what_the_models_say(config: Config) -> None:
    environment = {"INSTANCE": str(config.instance)}
    for command in ("upgrade", "check"):
        done = subprocess.run(
            [sys.executable, "-m", "flask", "db", command],
            cwd=PROJECT_FOLDER, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_pragmas(app: Flask) -> None:
    with app.app_context():
        values = {
            name: db.session.scalar(text(f"PRAGMA {name}"))
            for name in ("foreign_keys", "busy_timeout", "journal_mode", "secure_delete")
        }
    safe = database.sqlite_module().sqlite_version_info >= database.SAFE_WAL
    journal = "wal" if safe else "delete"
    assert values == {
        "foreign_keys": 1,
        "busy_timeout": database.BUSY_SECONDS * 1000,
        "journal_mode": journal,
        "secure_delete": 1,
    }


def test_old_library_means_no_write_ahead_log(
    config: Config, make_app: Callable[[Config], Flask], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(database, "SAFE_WAL", (99,))
    app = make_app(replace(config, instance=config.instance / "old"))
    assert "is older than 99" in caplog.text
    with app.app_context():
        assert db.session.scalar(text("PRAGMA journal_mode")) == "delete"


@pytest.mark.skipif(importlib.util.find_spec("pysqlite3") is None, reason="there is no wheel of pysqlite3 here")
def test_the_library_in_use_is_one_without_the_fault(app: Flask) -> None:
    """The version of the library that the application's own connections run on, as that tells it."""
    with app.app_context():
        version = str(db.session.scalar(text("SELECT sqlite_version()")))
    assert tuple(map(int, version.split("."))) >= (3, 51, 3)


def test_writers_wait_for_each_other(app: Flask) -> None:
    with app.app_context(), write_transaction() as session:
        session.add(User(name="counter", password_hash="", created_at=datetime.now(UTC)))

    def count_up(_: int) -> None:
        with app.app_context(), write_transaction() as session:
            user = session.query(User).one()
            user.failed_logins += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_up, range(80)))
    with app.app_context():
        assert db.session.query(User).one().failed_logins == 80


def test_a_failed_transaction_leaves_nothing(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(IntegrityError), write_transaction() as session:
            session.add_all([row(1), row(1)])
        assert db.session.query(ScreeningRow).count() == 0


def test_times_are_aware_and_in_utc(app: Flask) -> None:
    moment = datetime.fromisoformat("2026-03-01T12:00:00+02:00")
    with app.app_context():
        with write_transaction() as session:
            session.add(ScreeningRow(token_hash="a" * 64, channel="web", language="en", created_at=moment))
        db.session.expire_all()
        read = db.session.query(ScreeningRow).one().created_at
        assert (read, read.tzinfo) == (moment, UTC)
        with pytest.raises(StatementError, match="without an offset"), write_transaction() as session:
            session.add(
                ScreeningRow(token_hash="b" * 64, channel="web", language="en", created_at=datetime(2026, 3, 1))
            )
