"""One picture of a comparison: accuracy of every model, ours and published, beside what an answer takes."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ml.report_figures import COLOURS, GREY, render

OURS, BALANCED, LEAKING = COLOURS[0], COLOURS[2], COLOURS[1]


def draw_comparison(content: Mapping[str, Any]) -> bytes:
    """An SVG: on the left accuracy and balanced accuracy with intervals or deviations, on the right milliseconds."""
    ours = sorted(content["models"], key=lambda row: (row["label_set"], -_value(row, "accuracy")))
    labels = [f"{row['name']}, {row['folds']} folds" if row["folds"] else str(row["name"]) for row in ours]
    labels += [f"{result['model']} (published)" for result in content["published"]]
    figure = Figure(figsize=(9.2, 1.5 + 0.42 * len(labels)), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1.6))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e5e7eb", linewidth=0.7)
        axes.set_axisbelow(True)
    for place, row in enumerate(ours):
        _point(left, place - 0.12, row["figures"].get("accuracy"), OURS, "o")
        _point(left, place + 0.12, row["figures"].get("balanced_accuracy"), BALANCED, "s")
        _latency(right, place, row)
    for place, result in enumerate(content["published"], start=len(ours)):
        leaking = result["leaking"] == "yes"
        marker, colour = ("x", LEAKING) if leaking else ("o", GREY)
        left.plot(result["value"], place, marker, color=colour, markerfacecolor="none", markersize=7)
    left.set_yticks(range(len(labels)), labels)
    left.invert_yaxis()
    left.set(xlim=(0, 1.02), xlabel="share of test pictures (squares: mean over classes)")
    for title, marker, colour in (
        ("accuracy", "o", OURS), ("balanced accuracy", "s", BALANCED), ("published, leaking", "x", LEAKING)
    ):  # fmt: skip
        left.plot([], [], marker, color=colour, label=title)
    left.plot([], [], "o", color=GREY, markerfacecolor="none", label="published")
    left.legend(loc="lower left", fontsize=8)
    if ours:
        right.set_xscale("log")
        right.xaxis.set_major_formatter("{x:g}")
    right.set(xlabel="ms for a photo as served\n(dot: ONNX, one view)")
    return render(figure, "svg")


def _value(row: Mapping[str, Any], name: str) -> float:
    entry = row["figures"].get(name)
    return -1.0 if entry is None or entry["value"] is None else float(entry["value"])


def _point(axes: Axes, place: float, entry: Mapping[str, Any] | None, colour: str, marker: str) -> None:
    if entry is None or entry["value"] is None:
        return
    value, reach = entry["value"], None
    if entry.get("deviation") is not None:
        reach = [[entry["deviation"]], [entry["deviation"]]]
    elif entry.get("low") is not None and entry.get("high") is not None:
        reach = [[max(0.0, value - entry["low"])], [max(0.0, entry["high"] - value)]]
    axes.errorbar([value], [place], xerr=reach, fmt=marker, color=colour, markersize=5, elinewidth=1.2, capsize=2)


def _latency(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    served = row["latency"]["served"]["median"]
    if math.isfinite(served) and served > 0:
        axes.barh(place, served, height=0.5, color="#9cc3de")
    if row["onnx"] is not None:
        axes.plot(row["onnx"]["median"], place, "o", color=OURS, markersize=5)
