"""The pictures of an evaluation report, each as one matplotlib figure.

Colours are those of Okabe and Ito ("Color universal design", 2008), which people with colour-blindness can tell
apart; lines differ in their dashes too. Figures are narrow, so that they stay legible on a phone.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ml import metrics
from ml.metrics import Bools, Curve, Floats
from ml.predictions import Predictions

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.5, 1.5)))
GREY = "#6b7280"


def draw_figures(predictions: Predictions, thresholds: Mapping[str, float] | None) -> dict[str, tuple[str, Figure]]:
    """(what it shows, figure) by file stem."""
    drawn = {
        "confusion_counts": ("Confusion matrix, number of images", _confusion(predictions, normalise=False)),
        "confusion_shares": ("Confusion matrix, share of each true class", _confusion(predictions, normalise=True)),
        "roc": ("ROC curve of each class against all others", _roc(predictions)),
        "precision_recall": ("Precision and recall of each class", _precision_recall(predictions)),
        "reliability_before": ("Reliability before calibration", _reliability(predictions, predictions.uncalibrated)),
        "reliability": (
            "Reliability of the stated probabilities",
            _reliability(predictions, predictions.probabilities),
        ),
    }
    if thresholds is not None:
        drawn["malignant_roc"] = (
            "ROC curve of malignant risk, with both operating points", _malignant_roc(predictions, thresholds)
        )  # fmt: skip
    return drawn


def render(figure: Figure, kind: Literal["png", "svg"]) -> bytes:
    """The figure as the bytes of a file, without a date, so that the same figures give the same file."""
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()


def _axes(width: float = 4.6, height: float = 4.2) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _unit_axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure, axes = _axes()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y)
    return figure, axes


def _confusion(predictions: Predictions, *, normalise: bool) -> Figure:
    codes = predictions.taxonomy.codes
    counts = metrics.confusion_matrix(predictions.labels, predictions.predicted, len(codes))
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    figure, axes = _axes(4.6, 4.4)
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(codes)):
        for column in range(len(codes)):
            text = f"{100 * shares[row, column]:.0f}%" if normalise else f"{counts[row, column]:.0f}"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=9.5 if len(codes) < 9 else 7,
                color="white" if shares[row, column] > 0.5 else "#111827" if counts[row, column] else "#9ca3af",
            )  # fmt: skip
    axes.set_xticks(range(len(codes)), codes, rotation=35 if len(codes) > 4 else 0)
    axes.set_yticks(range(len(codes)), codes)
    axes.set(xlabel="named by the model", ylabel="true class")
    return figure


def _roc(predictions: Predictions) -> Figure:
    figure, axes = _unit_axes("false positive rate (1 - specificity)", "sensitivity")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    _curves_per_class(axes, predictions, metrics.roc_curve, lambda p, s: float(metrics.auroc(p, s)))
    axes.legend(title="AUROC", loc="lower right", fontsize=9, title_fontsize=9)
    return figure


def _precision_recall(predictions: Predictions) -> Figure:
    figure, axes = _unit_axes("recall (sensitivity)", "precision")
    _curves_per_class(axes, predictions, metrics.precision_recall_curve, metrics.average_precision)
    axes.legend(title="average precision", loc="lower left", fontsize=9, title_fontsize=9)
    return figure


def _curves_per_class(
    axes: Axes,
    predictions: Predictions,
    curve: Callable[[Bools, Floats], Curve],
    area: Callable[[Bools, Floats], float],
) -> None:
    for i, code in enumerate(predictions.taxonomy.codes):
        positive, scores = predictions.labels == i, predictions.probabilities[:, i]
        if not positive.any() or positive.all():
            continue
        x, y, _ = curve(positive, scores)
        axes.step(
            x, y, where="post", color=COLOURS[i % len(COLOURS)], linestyle=DASHES[i % len(DASHES)], linewidth=1.6,
            label=f"{code}  {area(positive, scores):.3f}",
        )  # fmt: skip


def _malignant_roc(predictions: Predictions, thresholds: Mapping[str, float]) -> Figure:
    figure, axes = _unit_axes("false positive rate (1 - specificity)", "sensitivity")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    truth, risk = predictions.malignant, predictions.risk
    if truth.any() and not truth.all():
        x, y, _ = metrics.roc_curve(truth, risk)
        axes.step(x, y, where="post", color=COLOURS[0], linewidth=1.8, label=f"AUROC {metrics.auroc(truth, risk):.3f}")
        for (name, threshold), marker, colour in zip(thresholds.items(), "so", COLOURS[1:3], strict=False):
            found = metrics.sensitivity(truth, risk >= threshold)
            spared = metrics.specificity(truth, risk >= threshold)
            axes.plot(
                1 - spared, found, marker, color=colour, markersize=9, markeredgecolor="white",
                label=f"{name}: risk ≥ {threshold:.3f}",
            )  # fmt: skip
        axes.legend(loc="lower right", fontsize=9)
    return figure


def _reliability(predictions: Predictions, probabilities: Floats) -> Figure:
    figure = Figure(figsize=(4.6, 4.8), layout="constrained", facecolor="white")
    axes, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    for each in (axes, histogram):
        each.spines[["top", "right"]].set_visible(False)
        each.grid(color="#e5e7eb", linewidth=0.7)
        each.set_axisbelow(True)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="perfectly calibrated")
    correct = probabilities.argmax(axis=1) == predictions.labels
    bins = metrics.reliability_bins(probabilities.max(axis=1), correct)
    _reliability_line(axes, bins, "top class", 0)
    if predictions.taxonomy.malignant:
        risk = probabilities[:, list(predictions.taxonomy.malignant)].sum(axis=1)
        _reliability_line(axes, metrics.reliability_bins(risk, predictions.malignant), "malignant risk", 1)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), ylabel="share that was true")
    axes.legend(loc="lower right", fontsize=9)
    edges = np.linspace(0, 1, len(bins.images) + 1)
    histogram.bar(edges[:-1], bins.images, width=np.diff(edges), align="edge", color=COLOURS[0], edgecolor="white")
    histogram.set(xlabel="stated probability", ylabel="images")
    return figure


def _reliability_line(axes: Axes, bins: metrics.ReliabilityBins, label: str, index: int) -> None:
    """Points with their 95 % Wilson interval, for bins of at least five images."""
    filled = bins.images >= 5
    x, y, images = bins.confidence[filled], bins.frequency[filled], bins.images[filled]
    spans = [metrics.wilson_interval(share * n, n) for share, n in zip(y, images, strict=True)]
    reach = [[max(0.0, s - low) for s, (low, _) in zip(y, spans, strict=True)]]
    reach.append([max(0.0, high - s) for s, (_, high) in zip(y, spans, strict=True)])
    axes.errorbar(
        x, y, yerr=reach if len(x) else None, color=COLOURS[index], linestyle=DASHES[index], marker="os"[index],
        markersize=5, linewidth=1.4, elinewidth=0.8, capsize=2, label=label,
    )  # fmt: skip
