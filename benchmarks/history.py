"""Time pages, filters, sorts, searches and exports of the history, and a case, as a reviewer's browser asks for them.

    INSTANCE=/tmp/history python benchmarks/seed_history.py --rows 1000000
    INSTANCE=/tmp/history python benchmarks/history.py --out docs/history.json

Each is asked for through the application's own test client, log-in and templates included; of an export, the time to
its first batch. At the end one export of everything is read to its end, for its time and memory. Ends with 1 where a
median is over the limit. `--plans` prints how SQLite runs each statement instead.
`make docs` writes the table in docs/history.md.
"""

import argparse
import os
import re
import resource
import secrets
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

LIMIT = 0.2
"""Seconds that a median may take."""
DEEP = 40
"""Pages turned before a deep page is timed."""
PAGES = {
    "all, newest first": "",
    "all, oldest first": "sort=oldest",
    "all, highest risk first": "sort=risk",
    "all, least certain first": "sort=uncertainty",
    "all, furthest apart first": "sort=disagreement",
    "a status that most have": "status=benign",
    "a status, far from the top of the sort": "status=benign&sort=risk",
    "a status that few have": "status=failed",
    "a class": "predicted=mel",
    "a rare class by disagreement": "predicted=df&sort=disagreement",
    "to be reviewed, highest risk first": "review=pending&sort=risk",
    "disputed": "review=disputed",
    "corrected: one class named, another reviewed": "predicted=nv&reviewed=mel",
    "reviewed as none of the classes": "reviewed=_other&sort=risk",
    "refused for quality": "gate=poor_quality",
    "one label set, by risk": "label_set=msid&sort=risk",
    "one model version": "model=ham10000-ensemble@20250611T080000000Z",
    "channel and language": "channel=api&language=de",
    "seven filters by code": "status=malignant&predicted=mel&review=submitted&gate=usable&label_set=ham10000"
    "&channel=web&language=en",
    "codes that exclude each other": "status=benign&gate=not_skin",
    "a model that is not there": "model=nothing",
    "a week, highest risk first": "from=2026-10-20&to=2026-10-26&sort=risk",
    "half a year, least certain first": "from=2026-04-01&to=2026-09-30&sort=uncertainty",
    "a range of risk, newest first": "risk_from=40&risk_to=60",
    "a narrow range of risk": "risk_from=99.9",
    "a code and a range that exclude each other": "status=benign&risk_from=50",
    "two ranges that nothing fits": "risk_from=5&risk_to=5.5&uncertainty_from=99.5&sort=newest",
    "words of many notes": "q=veil",
    "words of no note, with a filter": "q=nowhere&status=benign",
}
EXPORTS = {"export as CSV, first batch": "csv?status=malignant&sort=risk", "export as JSON lines, first batch": "jsonl"}


def signed_in(app: Any) -> Any:
    """A client of a reviewer made for this run."""
    from webapp import clock
    from webapp.account.passwords import hash_password
    from webapp.database import write_transaction
    from webapp.models.user import Role, User

    name, password = f"benchmark {secrets.token_hex(4)}", secrets.token_urlsafe(16)
    account = User(name=name, password_hash=hash_password(password), role=Role.REVIEWER, created_at=clock.now())
    with app.app_context(), write_transaction() as session:
        session.add(account)
    client = app.test_client()
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/login").text)
    form = {"name": name, "password": password, "csrf_token": found[1] if found else ""}
    if client.post("/login", data=form).status_code != 303:
        raise SystemExit("The benchmark's own account could not log in.")
    return client


def first_bytes(client: Any, path: str) -> None:
    """Ask, and read up to the first part of the answer."""
    answer = client.get(path, buffered=False)
    if answer.status_code != 200:
        raise SystemExit(f"{path} was answered with {answer.status}.")
    next(iter(answer.response), None)
    answer.close()


def drain(client: Any, path: str) -> dict[str, float]:
    """Read an answer to its end, part by part as it comes: seconds, lines and MiB."""
    started, lines, size = time.perf_counter(), 0, 0
    answer = client.get(path, buffered=False)
    for part in answer.response:
        lines, size = lines + part.count(b"\n"), size + len(part)
    answer.close()
    return {"seconds": round(time.perf_counter() - started, 1), "rows": lines, "mib": round(size / 2**20, 1)}


