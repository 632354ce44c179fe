"""Whether stated probabilities come true, before and after calibration."""

from collections.abc import Mapping
from typing import Any

from ml import metrics
from ml.bootstrap import bootstrap
from ml.metrics import CALIBRATION_BINS, Floats
from ml.predictions import Predictions

DEFINITIONS = {
    "before": "The softmax of the logits as they come out of the network; in an ensemble, of the mean of its networks' "
    "own log-probabilities.",
    "after": "After temperature and class biases, which were fixed on the validation split: what people are shown.",
    "ece": "Expected calibration error: the gap between the confidence in the most probable class and the share that "
    f"proves right, averaged over {CALIBRATION_BINS} equally wide steps of confidence by their number of images "
    "(Guo et al. 2017).",
    "classwise_ece": "The same gap for each class's own probability, over all images, averaged over the classes with "
    "equal weight (Kull et al. 2019; the static calibration error of Nixon et al. 2019).",
    "brier": "The squared distance between the probabilities and the truth, summed over classes: 0 is perfect, 2 the "
    "worst (Brier 1950).",
    "malignant_risk": "The gap between malignant risk and the share that is malignant, averaged over the same steps.",
}


def measure_calibration(predictions: Predictions, *, resamples: int, seed: int) -> dict[str, Any]:
    """`before` and `after`: ECE, class-wise ECE, Brier score, the error of malignant risk (None where the label set has
    no malignant class) and of each class, with intervals; plain JSON types."""
    return {
        "bins": CALIBRATION_BINS,
        "definitions": DEFINITIONS,
        "before": _side(predictions, predictions.uncalibrated, resamples, seed),
        "after": _side(predictions, predictions.probabilities, resamples, seed),
    }


def _side(predictions: Predictions, probabilities: Floats, resamples: int, seed: int) -> dict[str, Any]:
    labels, codes = predictions.labels, predictions.taxonomy.codes
    malignant = list(predictions.taxonomy.malignant)
    risk = probabilities[:, malignant].sum(axis=1)

    def figures(weights: Floats) -> Mapping[str, Floats]:
        found = {
            "ece": metrics.expected_calibration_error(labels, probabilities, weights=weights),
            "classwise_ece": metrics.classwise_calibration_error(labels, probabilities, weights=weights),
            "brier": metrics.brier_score(labels, probabilities, weights),
        }
        if malignant:
            found["malignant_risk"] = metrics.calibration_error(risk, predictions.malignant, weights=weights)
        for index, code in enumerate(codes):
            found[f":{code}"] = metrics.calibration_error(probabilities[:, index], labels == index, weights=weights)
        return found

    everything = bootstrap(figures, predictions.lesions, resamples=resamples, seed=seed)
    plain = {name: interval for name, interval in everything.items() if not name.startswith(":")}
    return {
        "malignant_risk": None,
        **{name: interval.number() for name, interval in plain.items()},
        "intervals": {name: interval.bounds() for name, interval in plain.items()},
        "per_class": {
            code: {"value": everything[f":{code}"].number(), "interval": everything[f":{code}"].bounds()}
            for code in codes
        },
    }
