"""The report of `flask conditions`: one self-contained HTML page with a curve and a table for each condition."""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ml.conditions import CONDITIONS, degrade
from ml.conditions_metrics import tone_sentence
from ml.files import write_bytes
from ml.pages import environment
from ml.report_figures import COLOURS, DASHES, GREY

TEMPLATE = "conditions_report.html.j2"
CELL = (144, 192)  # height and width, in pixels, of a picture in the contact sheet
COLUMNS = 3

LINES = (
    ("answered_balanced_accuracy", "balanced accuracy of the answered", COLOURS[0], DASHES[0], "o"),
    ("refused", "refused", GREY, DASHES[1], "s"),
    ("malignant_called_benign", "malignant answered “benign”", COLOURS[1], DASHES[2], "^"),
)
"""Figure, what it is called, colour, dashes and marker of each line of a curve."""

Lesion = tuple[NDArray[np.uint8], NDArray[np.bool_] | None]
"""A picture [H, W, 3] and where its lesion is [H, W], if that was found."""


def write_conditions_report(out: Path, figures: Mapping[str, Any], shown: Sequence[Lesion]) -> None:
    """Write `report.html` into `out`: `figures` is the content of `conditions.json`, `shown` the lesions to picture.

    Raises OSError where a file cannot be written.
    """
    templates = environment()
    templates.filters.update(share=share, share_span=share_span, points=points, points_span=points_span)
    page = templates.get_template(TEMPLATE).render(
        figures=figures,
        tones=tone_sentence(figures),
        curves={
            condition["name"]: _data_uri(svg(draw_condition(figures, condition)), "image/svg+xml")
            for condition in figures["conditions"]
        },
        sheets=[_data_uri(contact_sheet(photo, mask), "image/jpeg") for photo, mask in shown],
    )
    write_bytes(out / "report.html", page.encode())


def draw_condition(figures: Mapping[str, Any], condition: Mapping[str, Any]) -> Figure:
    """The curves of one condition, from the picture as it is to the severest step."""
    figure = Figure(figsize=(4.6, 3.6), layout="constrained", facecolor="white")
    axes = figure.subplots()
    _draw(axes, figures, condition)
    axes.legend(fontsize=8, loc="best")
    return figure


def draw_all(figures: Mapping[str, Any]) -> Figure:
    """The curves of every condition side by side, under one legend."""
    conditions = figures["conditions"]
    rows = -(-len(conditions) // COLUMNS)
    figure = Figure(figsize=(3.5 * COLUMNS, 2.9 * rows), layout="constrained", facecolor="white")
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, condition in zip(grid, conditions, strict=False):
        _draw(axes, figures, condition)
    for axes in grid[len(conditions) :]:
        axes.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _draw(axes: Axes, figures: Mapping[str, Any], condition: Mapping[str, Any]) -> None:
    steps = [{"step": "as it is", **figures["unchanged"]}, *condition["steps"]]
    at = np.arange(len(steps))
    for name, label, colour, dashes, marker in LINES:
        if name not in figures["unchanged"]:
            continue
        values = _plain(step[name] for step in steps)
        low, high = (_plain(step["intervals"][name][end] for step in steps) for end in (0, 1))
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(at, values, color=colour, linestyle=dashes, marker=marker, markersize=4, linewidth=1.6, label=label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xticks(at, [step["step"] for step in steps], fontsize=8)
    axes.set_title(condition["title"], fontsize=10)
    axes.set_xlabel(condition["unit"], fontsize=8)
    axes.set_ylim(-0.02, 1.02)


def _plain(values: Any) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def svg(figure: Figure, source: str = "") -> bytes:
    """The figure as SVG, the same bytes for the same figure; `source` is kept in its metadata."""
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "conditions"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Source": source or None})
    return stream.getvalue()


def digest(figures: Mapping[str, Any]) -> str:
    """What an SVG drawn from these figures names as its source."""
    return hashlib.sha256(repr(figures).encode()).hexdigest()


def contact_sheet(photo: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> bytes:
    """One picture [H, W, 3] at every step of every condition, a row each, as the bytes of a JPEG."""
    height, width = CELL
    columns = 1 + max(len(condition.values) for condition in CONDITIONS)
    sheet = np.full((len(CONDITIONS) * height, columns * width, 3), 255, np.uint8)
    figure = Figure(figsize=(1.25 * columns + 1.8, 0.95 * len(CONDITIONS)), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for row, condition in enumerate(CONDITIONS):
        for column, step in enumerate(("as it is", *condition.steps)):
            picture = Image.fromarray(degrade(photo, condition, column, mask))
            cell = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
            sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = cell
            axes.text(
                column * width + 8, row * height + 8, step, fontsize=7, va="top", color="#111827",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
            )  # fmt: skip
    axes.imshow(sheet, interpolation="none")
    axes.set_yticks(
        [(row + 0.5) * height for row in range(len(CONDITIONS))], [condition.title for condition in CONDITIONS]
    )
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="jpg", dpi=110, pil_kwargs={"quality": 80})
    return stream.getvalue()


def share(value: float | None) -> str:
    """A share as whole percent."""
    return "-" if value is None else f"{100 * value:.0f} %"


def share_span(bounds: Sequence[float | None]) -> str:
    """Both bounds of an interval of a share."""
    low, high = bounds
    return "" if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f}"


def points(value: float | None) -> str:
    """A change of a share in percentage points, with its sign."""
    return "-" if value is None else f"{100 * value:+.0f}"


def points_span(bounds: Sequence[float | None]) -> str:
    """Both bounds of an interval of such a change."""
    low, high = bounds
    return "" if low is None or high is None else f"{100 * low:+.0f} to {100 * high:+.0f}"


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
