"""Which screenings the history shows: filters, and pages by key."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import selectinload

from ml.labels import Status
from webapp.extensions import db
from webapp.models.screening import ScreeningRow, State

PAGE_SIZE = 25
STATUSES = (*(status.value for status in Status), "pending", "failed", "deleted")


@dataclass(frozen=True)
class Filters:
    """What the history is narrowed to; empty strings and None mean everything."""

    label_set: str = ""
    status: str = ""
    predicted: str = ""
    model: str = ""
    first: date | None = None
    last: date | None = None

    @classmethod
    def from_args(cls, args: Mapping[str, str]) -> "Filters":
        """Read a query string; values that make no sense count as not given."""
        status = args.get("status", "")
        return cls(
            label_set=args.get("label_set", ""),
            status=status if status in STATUSES else "",
            predicted=args.get("predicted", ""),
            model=args.get("model", ""),
            first=_date(args.get("from", "")),
            last=_date(args.get("to", "")),
        )

    def to_args(self) -> dict[str, str]:
        """The inverse of `from_args`, without empty values."""
        values = {
            "label_set": self.label_set,
            "status": self.status,
            "predicted": self.predicted,
            "model": self.model,
            "from": self.first.isoformat() if self.first else "",
            "to": self.last.isoformat() if self.last else "",
        }
        return {name: value for name, value in values.items() if value}

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filters as conditions on `ScreeningRow`."""
        row = ScreeningRow
        found: list[ColumnElement[bool]] = []
        if self.label_set:
            found.append(func.coalesce(row.label_set, row.asked_label_set) == self.label_set)
        if self.status == "deleted":
            found.append(row.deleted_at.is_not(None))
        elif self.status in (State.PENDING, State.FAILED):
            found += [row.state == self.status, row.deleted_at.is_(None)]
        elif self.status:
            found.append(row.status == self.status)
        if self.predicted:
            found.append(row.predicted == self.predicted)
        if self.model:
            name, _at, version = self.model.partition("@")
            found += [row.model_name == name, row.model_version == version]
        if self.first:
            found.append(row.created_at >= _midnight(self.first))
        if self.last and self.last < date.max:
            found.append(row.created_at < _midnight(self.last + timedelta(days=1)))
        return found


@dataclass(frozen=True)
class Page:
    """One page of rows, newest first, and the keys of its neighbours (None where there is none)."""

    rows: list[ScreeningRow]
    newer: str | None
    older: str | None


def read_page(filters: Filters, *, older: str = "", newer: str = "") -> Page:
    """The page after the key `older`, or before the key `newer`, or the first.

    Pages follow (created_at, id), so their cost does not grow with how far back they lie, and rows that arrive in
    between shift nothing.
    """
    key = tuple_(ScreeningRow.created_at, ScreeningRow.id)
    query = select(ScreeningRow).where(*filters.conditions()).options(selectinload(ScreeningRow.photos))
    after, before = _read_key(older), _read_key(newer)
    backwards = before is not None and after is None
    if backwards:
        query = query.where(key > before).order_by(ScreeningRow.created_at, ScreeningRow.id)
    else:
        if after is not None:
            query = query.where(key < after)
        query = query.order_by(ScreeningRow.created_at.desc(), ScreeningRow.id.desc())
    rows = list(db.session.scalars(query.limit(PAGE_SIZE + 1)))
    more = len(rows) > PAGE_SIZE
    rows = rows[:PAGE_SIZE]
    if backwards:
        rows.reverse()
    if not rows:
        return Page([], None, None)
    has_newer = more if backwards else after is not None
    has_older = True if backwards else more
    return Page(rows, _write_key(rows[0]) if has_newer else None, _write_key(rows[-1]) if has_older else None)


def _write_key(row: ScreeningRow) -> str:
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()}|{row.id}".encode()).decode().rstrip("=")


def _read_key(text: str) -> tuple[datetime, int] | None:
    try:
        moment, _bar, number = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition("|")
        created = datetime.fromisoformat(moment)
        return (created.astimezone(UTC), int(number)) if created.tzinfo and abs(int(number)) < 2**63 else None
    except (ValueError, OverflowError, binascii.Error):
        return None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
