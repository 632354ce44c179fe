"""How the application talks to its database: a SQLite that survives several writers, and write transactions."""

import importlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from flask_sqlalchemy.session import Session
from sqlalchemy import Connection, Engine, FromClause, event, make_url
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DataError, IntegrityError, NotSupportedError, ProgrammingError, SQLAlchemyError
from sqlalchemy.orm import scoped_session

from webapp.extensions import db

log = logging.getLogger(__name__)

BUSY_SECONDS = 8
"""How long a connection waits for a lock. Whoever waited in vain is told so while they still wait for an answer."""
FORGETTING_MILLISECONDS = 500
"""How long a deletion waits for others to let go of the write-ahead log."""
# Older releases can corrupt a write-ahead log that several connections write and reset ("WAL-reset bug", sqlite.org).
SAFE_WAL = (3, 51, 3)


def sqlite_module() -> ModuleType:
    """The newest SQLite driver at hand: the package pysqlite3 (its own, recent library), else Python's."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return sqlite3


def engine_options(url: str) -> dict[str, Any]:
    """Options for `create_engine` that fit the database at `url`."""
    # As many connections as a process has threads; a SQLite in memory is not pooled.
    pool = {"pool_size": 8, "max_overflow": 24, "pool_timeout": BUSY_SECONDS}
    if make_url(url).get_backend_name() != "sqlite":
        return {"pool_pre_ping": True, "hide_parameters": True, **pool}
    pool = pool if make_url(url).database else {}
    # Parameters stay out of error messages, and so out of logs: they are people's data.
    options = {"module": sqlite_module(), "connect_args": {"timeout": BUSY_SECONDS}, "hide_parameters": True}
    return {**options, **pool}


class HintingCompiler(SQLiteCompiler):
    """SQLAlchemy's own, which leaves out what `with_hint` says: here it follows the table, as SQLite wants it.

    `INDEXED BY` names the index that is to be taken (https://sqlite.org/lang_indexedby.html).
    """

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        """What stands behind a table in FROM."""
        return text


def configure(engine: Engine) -> None:
    """Set up a SQLite engine: waiting for locks, foreign keys, a safe journal, deletion for good, explicit
    transactions.

    The driver's own implicit transactions are switched off: they begin late, and a reading transaction that turns into
    a writing one fails at once where another writer came first. Writers begin with BEGIN IMMEDIATE instead.
    """
    if engine.dialect.name != "sqlite":
        return
    engine.dialect.statement_compiler = HintingCompiler
    if engine.url.database:
        _keep_private(Path(engine.url.database))
    journal = "WAL"
    if sqlite_module().sqlite_version_info < SAFE_WAL:
        journal = "DELETE"
        log.warning(
            "SQLite %s is older than %s: there is no write-ahead log, since it could be corrupted by several writers. "
            "Writing is slower. The package pysqlite3 brings a newer library.",
            sqlite_module().sqlite_version,
            ".".join(map(str, SAFE_WAL)),
        )

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
            "foreign_keys = ON",
            f"journal_mode = {journal}",
            "synchronous = FULL",
            "secure_delete = ON",  # what was deleted is overwritten, not only unlinked
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _keep_private(database: Path) -> None:
    """Take a database from whoever does not own it, as it may have been made by an older release."""
    for ending in ("", "-wal", "-shm"):
        with suppress(OSError):  # not there yet, or somebody else's
            database.with_name(database.name + ending).chmod(0o600)


def forget_deleted() -> bool:
    """Empty SQLite's write-ahead log into the database, so that what was deleted is not in an older page there either.

    Call it outside of a transaction. False where readers or writers did not leave room for it in time: the next call
    does it then, at the latest that of the nightly sweep. Nothing happens on other databases, and True is returned.
    """
    if db.engine.dialect.name != "sqlite":
        return True
    connection = db.engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {FORGETTING_MILLISECONDS}")
        try:
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        return not busy
    except sqlite_module().OperationalError:
        log.warning("the write-ahead log could not be emptied", exc_info=True)
        return False
    finally:
        connection.close()


def does_not_answer(error: SQLAlchemyError) -> bool:
    """Whether it is the database that failed, so that the same may work later, and not what it was asked to do."""
    return not isinstance(error, (IntegrityError, DataError, ProgrammingError, NotSupportedError))


def is_full(error: SQLAlchemyError) -> bool:
    """Whether the database could not be written because the disk is full."""
    words = str(getattr(error, "orig", ""))
    return "disk is full" in words or "No space left" in words


@contextmanager
def write_transaction() -> Iterator[scoped_session[Session]]:
    """A transaction that writes: begun immediately, committed at the end, rolled back on an error.

    Whatever was read before in this request is in an earlier transaction; read again inside what a decision hangs on.
    """
    db.session.commit()
    db.session.connection(execution_options={"writing": True})
    try:
        yield db.session
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
