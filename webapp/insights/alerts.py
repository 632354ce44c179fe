"""Alerts: points outside of their control limits, for each label set in its own right."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask import current_app

from ml.control_charts import FALSE_ALARMS
from webapp import clock
from webapp.insights.figures import add_up, read_figures
from webapp.insights.panels import Alert, Section
from webapp.insights.sections import controlled_sections
from webapp.insights.selection import Selection

WATCHED_DAYS = 90
RECENT_DAYS = 7
"""An alert of the last so many days raises the notice in the navigation."""
MOST_SHOWN = 30
FRESH_SECONDS = 300
"""For how long a process believes its last look."""


@dataclass(frozen=True)
class Alerts:
    """Alerts, newest first; `points` were looked at, of which `expected` lie outside by chance alone."""

    found: tuple[Alert, ...]
    points: int

    @property
    def expected(self) -> float:
        """How many of as many points chance alone puts outside of 3 sigma limits."""
        return self.points * FALSE_ALARMS


def alerts_of(sections: Sequence[Section]) -> Alerts:
    """All alerts of the panels of some sections."""
    panels = [panel for section in sections for panel in section.panels]
    found = sorted((alert for panel in panels for alert in panel.alerts), key=lambda alert: alert.span.last)
    return Alerts(tuple(reversed(found)), sum(panel.points for panel in panels))


def recent_alerts() -> int:
    """How many alerts the last `RECENT_DAYS` days raise over all label sets, as the page shows them by day.

    Reads what is counted already; a process remembers the answer for `FRESH_SECONDS`.
    """
    kept: dict[str, tuple[float, date, int]] = current_app.extensions.setdefault("recent_alerts", {})
    today = clock.now().date()
    found = kept.get("last")
    if found is None or found[1] != today or time.monotonic() - found[0] > FRESH_SECONDS:
        found = kept["last"] = (time.monotonic(), today, _count_recent(today))
    return found[2]


def _count_recent(today: date) -> int:
    whole = Selection(today - timedelta(days=WATCHED_DAYS - 1), today)
    count = 0
    figures = read_figures(whole, today)
    for label_set in figures.label_sets:
        sections = controlled_sections(add_up(figures.days, whole.of(label_set), today), label_set)
        since = today - timedelta(days=RECENT_DAYS)
        count += sum(alert.span.last >= since for alert in alerts_of(sections).found)
    return count
