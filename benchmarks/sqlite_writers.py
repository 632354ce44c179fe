"""Several processes write to one SQLite database as the application does: nothing lost, nobody turned away.

    python benchmarks/sqlite_writers.py --processes 4 --transactions 500 --out docs/reliability/sqlite_writers.json

Each process opens the application and, again and again, reads a counter and writes it one higher in one write
transaction, with a new screening's row. At the end the counter must be the number of transactions, every row must be
there, and `PRAGMA integrity_check` must say ok.
"""

import argparse
import multiprocessing
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from flask import Flask  # noqa: E402
from sqlalchemy import func, select, text  # noqa: E402

from benchmarks.latency import percentile_95  # noqa: E402
from benchmarks.reporting import report  # noqa: E402
from webapp import clock, create_app  # noqa: E402
from webapp.config import Config  # noqa: E402
from webapp.database import BUSY_SECONDS, sqlite_module, write_transaction  # noqa: E402
from webapp.extensions import db  # noqa: E402
from webapp.models.base import Base  # noqa: E402
from webapp.models.screening import ScreeningRow  # noqa: E402
from webapp.models.user import User  # noqa: E402


def application(folder: Path) -> Flask:
    """The application with its database in a folder."""
    return create_app(Config(instance=folder, secret_key=secrets.token_hex(8)))


def write(folder: Path, transactions: int) -> tuple[list[float], int]:
    """Count up and add rows; returns each transaction's seconds, and how many were turned away."""
    app, seconds, refused = application(folder), [], 0
    with app.app_context():
        for _ in range(transactions):
            started = time.perf_counter()
            try:
                with write_transaction() as session:
                    counter = session.scalars(select(User).execution_options(populate_existing=True)).one()
                    counter.failed_logins += 1
                    session.add(
                        ScreeningRow(
                            token_hash=secrets.token_hex(32), channel="web", language="en", created_at=clock.now()
                        )
                    )
            except Exception as error:
                print(error, file=sys.stderr)
                refused += 1
            seconds.append(time.perf_counter() - started)
        db.engine.dispose()
    return seconds, refused


def run(folder: Path, *, processes: int, transactions: int) -> dict[str, Any]:
    """Have the processes write, and look at what they left."""
    folder.mkdir(parents=True, exist_ok=True)
    app = application(folder)
    with app.app_context():
        Base.metadata.create_all(db.engine)
        with write_transaction() as session:
            session.add(User(name="counter", password_hash="", created_at=clock.now()))
        db.engine.dispose()
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        outcomes = pool.starmap(write, [(folder, transactions)] * processes)
    elapsed = time.perf_counter() - started
    times = [one for seconds, _ in outcomes for one in seconds]
    refused = sum(number for _, number in outcomes)
    with app.app_context():
        counted = db.session.scalar(select(User.failed_logins)) or 0
        rows = db.session.scalar(select(func.count(ScreeningRow.id))) or 0
        journal = db.session.scalar(text("PRAGMA journal_mode"))
        integrity = list(db.session.scalars(text("PRAGMA integrity_check")))
        db.session.remove()
        db.engine.dispose()
    wanted = processes * transactions
    return {
        "sqlite": sqlite_module().sqlite_version,
        "journal": journal,
        "busy_timeout_seconds": BUSY_SECONDS,
        "processes": processes,
        "transactions": wanted,
        "per_second": round(wanted / elapsed, 1),
        "p95_seconds": round(percentile_95(times), 4),
        "longest_seconds": round(max(times), 4),
        "refused": refused,
        "lost": wanted - refused - min(counted, rows),
        "integrity": integrity,
        "passed": refused == 0 and counted == rows == wanted and integrity == ["ok"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; the exit status is 1 where something was lost or turned away."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--transactions", type=int, default=500, help="by each process")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lesion-lens-writers-") as place:
        found = run(Path(place) / "instance", processes=options.processes, transactions=options.transactions)
    report(found, options.out)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
