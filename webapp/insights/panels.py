"""A panel is one chart, the table behind it, and the alerts that it raises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from flask_babel import format_date, format_decimal
from markupsafe import Markup
from numpy.typing import NDArray

from ml.control_charts import Chart, count_chart, ewma_chart, share_chart
from webapp.i18n import choose_language, percent
from webapp.i18n import gettext as _
from webapp.insights.bins import quantile
from webapp.insights.figures import Figures, Sums
from webapp.insights.picture import Line, Scene, draw_lines
from webapp.insights.selection import Span, baseline

Floats = NDArray[np.float64]
Cell = str | int | float | None

LEAST_BASELINE = 5
"""Buckets that the baseline must have for control limits."""
LEAST_CASES = 30
"""Cases that the baseline of a share must have for control limits."""


@dataclass(frozen=True)
class Alert:
    """Points in a row outside of their control limits: which panel, from when to when, and on which side."""

    key: str
    title: str
    span: Span
    high: bool
    points: int = 1


@dataclass(frozen=True)
class Panel:
    """A chart as SVG with its table: `columns` are (name in CSV, heading, kind), the kind one of 'day', 'share',
    'count', 'number', 'seconds', 'flag' and 'text'. `note` says what to make of it; `points` were compared with
    limits."""

    key: str
    title: str
    note: str
    picture: Markup | None
    columns: Sequence[tuple[str, str, str]]
    rows: Sequence[Sequence[Cell]]
    alerts: Sequence[Alert] = ()
    points: int = 0
    legend: Sequence[tuple[str, str]] = ()

    def shown(self, row: Sequence[Cell]) -> list[tuple[str, bool]]:
        """The cells of a row as text, and whether each is a number."""
        kinds = (kind for _name, _heading, kind in self.columns)
        return [(show(cell, kind), kind not in ("day", "text", "flag")) for cell, kind in zip(row, kinds, strict=True)]


@dataclass(frozen=True)
class Section:
    """Panels that belong together, under a heading with a sentence."""

    key: str
    title: str
    intro: str
    panels: Sequence[Panel]


def show(value: Cell, kind: str) -> str:
    """A cell of a table as people read it, in the visitor's language."""
    return _shown(value, kind, choose_language())


@lru_cache(maxsize=20_000)
def _shown(value: Cell, kind: str, language: str) -> str:
    """Limits and counts repeat from row to row; writing a number in a language is slow."""
    if value is None:
        return "\N{EN DASH}"
    if kind == "flag":
        return _("Alert") if value else ""
    if isinstance(value, str):
        return value
    if kind == "share":
        return percent(float(value))
    if kind == "seconds":
        return f"{format_decimal(value, '#,##0.00')}\N{NO-BREAK SPACE}s"
    return str(format_decimal(value, "#,##0.##"))


def labels_of(spans: Sequence[Span]) -> list[str]:
    """The first day of each bucket, briefly."""
    return [str(format_date(span.first, "d MMM" if len(spans) < 300 else "MMM y")) for span in spans]


def share_panel(figures: Figures, key: str, title: str, note: str, counts: Floats, totals: Floats) -> Panel:
    """A share over time with the limits of a p-chart."""
    chart = share_chart(counts, totals, _baseline(figures, totals, LEAST_CASES))
    return _controlled(
        figures, key, title, note, chart, "share", np.divide(counts, totals, out=_gaps(totals), where=totals > 0),
        (("cases", _("Cases"), totals), ("counted", _("Of these"), counts)),
    )  # fmt: skip


def volume_panel(figures: Figures, key: str, title: str, note: str) -> Panel:
    """Screenings a day over time with the limits of a u-chart."""
    counts = np.array([sums.count for sums in figures.sums], dtype=np.float64)
    sizes = np.array([span.days for span in figures.spans], dtype=np.float64)
    chart = count_chart(counts, sizes, _baseline(figures, counts, LEAST_CASES))
    return _controlled(
        figures, key, title, note, chart, "count", counts / sizes, (("screenings", _("Screenings"), counts),), bars=True
    )


def average_panel(figures: Figures, key: str, title: str, note: str, measure: str) -> Panel:
    """The mean of a measure over time, smoothed, with the limits of an EWMA chart."""
    means = figures.means(measure)
    cases = np.array([sums.measured[measure]["n"] for sums in figures.sums], dtype=np.float64)
    chart = ewma_chart(means, _baseline(figures, cases, LEAST_CASES))
    return _controlled(
        figures, key, title, note, chart, "number", means,
        (("cases", _("Photos"), cases),), smoothed=True,
    )  # fmt: skip


def lines_panel(
    figures: Figures, key: str, title: str, note: str, kind: str, lines: Sequence[tuple[str, str, Floats]],
    counts: Sequence[tuple[str, str, Floats]] = (),
) -> Panel:  # fmt: skip
    """Several lines (name in CSV, name, points [N]) over time without limits, the first ones drawn most clearly;
    `counts` stand in the table beside them."""
    drawn = [Line(points, f"line-{place + 1}", name) for place, (_name, name, points) in enumerate(lines)]
    scene = Scene(labels_of(figures.spans), drawn, write=_writer(kind))
    return Panel(
        key,
        title,
        note,
        draw_lines(scene, key, title, note),
        (
            *_day_columns(),
            *((csv_name, name, kind) for csv_name, name, _points in lines),
            *((csv_name, name, "count") for csv_name, name, _points in counts),
        ),
        [
            (
                *_days(span),
                *(_plain(points[place]) for _name, _shown, points in lines),
                *(int(points[place]) for _name, _shown, points in counts),
            )
            for place, span in enumerate(figures.spans)
        ],
        legend=[(line.kind, line.name) for line in drawn],
    )


