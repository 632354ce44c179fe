"""What is chosen on the validation split once logits are known: calibration, thresholds on risk, and naming power."""

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
    validation: dict[str, float]


def fix_choices(
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    priors: NDArray[np.float64],
    taxonomy: Taxonomy,
    points: OperatingPoints,
) -> Choices:
    """From validation logits [N, C] as serving will have them, labels [N] and class shares of training [C]."""
    fitted = fit_calibration(logits, labels)
    probabilities = fitted.probabilities(logits)
    power = fit_prior_power(probabilities, labels, priors)
    malignant = list(taxonomy.malignant)
    thresholds = None
    if malignant:
        risk = probabilities[:, malignant].sum(axis=1)
        thresholds = fit_thresholds(risk, np.isin(labels, malignant), points.sensitivity, points.missed)
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
        },
    )
