"""Migrations one step at a time, down and up again, on a database with rows in every table that there is."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Connection, MetaData, Table, inspect, text
from sqlalchemy import types as kinds

from webapp import create_app
from webapp.config import PROJECT_FOLDER, Config
from webapp.database import write_transaction
from webapp.extensions import db

# What is not a matter of the column's type alone: documents that migrations look into.
DOCUMENTS: dict[str, Any] = {
    "probabilities": {"mel": 0.7, "nv": 0.3},
    "thresholds": {"malignant": 0.5, "uncertain": 0.2},
    "gate": {"verdict": "usable", "reason": None, "tip": None, "limit": None, "scores": {}},
    "first_look": {
        "predicted": "nv", "probabilities": {"mel": 0.2, "nv": 0.8}, "agrees": False, "reason": None, "features": {},
        "model": {"name": "look", "version": "1"}, "seconds": 0.1,
    },
    "seconds": {"decode": 0.1, "gate": 0.1, "network": 0.1},
}  # fmt: skip
ROWS = 3
Content = dict[str, list[dict[str, Any]]]


@pytest.fixture
def app(config: Config) -> Flask:
    config.instance.mkdir(parents=True)
    app = create_app(config)
    with app.app_context():
        upgrade()
    return app


def revisions() -> list[str]:
    """All revisions, the newest first."""
    return [one.revision for one in ScriptDirectory(str(PROJECT_FOLDER / "migrations")).walk_revisions()]


def allowed(connection: Connection, table: str) -> dict[str, list[str]]:
    """Column -> the words that a check of the table allows in it."""
    sql = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).scalar() or ""
    return {
        column: re.findall(r"'([^']*)'", words) for column, words in re.findall(r"\b(\w+) IN \(([^)]*)\)", str(sql))
    }


def value(table: Table, name: str, number: int, words: Mapping[str, list[str]]) -> Any:
    """Something that the column takes, another thing in each row."""
    column = table.columns[name]
    kind = column.type
    if column.foreign_keys:
        key = next(iter(column.foreign_keys)).column
        return number if isinstance(key.type, kinds.Integer) else str(number)
    if name in words:
        return words[name][(number - 1) % len(words[name])]
    if name in DOCUMENTS:
        return json.dumps(DOCUMENTS[name])
    if isinstance(kind, kinds.JSON):
        return "{}"
    if isinstance(kind, kinds.DateTime):
        return f"2026-03-0{number} 12:00:00.000000"
    if isinstance(kind, kinds.Date):
        return f"2026-03-0{number}"
    if isinstance(kind, kinds.Boolean):
        return number % 2
    if isinstance(kind, kinds.Integer):
        return number
    if isinstance(kind, kinds.Float | kinds.Numeric):
        return number / 8
    if isinstance(kind, kinds.LargeBinary):
        return bytes([number]) * 8
    length = getattr(kind, "length", None) or 40
    return f"{name[:8]}{number}".ljust(8, "0")[-length:]


def fill(connection: Connection) -> None:
    """Put rows into every table, parents first."""
    known = MetaData()
    known.reflect(connection)
    for table in known.sorted_tables:
        if table.name == "alembic_version" or table.name.startswith("sqlite_"):
            continue
        words = allowed(connection, table.name)
        names = [column.name for column in table.columns if column.computed is None]  # the database fills those
        command = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        for number in range(1, ROWS + 1):
            connection.exec_driver_sql(command, tuple(value(table, name, number, words) for name in names))


def content() -> Content:
    """All rows as they lie in the database."""
    with db.engine.connect() as connection:
        tables = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
        return {
            table: [dict(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).mappings()]  # noqa: S608
            for table in tables
        }


def assert_kept(before: Content, after: Content, step: str) -> None:
    """Every row is there, with what it had in each column that both have."""
    for table in before.keys() & after.keys():
        assert len(after[table]) == len(before[table]), f"{step}: rows of {table}"
        for old, new in zip(before[table], after[table], strict=True):
            shared = old.keys() & new.keys()
            assert {name: new[name] for name in shared} == {name: old[name] for name in shared}, f"{step}: {table}"


def assert_sound(step: str) -> None:
    with db.engine.connect() as connection:
        assert list(connection.execute(text("PRAGMA integrity_check")).scalars()) == ["ok"], step
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == [], step


def test_step_by_step_down_and_up_nothing_is_lost_but_what_is_gone(app: Flask) -> None:
    with app.app_context():
        with write_transaction() as session:
            fill(session.connection())
        full = content()
        assert all(len(rows) == ROWS for rows in full.values())
        newest_first = revisions()
        for revision in newest_first[1:]:
            before = content()
            downgrade(revision=revision)
            assert_kept(before, content(), f"down to {revision}")
            assert_sound(f"down to {revision}")
        lowest = content()
        assert {"screenings", "photos", "users"} <= lowest.keys()
        for revision in reversed(newest_first[:-1]):
            before = content()
            upgrade(revision=revision)
            assert_kept(before, content(), f"up to {revision}")
            assert_sound(f"up to {revision}")
        assert_kept(lowest, content(), "down and up again")
        assert content().keys() == full.keys()
        downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        upgrade()
        assert content().keys() == full.keys()
        db.session.remove()
        db.engine.dispose()