def _controlled(
    figures: Figures, key: str, title: str, note: str, chart: Chart | None, kind: str, points: Floats,
    more: Sequence[tuple[str, str, Floats]], *, bars: bool = False, smoothed: bool = False,
) -> Panel:  # fmt: skip
    """The panel of a control chart; `points` [N] alone where there are no limits (yet)."""
    spans = figures.spans
    judged = np.array([span.over for span in spans]) & ~np.array(baseline(list(spans)))
    alarms = chart.alarms & judged if chart else np.zeros(len(spans), dtype=bool)
    line = chart.points if chart and smoothed else points
    lines = [Line(points, "faint"), Line(line, "series", marks=alarms)] if smoothed else [Line(points, marks=alarms)]
    if bars:
        lines = [Line(np.where(alarms, points, np.nan), "none", marks=alarms)]
    scene = Scene(
        labels_of(spans),
        lines,
        limits=(chart.centre, chart.lower, chart.upper) if chart else None,
        baseline=sum(baseline(list(spans))) if chart else 0,
        bars=points if bars else None,
        write=_writer(kind),
        from_zero=not smoothed,
    )
    columns = [*_day_columns(), ("value", title, kind)]
    columns += [("smoothed", _("Smoothed"), kind)] if smoothed else []
    columns += [(name, heading, "count") for name, heading, _values in more]
    columns += [("centre", _("Centre"), kind), ("lower", _("Lower limit"), kind), ("upper", _("Upper limit"), kind)]
    columns.append(("alert", _("Alert"), "flag"))
    rows: list[Sequence[Cell]] = []
    for place, span in enumerate(spans):
        row: list[Cell] = [*_days(span), _plain(points[place])]
        row += [_plain(line[place])] if smoothed else []
        row += [int(values[place]) for _name, _heading, values in more]
        row += [_plain(chart.centre), _plain(chart.lower[place]), _plain(chart.upper[place])] if chart else [None] * 3
        rows.append([*row, int(alarms[place])])
    limits = "" if chart else " " + _("Too few earlier cases for control limits.")
    return Panel(
        key,
        title,
        note + limits,
        draw_lines(scene, key, title, _summary(title, line, kind, alarms)),
        columns,
        rows,
        _alerts(key, title, spans, alarms, line > chart.centre) if chart else [],
        points=int((judged & ~np.isnan(points)).sum()) if chart else 0,
    )


def _alerts(
    key: str, title: str, spans: Sequence[Span], alarms: NDArray[np.bool_], high: NDArray[np.bool_]
) -> list[Alert]:
    """The points that raise an alarm, those in a row on one side as one alert."""
    found: list[Alert] = []
    previous = -2
    for place in np.flatnonzero(alarms).tolist():
        span, above = spans[place], bool(high[place])
        if place == previous + 1 and found[-1].high == above:
            begun = found.pop()
            joined = Span(begun.span.first, span.last, span.over)
            found.append(Alert(key, title, joined, above, begun.points + 1))
        else:
            found.append(Alert(key, title, span, above))
        previous = place
    return found


def _summary(title: str, points: Floats, kind: str, alarms: NDArray[np.bool_]) -> str:
    """The chart in a sentence, for those who do not see it."""
    known = points[~np.isnan(points)]
    if not len(known):
        return _("%(what)s: nothing was counted.", what=title)
    return _(
        "%(what)s over time, from %(low)s to %(high)s, most recently %(last)s; %(count)s points raise an alert.",
        what=title,
        low=show(float(known.min()), kind),
        high=show(float(known.max()), kind),
        last=show(float(known[-1]), kind),
        count=int(alarms.sum()),
    )


def _baseline(figures: Figures, cases: Floats, least: int) -> NDArray[np.bool_]:
    """The buckets of the baseline that hold cases; none of them where they are too few for limits."""
    found = np.array(baseline(list(figures.spans))) & np.array([sums.count > 0 for sums in figures.sums])
    enough = (found & (cases > 0)).sum() >= LEAST_BASELINE and cases[found].sum() >= least
    return found if enough else np.zeros(len(found), dtype=bool)


def _writer(kind: str) -> Callable[[float], str]:
    if kind == "share":
        return lambda value: f"{format_decimal(100 * value, '#,##0.#')}%"
    if kind == "seconds":
        return lambda value: f"{format_decimal(value, '#,##0.##')} s"
    return lambda value: str(format_decimal(value, "#,##0.##"))


def _day_columns() -> list[tuple[str, str, str]]:
    return [("first_day", _("From"), "day"), ("last_day", _("To"), "day")]


def _days(span: Span) -> tuple[str, str]:
    return span.first.isoformat(), span.last.isoformat()


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _gaps(like: Floats) -> Floats:
    return np.full(len(like), np.nan)


def quantiles_over_time(sums: Sequence[Sums], measure: str, share: float) -> Floats:
    """A quantile of a measure in each bucket [N]; NaN where it was not taken."""
    found = [quantile(one.measured[measure], measure, share) for one in sums]
    return np.array([np.nan if value is None else value for value in found])
