"""Daily figures added up to the buckets of a selection."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from webapp.extensions import db
from webapp.insights import bins
from webapp.insights.counting import COUNTED
from webapp.insights.selection import Selection, Span
from webapp.models.daily import DailyFigures

Floats = NDArray[np.float64]
Day = tuple[date, list[dict[str, Any]]]
"""A day with its cells."""


@dataclass
class Sums:
    """What was counted in one bucket: screenings, the counts by value of `COUNTED`, the tallies of `bins`."""

    count: int = 0
    counted: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COUNTED})
    measured: dict[str, dict[str, Any]] = field(default_factory=lambda: {name: bins.empty() for name in bins.EDGES})

    def add(self, cell: dict[str, Any]) -> None:
        """Add a cell of the daily figures."""
        self.count += cell["count"]
        for name, counter in self.counted.items():
            counter.update(cell[name])
        for name, tally in cell["measured"].items():
            if name in self.measured:
                bins.merge(self.measured[name], tally)

    def total(self, name: str) -> int:
        """All that was counted under a name of `COUNTED`."""
        return sum(self.counted[name].values())


@dataclass(frozen=True)
class Figures:
    """Buckets, oldest first, with their sums; and what there is to choose from in the period."""

    spans: Sequence[Span]
    sums: Sequence[Sums]
    label_sets: tuple[str, ...]
    models: tuple[str, ...]
    channels: tuple[str, ...]
    days: Sequence[Day]

    def screenings_by(self, selection: Selection, name: str) -> Counter[str]:
        """How many screenings of a selection of these days have each `label_set`, `model` or `channel`."""
        found: Counter[str] = Counter()
        for _day, cells in self.days:
            for cell in cells:
                if cell[name] and selection.fits(cell):
                    found[cell[name]] += cell["count"]
        return found

    def counts(self, name: str, value: str) -> Floats:
        """How often `value` was counted under a name of `COUNTED` in each bucket [N]."""
        return np.array([sums.counted[name][value] for sums in self.sums], dtype=np.float64)

    def totals(self, name: str) -> Floats:
        """All that was counted under a name of `COUNTED` in each bucket [N]."""
        return np.array([sums.total(name) for sums in self.sums], dtype=np.float64)

    def values(self, name: str) -> list[str]:
        """The values that occur under a name of `COUNTED`, the most frequent first."""
        together: Counter[str] = Counter()
        for sums in self.sums:
            together.update(sums.counted[name])
        return [value for value, count in together.most_common() if count]

    def means(self, measure: str) -> Floats:
        """The mean of a measure in each bucket [N]; NaN where it was not taken."""
        tallies = [sums.measured[measure] for sums in self.sums]
        return np.array([tally["sum"] / tally["n"] if tally["n"] else np.nan for tally in tallies])


def read_figures(selection: Selection, today: date) -> Figures:
    """The figures of a selection from what is counted already; days that are not count as empty."""
    query = (
        select(DailyFigures.day, DailyFigures.cells)
        .where(DailyFigures.day >= selection.first, DailyFigures.day <= selection.last)
        .order_by(DailyFigures.day)
    )
    return add_up([(row.day, row.cells) for row in db.session.execute(query)], selection, today)


def add_up(days: Sequence[Day], selection: Selection, today: date) -> Figures:
    """The figures of a selection from days that were read already, oldest first."""
    spans = selection.spans(today)
    sums = [Sums() for _ in spans]
    found: dict[str, set[str]] = {"label_set": set(), "model": set(), "channel": set()}
    place = 0
    for day, cells in days:
        while spans[place].last < day:
            place += 1
        for cell in cells:
            for name, values in found.items():
                values.add(cell[name])
            if selection.fits(cell):
                sums[place].add(cell)
    label_sets, models, channels = (tuple(sorted(values - {""})) for values in found.values())
    return Figures(spans, sums, label_sets, models, channels, days)