def single(app: Any) -> dict[str, str]:
    """Addresses that lead to one screening: the newest of the elder half that was reviewed."""
    from sqlalchemy import func, select

    from benchmarks.seed_history import token
    from webapp.extensions import db
    from webapp.models.screening import ScreeningRow

    with app.app_context():
        middle = (db.session.scalar(select(func.max(ScreeningRow.id))) or 0) // 2
        reviewed = select(ScreeningRow.id).where(ScreeningRow.id <= middle, ScreeningRow.review_status == "submitted")
        number = db.session.scalar(reviewed.order_by(ScreeningRow.id.desc()).limit(1)) or 1
    return {
        "the address of a result": f"/admin/history?q=/results/{token(number)}",
        "a screening's number": f"/admin/history?q=%23{number}",
        "a case, with its neighbours in a queue": f"/admin/screenings/{number}?queue=review%3Dsubmitted%26sort%3Drisk",
    }


def deep(client: Any, path: str) -> str:
    """The address of a page that many lie before, or the last one there is."""
    for _ in range(DEEP):
        found = re.search(r'rel="next" href="([^"]+)"', client.get(path).text)
        if found is None:
            break
        path = found[1].replace("&amp;", "&")
    return path


def measure(app: Any, runs: int) -> list[dict[str, Any]]:
    """Median and 95th percentile of each page in seconds, and how many it shows or finds."""
    from benchmarks.latency import summary

    client = signed_in(app)
    paths = {name: f"/admin/history?{query}" for name, query in PAGES.items()}
    paths["deep: a class by uncertainty"] = deep(client, "/admin/history?predicted=mel&sort=uncertainty")
    paths["deep: a range of risk"] = deep(client, "/admin/history?risk_from=40&risk_to=60")
    paths |= single(app)
    paths |= {name: f"/admin/export.{path}" for name, path in EXPORTS.items()}
    rows = []
    for name, path in paths.items():
        times = []
        for _ in range(runs + 1):
            started = time.perf_counter()
            first_bytes(client, path)
            times.append(time.perf_counter() - started)
        total = re.search(r"data-total>([^<]*)<", client.get(path).text) if "/history" in path else None
        rows.append({"page": name, "address": path, "found": total[1].strip() if total else "", **summary(times[1:])})
        print(f"{rows[-1]['median'] * 1000:7.0f} ms {rows[-1]['p95'] * 1000:7.0f} ms  {name}", flush=True)
    return rows


def plans(app: Any) -> None:
    """Print how SQLite runs each statement of each page."""
    from sqlalchemy import event

    from webapp.extensions import db

    client = signed_in(app)
    told: set[str] = set()

    def tell(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement not in told and statement.startswith(("SELECT", "WITH")) and "screenings" in statement:
            told.add(statement)
            print("  ", " ".join(statement.split())[:300])
            raw = connection.connection.cursor()
            for step in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall():
                print("       ", step[3])

    with app.app_context():
        engine = db.engine
    for name, query in PAGES.items():
        print(name)
        event.listen(engine, "before_cursor_execute", tell)
        client.get(f"/admin/history?{query}")
        event.remove(engine, "before_cursor_execute", tell)


def resident() -> float:
    """Largest memory of this process so far, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds that a median may take")
    parser.add_argument("--plans", action="store_true", help="print query plans instead")
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    options = parser.parse_args(arguments)
    from sqlalchemy import func, select

    from benchmarks.latency import processor
    from ml.files import write_json
    from webapp import create_app
    from webapp.database import sqlite_module
    from webapp.extensions import db
    from webapp.models.review import Review
    from webapp.models.screening import ScreeningRow

    app = create_app()
    if options.plans:
        plans(app)
        return 0
    with app.app_context():
        sizes = [db.session.scalar(select(func.count()).select_from(model)) for model in (ScreeningRow, Review)]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    signed_in(app).get("/admin/history")
    before = resident()
    rows = measure(app, max(1, options.runs))
    after = resident()
    whole = drain(signed_in(app), "/admin/export.jsonl?sort=risk")
    found = {
        "screenings": sizes[0], "reviews": sizes[1], "runs": options.runs, "limit": options.limit, "pages": rows,
        "memory_mib": {"before": before, "after": after, "export": resident()}, "export": whole,
        "processor": processor(), "cores": os.cpu_count(),
        "load_before": None if load is None else round(load, 2), "sqlite": sqlite_module().sqlite_version,
    }  # fmt: skip
    slow = [row["page"] for row in rows if row["median"] > options.limit]
    medians = statistics.median(row["median"] for row in rows)
    print(f"{sizes[0]:,} screenings; median of medians {medians * 1000:.0f} ms; memory {before} to {after} MiB")
    print(
        f"An export of all: {whole['rows']:,} rows, {whole['mib']} MiB, {whole['seconds']} s; memory {resident()} MiB"
    )
    if options.out:
        write_json(options.out, found)
    if slow:
        print(f"Over {options.limit * 1000:.0f} ms: {'; '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
