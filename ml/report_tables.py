"""The tables of a report as its page takes them: headline figures, classes in order, operating points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml import metrics
from ml.labels import Status, Taxonomy
from ml.metrics import Floats
from ml.predictions import Predictions

FIXED_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Headline:
    """One figure as a person reads it: its name, value with interval, and what it means in a sentence."""

    name: str
    value: str
    interval: str
    meaning: str


def headline_figures(figures: Mapping[str, Any]) -> list[Headline]:
    """The headline figures, those about malignancy first."""
    spans, rows = figures["intervals"], []

    def add(name: str, key: str, value: float | None, meaning: str, *, percent: bool = True) -> None:
        number, interval = (
            (shown_percent(value), shown_percent_span(spans[key]))
            if percent
            else (shown_figure(value), shown_span(spans[key]))
        )
        rows.append(Headline(name, number, interval, meaning))

    if figures["malignant"] is not None:
        status = figures["status"]
        add(
            "Malignant found",
            "status_malignant_or_uncertain_sensitivity",
            status["malignant_or_uncertain_sensitivity"],
            "Of the images of malignant lesions, the share answered “malignant” or “uncertain”: the person is told to "
            "have it looked at. Refused pictures count as missed.",
        )
        add(
            "Malignant flagged as such",
            "status_malignant_sensitivity",
            status["malignant_sensitivity"],
            "Of the images of malignant lesions, the share answered “malignant” (sensitivity). Refused pictures count "
            "as missed.",
        )
        add(
            "Others not flagged",
            "status_malignant_specificity",
            status["malignant_specificity"],
            "Of the images of other lesions, the share answered “benign” or “uncertain” (specificity). Refused "
            "pictures count as errors here too.",
        )
        add(
            "“Benign” that was right",
            "status_benign_predictive_value",
            status["benign_predictive_value"],
            "Of the images answered “benign”, the share that truly was not malignant, among lesions as common as they "
            "are in this collection. It is never an all clear.",
        )
        add(
            "AUROC of malignant risk",
            "malignant_auroc",
            figures["malignant"]["auroc"],
            "How well the risk ranks: the chance that a malignant image gets a higher risk than another one. 0.5 is "
            "chance, 1 is perfect.",
            percent=False,
        )
    add(
        "Balanced accuracy",
        "balanced_accuracy",
        figures["balanced_accuracy"],
        "The share of images whose class is named rightly, averaged over the classes so that a rare one counts as much "
        "as a common one.",
    )
    add(
        "Macro AUROC",
        "macro_auroc",
        figures["macro_auroc"],
        "How well each class is told from all others, averaged over the classes. 0.5 is chance, 1 is perfect.",
        percent=False,
    )
    add(
        "Accuracy",
        "accuracy",
        figures["accuracy"],
        "The share of all images whose class is named rightly. Common classes dominate it.",
    )
    add(
        "Macro F1",
        "macro_f1",
        figures["macro_f1"],
        "Balance of finding a class (recall) and of being right when naming it (precision), averaged over classes.",
        percent=False,
    )
    add(
        "Calibration error",
        "ece",
        figures["ece"],
        "How far a stated confidence is from the share that proves right, on average over 15 steps of confidence. 0 is "
        "perfect; resampling inflates it, so its interval lies rather high.",
        percent=False,
    )
    return rows


def class_order(taxonomy: Taxonomy) -> list[str]:
    """Class codes as a reader looks for them: melanoma first, the other malignant ones, then the rest."""

    def rank(code: str) -> tuple[bool, bool]:
        return code != "mel", taxonomy.label(code).status is not Status.MALIGNANT

    return sorted(taxonomy.codes, key=rank)


def risk_table(predictions: Predictions, thresholds: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """Sensitivity and specificity at the model's own thresholds and at a few round ones, over all images."""
    if thresholds is None:
        return []
    truth, risk = predictions.malignant, predictions.risk
    named = [(threshold, f"the model's “{name}” threshold") for name, threshold in thresholds.items()]
    rows = []
    for threshold, name in sorted([*named, *((t, "") for t in FIXED_THRESHOLDS)]):
        flagged = risk >= threshold
        rows.append(
            {
                "threshold": threshold,
                "name": name,
                "sensitivity": _defined(metrics.sensitivity(truth, flagged)),
                "specificity": _defined(metrics.specificity(truth, flagged)),
                "predictive_value": _defined(metrics.sensitivity(flagged, truth)),
                "flagged": float(flagged.mean()),
                "missed": int((truth & ~flagged).sum()),
            }
        )
    return rows


def _defined(value: Floats) -> float | None:
    return None if np.isnan(value) else float(value)


def shown_figure(value: float | None) -> str:
    """A figure with three decimals."""
    return "not defined" if value is None else f"{value:.3f}"


def shown_percent(value: float | None) -> str:
    """A share as a percentage with one decimal."""
    return "not defined" if value is None else f"{100 * value:.1f} %"


def shown_span(bounds: Sequence[float | None]) -> str:
    """An interval of a figure; empty where there is none."""
    low, high = bounds
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def shown_percent_span(bounds: Sequence[float | None]) -> str:
    """An interval of a share, in per cent; empty where there is none."""
    low, high = bounds
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f} %"
