"""What the history can be narrowed to and sorted by, and how that is written in an address."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import ColumnElement

from ml.labels import Status
from ml.screening import VERDICTS
from webapp.models.screening import CaseStatus, ScreeningRow

STATUSES = (*(status.value for status in Status), "pending", "failed", "deleted")
CHANNELS = ("web", "api", "telegram")
TEXT_LENGTH = 200

CHOICES = {"status": STATUSES, "gate": VERDICTS, "review": tuple(status.value for status in CaseStatus)}
"""Filters with a fixed set of values; anything else counts as not given."""

FACET_OF = {
    "status": "status",
    "label_set": "label_set",
    "predicted": "predicted",
    "gate": "gate_verdict",
    "review": "review_status",
    "reviewed": "reviewed_class",
    "channel": "channel",
    "language": "language",
}
"""The field of `screenings.facet` that each filter by a single code asks for."""


@dataclass(frozen=True)
class Sort:
    """An order of the history: by a column that is never null, ties by id in the same direction."""

    name: str
    column: str
    descending: bool = True


SORTS = {
    sort.name: sort
    for sort in (
        Sort("newest", "created_at"),
        Sort("oldest", "created_at", descending=False),
        Sort("risk", "risk_order"),
        Sort("uncertainty", "uncertainty_order"),
        Sort("disagreement", "disagreement_order"),
    )
}
NEWEST = SORTS["newest"]


@dataclass(frozen=True)
class Filters:
    """What the history is narrowed to; empty strings and None mean everything.

    `first` and `last` are days in UTC; risks and uncertainties are in 0..1 here and in percent in an address. `text` is
    searched for: a result's token or address, `#` and a screening's number, or words of a note.
    """

    label_set: str = ""
    status: str = ""
    predicted: str = ""
    gate: str = ""
    review: str = ""
    reviewed: str = ""
    channel: str = ""
    language: str = ""
    model: str = ""
    first: date | None = None
    last: date | None = None
    risk_from: float | None = None
    risk_to: float | None = None
    uncertainty_from: float | None = None
    uncertainty_to: float | None = None
    text: str = ""

    @classmethod
    def from_args(cls, args: Mapping[str, str]) -> "Filters":
        """Read a query string; values that make no sense count as not given."""
        values: dict[str, str | float | date | None] = {}
        for field in fields(cls):
            given = args.get(ARGUMENTS.get(field.name, field.name), "").strip()
            if field.name in ("first", "last"):
                values[field.name] = _date(given)
            elif field.name.endswith(("_from", "_to")):
                values[field.name] = _share(given)
            elif field.name not in CHOICES or given in CHOICES[field.name]:
                values[field.name] = _sendable(given)
        return cls(**values)  # type: ignore[arg-type]

    def to_args(self) -> dict[str, str]:
        """The inverse of `from_args`, without empty values."""
        found = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value != "":
                name = ARGUMENTS.get(field.name, field.name)
                found[name] = f"{100 * value:g}" if isinstance(value, float) else str(value)
        return found

    def facet(self) -> dict[str, str]:
        """The fields of `screenings.facet` that are asked for, with their values."""
        found = {field: getattr(self, name) for name, field in FACET_OF.items() if getattr(self, name)}
        if self.model:
            name, at, version = self.model.partition("@")
            found |= {"model_name": name, **({"model_version": version} if at else {})}
        return found

    def ranges(self) -> dict[str, list[ColumnElement[bool]]]:
        """The conditions on each column that a range is asked of, by the column's name."""
        row = ScreeningRow
        found: dict[str, list[ColumnElement[bool]]] = {}
        if self.first:
            found["created_at"] = [row.created_at >= _midnight(self.first)]
        if self.last and self.last < date.max:
            found.setdefault("created_at", []).append(row.created_at < _midnight(self.last + timedelta(days=1)))
        for name, low, high in (
            ("risk_order", self.risk_from, self.risk_to),
            ("uncertainty_order", self.uncertainty_from, self.uncertainty_to),
        ):
            if low is not None or high is not None:
                column = getattr(row, name)  # below 0 where there is none
                found[name] = [column >= (low or 0.0), column <= (1.0 if high is None else high)]
        return found


ARGUMENTS = {"first": "from", "last": "to", "text": "q"}
"""Fields of `Filters` that have another name in an address."""


def read_queue(query: str) -> tuple[Filters, Sort]:
    """Filters and sort of an address's query string, as links to a case carry it in `?queue=`."""
    args = dict(parse_qsl(query))
    return Filters.from_args(args), SORTS.get(args.get("sort", ""), NEWEST)


def write_queue(filters: Filters, sort: Sort) -> str:
    """The inverse of `read_queue`; empty for the whole history, newest first."""
    return urlencode({**filters.to_args(), **({} if sort == NEWEST else {"sort": sort.name})})


def recorded(query: str) -> dict[str, Any]:
    """What the audit log and the card of an export keep of a query string: filters, sort, and whether something was
    searched for. Not for what: that may be the address of a result, or words of a note.
    """
    filters, sort = read_queue(query)
    asked = {name: value for name, value in filters.to_args().items() if name != ARGUMENTS["text"]}
    return {"filters": asked, "sort": sort.name, "searched": bool(filters.text)}


def _sendable(text: str) -> str:
    """Without what databases refuse: half characters and zero bytes."""
    return re.sub("[\x00\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)[:TEXT_LENGTH]


def _share(percent: str) -> float | None:
    try:
        value = float(percent.replace(",", ".")) / 100
    except ValueError:
        return None
    return min(1.0, max(0.0, round(value, 9))) if value == value else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
