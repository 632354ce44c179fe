"""What the page of figures is asked for: a period in buckets, and whose answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

BUCKETS = ("day", "week", "month")
PERIODS = (30, 90, 365)
MOST_DAYS = {"day": 120, "week": 800, "month": 3700}
"""Longest period for each bucket; a longer one is shown in the next coarser bucket."""
EARLIEST = date(2000, 1, 1)
BASELINE_SHARE = 3
"""The oldest third of a period is the baseline that its control limits come from."""


@dataclass(frozen=True)
class Span:
    """One bucket: its first and its last day, and whether it is over."""

    first: date
    last: date
    over: bool

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True)
class Selection:
    """A period from `first` to `last` day in buckets; empty strings mean every label set, model and channel."""

    first: date
    last: date
    bucket: str = "day"
    label_set: str = ""
    model: str = ""
    channel: str = ""

    @classmethod
    def from_args(cls, args: Mapping[str, str], today: date) -> "Selection":
        """Read a query string: `from`, `to` or `days`, and the other names. What makes no sense counts as not given."""
        last = max(min(_date(args.get("to", "")) or today, today), EARLIEST)
        days = args.get("days", "")
        length = int(days) if days.isdecimal() and int(days) in PERIODS else 90
        first = _date(args.get("from", "")) or last - timedelta(days=length - 1)
        first = max(first, last - timedelta(days=MOST_DAYS["month"]))
        if first > last:
            first = last - timedelta(days=length - 1)
        asked = args.get("bucket", "")
        bucket = asked if asked in BUCKETS else "day"
        while (last - first).days + 1 > MOST_DAYS[bucket] and bucket != BUCKETS[-1]:
            bucket = BUCKETS[BUCKETS.index(bucket) + 1]
        return cls(first, last, bucket, args.get("label_set", ""), args.get("model", ""), args.get("channel", ""))

    def to_args(self) -> dict[str, str]:
        """The inverse of `from_args`, without empty values."""
        values = {
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "bucket": self.bucket,
            "label_set": self.label_set,
            "model": self.model,
            "channel": self.channel,
        }
        return {name: value for name, value in values.items() if value}

    def of(self, label_set: str) -> "Selection":
        """The same for one label set."""
        return replace(self, label_set=label_set)

    def fits(self, cell: Mapping[str, Any]) -> bool:
        """Whether a cell of the daily figures belongs to it."""
        return all(
            not wanted or cell[name] == wanted
            for name, wanted in (("label_set", self.label_set), ("model", self.model), ("channel", self.channel))
        )

    def spans(self, today: date) -> list[Span]:
        """The buckets of the period, oldest first; weeks begin on Monday. The first and the last may be cut."""
        found, first = [], self.first
        while first <= self.last:
            last = min(_end(first, self.bucket), self.last)
            found.append(Span(first, last, last < today))
            first = last + timedelta(days=1)
        return found


def baseline(spans: list[Span]) -> list[bool]:
    """Which buckets are the baseline: the oldest third of the period."""
    count = len(spans) // BASELINE_SHARE
    return [place < count for place in range(len(spans))]


def _end(day: date, bucket: str) -> date:
    if bucket == "day":
        return day
    if bucket == "week":
        return day + timedelta(days=6 - day.weekday())
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
