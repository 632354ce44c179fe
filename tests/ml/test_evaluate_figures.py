"""Figures of an evaluation by themselves: calibration, what people are told, and operating points."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from ml import metrics
from ml.calibration import fit_thresholds, softmax
from ml.data.manifest import ImageRecord
from ml.evaluate_calibration import measure_calibration
from ml.evaluate_metrics import measure
from ml.evaluate_thresholds import OperatingPoint, fitted_point, measure_points
from ml.labels import load_taxonomy
from ml.predictions import Predictions
from ml.screening import Gate


def reference_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """The calibration error from scikit-learn's reliability curve and NumPy's histogram."""
    true, stated = calibration_curve(correct, confidence, n_bins=bins, strategy="uniform")
    counts, _ = np.histogram(confidence, bins=np.linspace(0, 1, bins + 1))
    return float((counts[counts > 0] / len(confidence) * np.abs(true - stated)).sum())


def test_calibration_errors_agree_with_an_independent_computation() -> None:
    predictions = answers(400)
    found = measure_calibration(predictions, resamples=5, seed=0)
    for side, probabilities in (("before", predictions.uncalibrated), ("after", predictions.probabilities)):
        correct = probabilities.argmax(axis=1) == predictions.labels
        each = [reference_error(probabilities[:, c], predictions.labels == c) for c in range(7)]
        own = found[side]
        assert own["ece"] == pytest.approx(reference_error(probabilities.max(axis=1), correct))
        assert own["classwise_ece"] == pytest.approx(np.mean(each))
        assert [own["per_class"][code]["value"] for code in predictions.taxonomy.codes] == pytest.approx(each)
        risk = probabilities[:, list(predictions.taxonomy.malignant)].sum(axis=1)
        assert own["malignant_risk"] == pytest.approx(reference_error(risk, predictions.malignant))
    assert found["before"]["ece"] != found["after"]["ece"]


def test_a_refused_image_is_not_found_whatever_the_network_named() -> None:
    predictions = answers(4, labels=["mel"] * 4, statuses=["malignant", "uncertain", "benign", "refused"])
    told = measure(predictions, [POINT], resamples=5, seed=0)["per_class"]["mel"]["told"]
    named_right = (predictions.predicted == predictions.labels)[:3].sum()
    assert told["malignant"]["share"] == 1 / 4
    assert told["malignant_or_uncertain"]["share"] == 2 / 4
    assert told["refused"]["share"] == 1 / 4
    assert told["own_class"]["share"] == named_right / 4
    assert len(told["malignant"]["interval"]) == 2


def test_thresholds_asked_for_are_those_that_training_fixes_on_validation() -> None:
    validation = answers(300, seed=1)
    point = fitted_point(validation, 0.8, 0.05)
    assert point.thresholds == fit_thresholds(validation.risk, validation.malignant, validation.lesions, 0.8, 0.05)
    assert (point.sensitivity, point.missed) == (0.8, 0.05)


def test_other_thresholds_change_statuses_but_no_refusal() -> None:
    predictions = answers(60, statuses=["refused"] * 10 + ["benign"] * 50)
    lenient, strict = (
        measure_points(predictions, [OperatingPoint("x", values, "by hand")], resamples=5, seed=0)[0]
        for values in ({"malignant": 0.999, "uncertain": 0.998}, {"malignant": 0.0, "uncertain": 0.0})
    )
    assert strict["counts"]["malignant"] == 50
    assert strict["counts"]["refused"] == lenient["counts"]["refused"] == 10
    unrefused = predictions.malignant[10:].sum()
    assert strict["malignant_sensitivity"] == pytest.approx(unrefused / predictions.malignant.sum())
    assert strict["missed_images"] == predictions.malignant[:10].sum()
    named_malignant = np.isin(predictions.predicted[10:], predictions.taxonomy.malignant)
    assert lenient["counts"]["uncertain"] == named_malignant.sum(), "a class named malignant is never called benign"


def test_the_first_operating_point_is_the_model_itself() -> None:
    predictions = answers(80).told_at(POINT.thresholds)
    figures = measure(predictions, [POINT], resamples=20, seed=3)
    (own,) = figures["operating_points"]
    for name in ("malignant_sensitivity", "malignant_specificity", "benign_predictive_value"):
        assert own[name] == figures["status"][name]
        assert own["intervals"][name] == figures["intervals"][f"status_{name}"]


def test_brier_score_before_calibration_is_of_the_softmax() -> None:
    predictions = answers(50)
    truth = np.eye(7)[predictions.labels]
    expected = ((predictions.uncalibrated - truth) ** 2).sum(axis=1).mean()
    assert measure_calibration(predictions, resamples=2, seed=0)["before"]["brier"] == pytest.approx(expected)
    assert metrics.CALIBRATION_BINS == 15


POINT = OperatingPoint("the model's own", {"malignant": 0.5, "uncertain": 0.2}, "by hand")


def answers(
    count: int, seed: int = 0, labels: list[str] | None = None, statuses: list[str] | None = None
) -> Predictions:
    """Made-up answers of a network that is right now and then, over-confident before calibration."""
    random = np.random.default_rng(seed)
    taxonomy = load_taxonomy("ham10000")
    truth = random.integers(7, size=count) if labels is None else np.array([taxonomy.index(code) for code in labels])
    logits = random.normal(size=(count, 7)) + 1.5 * np.eye(7)[truth]
    given = statuses or ["benign"] * count
    return Predictions(
        taxonomy=taxonomy,
        records=tuple(
            ImageRecord(Path(f"{i}.png"), taxonomy.codes[code], str(i), str(i), "test", "", 200, 150, "drawn")
            for i, code in enumerate(truth)
        ),
        images=tuple(f"{i}.png" for i in range(count)),
        probabilities=softmax(logits),
        uncalibrated=softmax(2.5 * logits),
        predicted=logits.argmax(axis=1),
        statuses=tuple(given),
        gates=tuple(Gate("usable") for _ in range(count)),
        features=np.zeros((count, 3), np.float32),
    )
