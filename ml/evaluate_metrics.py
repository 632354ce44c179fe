"""All figures of an evaluation, from a table of predictions: what `metrics.json` holds."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ml import metrics
from ml.bootstrap import Interval, bootstrap
from ml.evaluate_calibration import measure_calibration
from ml.evaluate_thresholds import OperatingPoint, Thresholds, measure_points, status_figures
from ml.labels import Status
from ml.metrics import Bools, Floats
from ml.predictions import GROUPINGS, Predictions, gate_counts

Figures = Callable[[Floats], Mapping[str, Floats]]

CLASSIFICATION = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "ece", "classwise_ece", "brier")

SMALL_GROUP = 50
"""Lesions under which a group's figures are marked as resting on few."""
TOLD = ("own_class", "malignant", "malignant_or_uncertain", "refused")

PROTOCOL = (
    "One image at a time. Accuracy, balanced accuracy, F1, AUROC, calibration and the figures under 'malignant' are "
    "over all images, whatever the gate says of them. The figures under 'status' are what a person would have been "
    "told: a refused image counts as missed, be it malignant (not found) or not (not cleared). Intervals are 95 % "
    "percentile intervals from a bootstrap that draws lesions, not images."
)


def measure(predictions: Predictions, points: Sequence[OperatingPoint], *, resamples: int, seed: int) -> dict[str, Any]:
    """Every figure with its interval, as plain JSON types; an undefined figure is None.

    `points` are the operating points to compare; the first is the model's own, which all figures but those of the
    others are at. Empty for a label set without malignant classes.
    """
    thresholds = points[0].thresholds if points else None
    options = {"resamples": resamples, "seed": seed}
    everything = bootstrap(
        lambda weights: _all_figures(predictions, thresholds, weights), predictions.lesions, **options
    )
    codes = predictions.taxonomy.codes
    matrix = metrics.confusion_matrix(predictions.labels, predictions.predicted, len(codes))
    headline = {name: interval for name, interval in everything.items() if ":" not in name}
    return {
        **{name: everything[name].number() for name in CLASSIFICATION},
        "macro_precision": everything["macro_precision"].number(),
        "per_class": {code: _per_class(predictions, everything, i) for i, code in enumerate(codes)},
        "malignant": None if thresholds is None else _malignant(predictions, thresholds, everything),
        "status": _status(predictions, everything),
        "operating_points": measure_points(predictions, points, **options),
        "calibration": measure_calibration(predictions, **options),
        "gate": _gate(predictions),
        "n_images": len(predictions.records),
        "n_lesions": len(set(predictions.lesions)),
        "confusion_matrix": {"classes": list(codes), "rows": "true class", "counts": matrix.astype(int).tolist()},
        "intervals": {
            **{name: interval.bounds() for name, interval in headline.items()},
            "level": 0.95,
            "method": "percentile bootstrap over lesions",
            "resamples": resamples,
            "seed": seed,
        },
        "groups": _groups(predictions, thresholds, options),
        "protocol": PROTOCOL,
    }


def _all_figures(predictions: Predictions, thresholds: Thresholds | None, weights: Floats) -> dict[str, Floats]:
    labels, probabilities = predictions.labels, predictions.probabilities
    matrix = metrics.confusion_matrix(labels, predictions.predicted, probabilities.shape[1], weights)
    areas = metrics.auroc_per_class(labels, probabilities, weights)
    figures = {
        "accuracy": metrics.accuracy(matrix),
        "balanced_accuracy": metrics.balanced_accuracy(matrix),
        "macro_f1": metrics.macro_f1(matrix),
        "macro_auroc": metrics.mean_defined(areas),
        "ece": metrics.expected_calibration_error(labels, probabilities, weights=weights),
        "classwise_ece": metrics.classwise_calibration_error(labels, probabilities, weights=weights),
        "brier": metrics.brier_score(labels, probabilities, weights),
    }
    per_class = {
        "precision": metrics.precision(matrix),
        "recall": metrics.recall(matrix),
        "f1": metrics.f1(matrix),
        "auroc": areas,
    }
    figures["macro_precision"] = metrics.mean_defined(per_class["precision"])
    for name, values in per_class.items():
        figures |= {f"{name}:{i}": values[..., i] for i in range(values.shape[-1])}
    for name, given in _told(predictions).items():
        shares = [metrics.sensitivity(labels == i, given, weights) for i in range(probabilities.shape[1])]
        figures |= {f"told_{name}:{i}": share for i, share in enumerate(shares)}
    if thresholds is not None:
        figures |= _risk_figures(predictions, thresholds, weights)
    return figures


def _told(predictions: Predictions) -> dict[str, Bools]:
    """What people would have been told of each image [N]: whether its own class was named to them, and the statuses."""
    refused, alarm = predictions.has_status(Status.REFUSED), predictions.has_status(Status.MALIGNANT)
    return {
        "own_class": (predictions.predicted == predictions.labels) & ~refused,
        "malignant": alarm,
        "malignant_or_uncertain": alarm | predictions.has_status(Status.UNCERTAIN),
        "refused": refused,
    }


