"""Charts as SVG made on the server: no script, no inline style; colours come from classes (static/css/insights.css)."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 24
MOST_TICKS = 5
ROW = 38


@dataclass(frozen=True)
class Line:
    """One line: points [N] (NaN: a gap) and the class that colours it; `name` is for the legend, '' for none.

    `marks` [N] are the points drawn as a diamond: those that raise an alarm.
    """

    points: Floats
    kind: str = "series"
    name: str = ""
    marks: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Scene:
    """What a chart shows over N buckets: lines, limits (centre, lower [N], upper [N]), the end of the baseline, and
    bars [N] where it counts."""

    labels: Sequence[str]
    lines: Sequence[Line]
    limits: tuple[float, Floats, Floats] | None = None
    baseline: int = 0
    bars: Floats | None = None
    write: Callable[[float], str] = field(default=lambda value: f"{value:g}")
    from_zero: bool = True


def draw_lines(scene: Scene, key: str, title: str, description: str) -> Markup:
    """Lines, or bars, over time, with their control limits."""
    svg = _frame(key, title, description)
    low, high = _range(scene)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    count = len(scene.labels)

    def x(place: float) -> float:
        return LEFT + (place + 0.5) * (WIDTH - LEFT - RIGHT) / max(count, 1)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    if scene.baseline:
        _add(svg, "rect", "chart-baseline", x=LEFT, y=TOP, width=x(scene.baseline - 0.5) - LEFT, height=y(low) - TOP)
    _axes(svg, scene, ticks, x, y)
    step = (WIDTH - LEFT - RIGHT) / max(count, 1)
    if scene.bars is not None:
        for place, value in enumerate(scene.bars):
            if value > 0:
                top = y(float(value))
                _add(svg, "rect", "chart-bar", x=x(place) - 0.4 * step, y=top, width=0.8 * step, height=y(low) - top)
    if scene.limits is not None:
        centre, lower, upper = scene.limits
        _add(svg, "line", "chart-centre", x1=LEFT, x2=WIDTH - RIGHT, y1=y(centre), y2=y(centre))
        for bound in (lower, upper):
            _path(svg, "chart-limit", [(x(place), y(float(value))) for place, value in enumerate(bound)])
    for line in scene.lines:
        run: list[tuple[float, float]] = []
        for place, value in enumerate([*line.points.tolist(), float("nan")]):
            if not np.isnan(value):
                run.append((x(place), y(value)))
            elif run:
                if len(run) == 1:
                    _add(svg, "circle", f"chart-point chart-{line.kind}", cx=run[0][0], cy=run[0][1], r=2)
                _path(svg, f"chart-line chart-{line.kind}", run)
                run = []
        for marked in np.flatnonzero(line.marks).tolist() if line.marks is not None else ():
            _diamond(svg, x(marked), y(float(line.points[marked])))
    return _written(svg)


def draw_reliability(bins: Sequence[tuple[float, float, float, float, int]], key: str, title: str, text: str) -> Markup:
    """A reliability diagram of bins (mean confidence, share right, its interval's low and high, cases)."""
    svg = _frame(key, title, text)
    side = HEIGHT - TOP - BOTTOM
    wide = WIDTH - LEFT - RIGHT

    def x(value: float) -> float:
        return LEFT + value * wide

    def y(value: float) -> float:
        return TOP + (1 - value) * side

    for tick in (0, 0.25, 0.5, 0.75, 1):
        _add(svg, "line", "chart-grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick))
        _text(svg, "chart-label", f"{tick:.0%}", x=LEFT - 5, y=y(tick) + 4, text_anchor="end")
        anchor = "start" if tick == 0 else "end" if tick == 1 else "middle"
        _text(svg, "chart-label", f"{tick:.0%}", x=x(tick), y=HEIGHT - 6, text_anchor=anchor)
    _add(svg, "line", "chart-centre", x1=x(0), y1=y(0), x2=x(1), y2=y(1))
    most = max((cases for *_, cases in bins), default=1)
    for confidence, right, low, high, cases in bins:
        _add(svg, "line", "chart-whisker", x1=x(confidence), x2=x(confidence), y1=y(low), y2=y(high))
        radius = 2 + 4 * (cases / most) ** 0.5
        _add(svg, "circle", "chart-point chart-series", cx=x(confidence), cy=y(right), r=radius)
    return _written(svg)


def draw_intervals(rows: Sequence[tuple[str, float, float, float]], key: str, title: str, text: str) -> Markup:
    """Rows of (name, share, its interval's low and high), each a dot with whiskers from 0 to 1."""
    height = TOP + max(len(rows), 1) * ROW + BOTTOM
    svg = _frame(key, title, text, height)
    wide = WIDTH - 2 * RIGHT

    def x(value: float) -> float:
        return RIGHT + value * wide

    for tick, anchor in ((0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1, "end")):
        _add(svg, "line", "chart-grid", x1=x(tick), x2=x(tick), y1=TOP, y2=height - BOTTOM)
        _text(svg, "chart-label", f"{tick:.0%}", x=x(tick), y=height - 6, text_anchor=anchor)
    for place, (name, share, low, high) in enumerate(rows):
        y = TOP + place * ROW + 26
        _text(svg, "chart-name", name, x=RIGHT, y=y - 11, text_anchor="start")
        _add(svg, "line", "chart-whisker", x1=x(low), x2=x(high), y1=y, y2=y)
        _add(svg, "circle", "chart-point chart-series", cx=x(share), cy=y, r=4)
    return _written(svg)


def draw_shares(expected: Floats, found: Floats, labels: Sequence[str], key: str, title: str, text: str) -> Markup:
    """Pairs of bars: the expected share [G] and the found share [G] of each group; a label between groups."""
    svg = _frame(key, title, text)
    ticks = nice_ticks(0, float(max(expected.max(), found.max())))
    high = ticks[-1]

    def y(value: float) -> float:
        return TOP + (high - value) / high * (HEIGHT - TOP - BOTTOM)

    for tick in ticks:
        _add(svg, "line", "chart-grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick))
        _text(svg, "chart-label", f"{tick:.0%}", x=LEFT - 5, y=y(tick) + 4, text_anchor="end")
    step = (WIDTH - LEFT - RIGHT) / len(expected)
    for place in range(len(expected)):
        left = LEFT + place * step
        for offset, kind, value in ((0.1, "chart-expected", expected[place]), (0.5, "chart-bar", found[place])):
            top = y(float(value))
            _add(svg, "rect", kind, x=left + offset * step, y=top, width=0.38 * step, height=max(y(0) - top, 0))
    every = -(-len(labels) // 4)
    for place, label in enumerate(labels):
        if place % every == every // 2:
            _text(svg, "chart-label", label, x=LEFT + (place + 1) * step, y=HEIGHT - 6, text_anchor="middle")
    return _written(svg)


def nice_ticks(low: float, high: float) -> list[float]:
    """At most `MOST_TICKS` + 1 round numbers from at or below `low` to at or above `high`, 1, 2 or 5 times a power of
    ten apart."""
    span = high - low if high > low else max(abs(high), 1.0)
    power = 10.0 ** np.floor(np.log10(span / MOST_TICKS))
    step = float(next(m * power for m in (1, 2, 2.5, 5, 10, 20) if m * power * MOST_TICKS >= span * 0.999))
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def _range(scene: Scene) -> tuple[float, float]:
    values = [line.points for line in scene.lines]
    values += [scene.bars] if scene.bars is not None else []
    values += [scene.limits[1], scene.limits[2], np.array([scene.limits[0]])] if scene.limits else []
    known = np.concatenate([part[~np.isnan(part)] for part in values]) if values else np.zeros(0)
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    if scene.from_zero:
        low = min(low, 0.0)
    return (low, high) if high > low else (low, low + max(abs(low), 1.0) * 0.1)


def _axes(
    svg: ET.Element, scene: Scene, ticks: Sequence[float], x: Callable[[float], float], y: Callable[[float], float]
) -> None:
    for tick in ticks:
        _add(svg, "line", "chart-grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick))
        _text(svg, "chart-label", scene.write(tick), x=LEFT - 5, y=y(tick) + 4, text_anchor="end")
    last = len(scene.labels) - 1
    for place, anchor in {0: "start", last // 2: "middle", last: "end"}.items() if last > 1 else [(0, "start")]:
        at = {"start": LEFT, "end": WIDTH - RIGHT}.get(anchor, x(place))
        _text(svg, "chart-label", scene.labels[place] if scene.labels else "", x=at, y=HEIGHT - 6, text_anchor=anchor)


def _frame(key: str, title: str, description: str, height: float = HEIGHT) -> ET.Element:
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height}",
            "class": "chart",
            "role": "img",
            "aria-labelledby": f"{key}-title {key}-text",
        },
    )
    ET.SubElement(svg, "title", {"id": f"{key}-title"}).text = title
    ET.SubElement(svg, "desc", {"id": f"{key}-text"}).text = description
    return svg


def _add(svg: ET.Element, tag: str, kind: str, **numbers: float) -> None:
    ET.SubElement(svg, tag, {"class": kind, **{name: f"{value:.1f}" for name, value in numbers.items()}})


def _text(svg: ET.Element, kind: str, text: str, *, x: float, y: float, text_anchor: str) -> None:
    attributes = {"class": kind, "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": text_anchor}
    ET.SubElement(svg, "text", attributes).text = text


def _path(svg: ET.Element, kind: str, points: Sequence[tuple[float, float]]) -> None:
    if len(points) > 1:
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        ET.SubElement(svg, "polyline", {"class": kind, "points": text, "fill": "none"})


def _diamond(svg: ET.Element, x: float, y: float) -> None:
    corners = ((0, -5), (5, 0), (0, 5), (-5, 0))
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    ET.SubElement(svg, "polygon", {"class": "chart-alarm", "points": points})


def _written(svg: ET.Element) -> Markup:
    return Markup(ET.tostring(svg, encoding="unicode"))  # noqa: S704  # the writer escapes
