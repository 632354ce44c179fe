"""What is chosen on the validation split once logits are known: calibration, thresholds on risk, and naming power."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import metrics
from ml.calibration import fit_calibration, fit_prior_power, fit_thresholds, named_class
from ml.labels import Taxonomy
from ml.training.config import OperatingPoints


@dataclass(frozen=True)
class Choices:
    """The fields of a card that the validation split decides; `validation` has the figures that came of them."""

    calibration: dict[str, Any]
    thresholds: dict[str, float] | None
    prior_power: float
    validation: dict[str, Any]


def fix_choices(
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    lesions: Sequence[str],
    priors: NDArray[np.float64],
    taxonomy: Taxonomy,
    points: OperatingPoints,
) -> Choices:
    """From validation logits [N, C] as serving will have them, labels [N], lesions [N] and class shares of
    training [C]."""
    fitted = fit_calibration(logits, labels)
    probabilities = fitted.probabilities(logits)
    power = fit_prior_power(probabilities, labels, priors)
    malignant = list(taxonomy.malignant)
    thresholds = None
    figures: dict[str, float] = {}
    if malignant:
        risk, truth = probabilities[:, malignant].sum(axis=1), np.isin(labels, malignant)
        thresholds = fit_thresholds(risk, truth, lesions, points.sensitivity, points.missed)
        figures = risk_figures(risk, truth, thresholds)
    named = metrics.confusion_matrix(labels, named_class(probabilities, priors, power), len(taxonomy.labels))
    return Choices(
        calibration={"temperature": fitted.temperature, "bias": list(fitted.bias)},
        thresholds=thresholds,
        prior_power=power,
        validation={
            "images": len(labels),
            "accuracy": float(metrics.accuracy(named)),
            "balanced_accuracy": float(metrics.balanced_accuracy(named)),
            "macro_auroc": float(metrics.macro_auroc(labels, probabilities)),
            "expected_calibration_error": float(metrics.expected_calibration_error(labels, probabilities)),
            "sensitivity_per_class": {
                label.code: None if np.isnan(share) else float(share)
                for label, share in zip(taxonomy.labels, metrics.recall(named), strict=True)
            },
            **figures,
        },
    )


def risk_figures(risk: NDArray[np.float64], truth: NDArray[np.bool_], thresholds: dict[str, float]) -> dict[str, float]:
    """Sensitivity and specificity at the thresholds, where both malignant and other images [N] are there."""
    if not truth.any() or truth.all():
        return {}
    above, watched = risk >= thresholds["malignant"], risk >= thresholds["uncertain"]
    return {
        "malignant_sensitivity": float(metrics.sensitivity(truth, above)),
        "malignant_specificity": float(metrics.specificity(truth, above)),
        "malignant_or_uncertain_sensitivity": float(metrics.sensitivity(truth, watched)),
    }
