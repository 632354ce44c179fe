"""What people would have been told under one pair of thresholds on malignant risk, or another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml import metrics
from ml.bootstrap import bootstrap
from ml.calibration import fit_thresholds
from ml.labels import Status
from ml.metrics import Floats
from ml.predictions import Predictions

Thresholds = Mapping[str, float]


@dataclass(frozen=True)
class OperatingPoint:
    """A pair of thresholds (`malignant`, `uncertain`), what it was asked for, and what it was fixed on, in words.

    `sensitivity` and `missed` are as in ml.calibration.fit_thresholds; None where the thresholds were simply given.
    """

    name: str
    thresholds: Thresholds
    fixed_on: str
    sensitivity: float | None = None
    missed: float | None = None


def fitted_point(validation: Predictions, sensitivity: float, missed: float) -> OperatingPoint:
    """The thresholds that training would have fixed for this request, on the same validation images."""
    thresholds = fit_thresholds(validation.risk, validation.malignant, validation.lesions, sensitivity, missed)
    return OperatingPoint(
        "asked for", thresholds, "fixed on the validation split for this evaluation", sensitivity, missed
    )


def measure_points(
    predictions: Predictions, points: Sequence[OperatingPoint], *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """The figures of each operating point with their intervals, as plain JSON types. Refused images count as missed."""
    rows = []
    for point in points:
        told = predictions.told_at(point.thresholds)
        options: dict[str, int] = {"resamples": resamples, "seed": seed}
        found = bootstrap(lambda weights, told=told: status_figures(told, weights), told.lesions, **options)  # type: ignore[misc]
        rows.append(
            {
                "name": point.name,
                "asked": {"sensitivity": point.sensitivity, "missed": point.missed},
                "thresholds": dict(point.thresholds),
                "fixed_on": point.fixed_on,
                **{name: interval.number() for name, interval in found.items()},
                "intervals": {name: interval.bounds() for name, interval in found.items()},
                "counts": {status.value: told.statuses.count(status.value) for status in Status},
                "malignant_images": int(told.malignant.sum()),
                "missed_images": int((told.malignant & ~told.has_status(Status.MALIGNANT, Status.UNCERTAIN)).sum()),
            }
        )
    return rows


def status_figures(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Figures of what people are told, by name, [R] for weights [R, N]; a refused image counts as missed."""
    truth = predictions.malignant
    alarm, cleared = predictions.has_status(Status.MALIGNANT), predictions.has_status(Status.BENIGN)
    shown = alarm | predictions.has_status(Status.UNCERTAIN)
    answered = ~predictions.has_status(Status.REFUSED)
    return {
        "malignant_sensitivity": metrics.sensitivity(truth, alarm, weights),
        # A refused image was not cleared, so it does not count as a correct "not malignant".
        "malignant_specificity": metrics.sensitivity(~truth, answered & ~alarm, weights),
        "malignant_or_uncertain_sensitivity": metrics.sensitivity(truth, shown, weights),
        "malignant_or_uncertain_specificity": metrics.sensitivity(~truth, answered & ~shown, weights),
        "malignant_predictive_value": metrics.sensitivity(alarm, truth, weights),
        "benign_predictive_value": metrics.sensitivity(cleared, ~truth, weights),
    }
