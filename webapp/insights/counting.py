"""Counting each day's answers once: whatever asks for months reads these counts, not the screenings.

A screening belongs to the day (UTC) on which its answer was finished. Answers are never added to a day that is over, so
that such a day is counted once and for all, with a little patience for transactions under way.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from datetime import time as day_time
from typing import Any

from sqlalchemy import Text, func, select, type_coerce
from sqlalchemy.exc import IntegrityError

from ml.screening import USABLE
from webapp import clock
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.insights import bins
from webapp.models.daily import DailyFigures
from webapp.models.screening import ScreeningRow, State

SETTLED = timedelta(minutes=10)
"""How long after midnight a day's last transactions may still arrive."""
STALE = timedelta(minutes=1)
"""After which an unfinished day is counted again."""
COUNTED = ("status", "predicted", "verdict", "state")
"""What is counted by its value in each cell."""
ROWS_AT_ONCE = 2000
DAYS_AT_ONCE = 30

Key = tuple[str, str, str]


def midnight(day: date) -> datetime:
    """The moment (UTC) at which a day begins."""
    return datetime.combine(day, day_time(), UTC)


def count_missing(first: date, last: date, *, seconds: float | None = None) -> int:
    """Count the days from `first` to `last` that are not counted yet, newest first; returns how many are still missing.

    With `seconds` it stops after that time, though never before one day was counted.
    """
    today = clock.now().date()
    started = time.monotonic()
    missing = uncounted(first, min(last, today))
    counted: list[tuple[date, list[dict[str, Any]]]] = []
    left = len(missing)
    for day in missing:
        if seconds is not None and left < len(missing) and time.monotonic() - started > seconds:
            break
        counted.append((day, count_day(day)))
        left -= 1
        if len(counted) == DAYS_AT_ONCE:
            _keep(counted)
            counted = []
    _keep(counted)
    return left


def uncounted(first: date, last: date) -> list[date]:
    """The days from `first` to `last`, newest first, whose counts are missing or older than the day's end."""
    oldest = db.session.scalar(select(func.min(ScreeningRow.finished_at)))
    if oldest is None:
        return []
    first = max(first, oldest.date())
    now = clock.now()
    kept = {
        row.day
        for row in db.session.execute(
            select(DailyFigures.day, DailyFigures.complete, DailyFigures.counted_at).where(
                DailyFigures.day >= first, DailyFigures.day <= last
            )
        )
        if row.complete or now - row.counted_at < STALE
    }
    days = (last - timedelta(days=back) for back in range((last - first).days + 1))
    return [day for day in days if day not in kept]


def count_day(day: date) -> list[dict[str, Any]]:
    """The cells of one day: `label_set`, `model` (NAME@VERSION, '' for none), `channel`, `count`, the counts by value
    of each of `COUNTED`, and the tallies (webapp.insights.bins) of what was measured."""
    cells: defaultdict[Key, _Cell] = defaultdict(_Cell)
    for key, row in _rows(day):
        cells[key].add(row)
    return [cell.to_dict(*key) for key, cell in sorted(cells.items())]


def _rows(day: date) -> Iterator[tuple[Key, Any]]:
    query = (
        select(
            ScreeningRow.state,
            ScreeningRow.deleted_at,
            func.coalesce(ScreeningRow.label_set, ScreeningRow.asked_label_set, "").label("label_set"),
            ScreeningRow.model_name,
            ScreeningRow.model_version,
            ScreeningRow.channel,
            ScreeningRow.status,
            ScreeningRow.predicted,
            # As text: what is read of them is little, and a driver that hands out text leaves the choice of reader.
            type_coerce(ScreeningRow.gate, Text).label("gate"),
            type_coerce(ScreeningRow.seconds, Text).label("seconds"),
        )
        .where(ScreeningRow.finished_at >= midnight(day), ScreeningRow.finished_at < midnight(day + timedelta(days=1)))
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    for row in db.session.execute(query):
        model = f"{row.model_name}@{row.model_version}" if row.model_name else ""
        yield (row.label_set, model, row.channel), row


class _Cell:
    """What is counted of one label set, model and channel on one day."""

    def __init__(self) -> None:
        self._count = 0
        self._counted: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
        self._measured: dict[str, list[float]] = {name: [] for name in bins.EDGES}

    def add(self, row: Any) -> None:
        """Count one screening. Of one that was erased before it was counted, nothing is known but that it was."""
        self._count += 1
        if row.deleted_at is not None:
            self._counted["state"]["erased"] += 1
            return
        self._counted["state"][row.state] += 1
        if row.state != State.DONE:
            return
        if row.status:
            self._counted["status"][row.status] += 1
        if row.predicted:
            self._counted["predicted"][row.predicted] += 1
        gate = _read(row.gate)
        self._counted["verdict"][gate.get("verdict", USABLE)] += 1
        for name, value in gate.get("scores", {}).items():
            if name in bins.INPUTS:
                self._measured[name].append(value)
        seconds = _read(row.seconds)
        if seconds:
            self._measured["seconds"].append(sum(seconds.values()))

    def to_dict(self, label_set: str, model: str, channel: str) -> dict[str, Any]:
        """The cell as it is kept."""
        tallies = {name: bins.empty() for name in self._measured}
        for name, values in self._measured.items():
            bins.add_values(tallies[name], name, values)
        return {
            "label_set": label_set,
            "model": model,
            "channel": channel,
            "count": self._count,
            **{name: dict(sorted(counter.items())) for name, counter in self._counted.items()},
            "measured": {name: tally for name, tally in tallies.items() if tally["n"]},
        }


def _read(text: str | dict[str, Any] | None) -> dict[str, Any]:
    """A JSON column: text from SQLite, an object from drivers that read it themselves."""
    if text is None:
        return {}
    found: dict[str, Any] = json.loads(text) if isinstance(text, str) else text
    return found or {}


def _keep(counted: Sequence[tuple[date, list[dict[str, Any]]]]) -> None:
    """Write days and their cells. Where another process counts the same ones at the same time, its counts stand."""
    now = clock.now()
    with suppress(IntegrityError), write_transaction() as session:
        for day, cells in counted:
            complete = now >= midnight(day + timedelta(days=1)) + SETTLED
            session.merge(DailyFigures(day=day, counted_at=now, complete=complete, cells=cells))