def _risk_figures(predictions: Predictions, thresholds: Thresholds, weights: Floats) -> dict[str, Floats]:
    truth, risk = predictions.malignant, predictions.risk
    above, watched = risk >= thresholds["malignant"], risk >= thresholds["uncertain"]
    return {
        "malignant_auroc": metrics.auroc(truth, risk, weights),
        "malignant_sensitivity": metrics.sensitivity(truth, above, weights),
        "malignant_specificity": metrics.specificity(truth, above, weights),
        "malignant_or_uncertain_sensitivity": metrics.sensitivity(truth, watched, weights),
        "malignant_or_uncertain_specificity": metrics.specificity(truth, watched, weights),
        **{f"status_{name}": values for name, values in status_figures(predictions, weights).items()},
    }


def _per_class(predictions: Predictions, everything: Mapping[str, Interval], index: int) -> dict[str, Any]:
    chosen = predictions.labels == index
    names = ("precision", "recall", "f1", "auroc")
    return {
        **{name: everything[f"{name}:{index}"].number() for name in names},
        "average_precision": _defined(metrics.average_precision(chosen, predictions.probabilities[:, index])),
        "support": int(chosen.sum()),
        "lesions": len({predictions.lesions[i] for i in np.flatnonzero(chosen)}),
        "intervals": {name: everything[f"{name}:{index}"].bounds() for name in names},
        "statuses": dict(Counter(predictions.select(chosen).statuses)),
        "told": {
            name: {
                "share": everything[f"told_{name}:{index}"].number(),
                "interval": everything[f"told_{name}:{index}"].bounds(),
            }
            for name in TOLD
        },
    }


def _malignant(predictions: Predictions, thresholds: Thresholds, everything: Mapping[str, Interval]) -> dict[str, Any]:
    taxonomy = predictions.taxonomy
    return {
        "classes": [taxonomy.codes[i] for i in taxonomy.malignant],
        "images": int(predictions.malignant.sum()),
        "auroc": everything["malignant_auroc"].number(),
        "threshold": thresholds["malignant"],
        "sensitivity": everything["malignant_sensitivity"].number(),
        "specificity": everything["malignant_specificity"].number(),
        "uncertain_threshold": thresholds["uncertain"],
        "malignant_or_uncertain_sensitivity": everything["malignant_or_uncertain_sensitivity"].number(),
        "malignant_or_uncertain_specificity": everything["malignant_or_uncertain_specificity"].number(),
    }


def _status(predictions: Predictions, everything: Mapping[str, Interval]) -> dict[str, Any]:
    given = Counter(predictions.statuses)
    figures = {
        name.removeprefix("status_"): interval.number()
        for name, interval in everything.items()
        if name.startswith("status_")
    }
    shares = {status.value: given[status.value] / len(predictions.statuses) for status in Status if given[status.value]}
    return {"counts": {name: given[name] for name in shares}, "shares": shares, **figures}


def _gate(predictions: Predictions) -> dict[str, Any]:
    refused = predictions.has_status(Status.REFUSED)
    return {
        "refused": int(refused.sum()),
        "refused_share": float(refused.mean()),
        "verdicts": gate_counts(predictions.gates),
    }


def _groups(predictions: Predictions, thresholds: Thresholds | None, options: dict[str, int]) -> list[dict[str, Any]]:
    """Figures of each age band, sex, body site and way of diagnosis, where the manifest knows at least two."""
    rows = []
    for title, grouping in GROUPINGS.items():
        names = np.array([grouping(record) for record in predictions.records])
        values = sorted(set(names) - {""})
        if len(values) < 2:
            continue
        for value in [*values, *([""] if "" in names else [])]:
            group = predictions.select(names == value)
            figures = bootstrap(_group_figures(group, thresholds), group.lesions, **options)
            rows.append(
                {
                    "grouping": title,
                    "group": value or "not known",
                    "n_images": len(group.records),
                    "n_lesions": len(set(group.lesions)),
                    "n_malignant": int(group.malignant.sum()),
                    "small": len(set(group.lesions)) < SMALL_GROUP,
                    **{name: interval.number() for name, interval in figures.items()},
                    "intervals": {name: interval.bounds() for name, interval in figures.items()},
                }
            )
    return rows


def _group_figures(group: Predictions, thresholds: Thresholds | None) -> Figures:
    classes = len(group.taxonomy.codes)

    def figures(weights: Floats) -> dict[str, Floats]:
        matrix = metrics.confusion_matrix(group.labels, group.predicted, classes, weights)
        found = {"accuracy": metrics.accuracy(matrix), "balanced_accuracy": metrics.balanced_accuracy(matrix)}
        if thresholds is not None:
            risk = _risk_figures(group, thresholds, weights)
            found["malignant_auroc"] = risk["malignant_auroc"]
            found["sensitivity"] = risk["status_malignant_sensitivity"]
            found["specificity"] = risk["status_malignant_specificity"]
        return found

    return figures


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
