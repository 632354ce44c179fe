"""Calibration, the named class, and the two thresholds on risk."""

import numpy as np
import pytest

from ml.calibration import Calibration, fit_calibration, fit_prior_power, fit_thresholds, named_class, softmax
from ml.metrics import expected_calibration_error


@pytest.fixture
def overconfident() -> tuple[np.ndarray, np.ndarray]:
    """Logits [4000, 3] three times too large and shifted, with labels drawn from the true probabilities."""
    random = np.random.default_rng(5)
    true = random.normal(0, 1.5, (4000, 3))
    labels = np.array([random.choice(3, p=p) for p in softmax(true)])
    return 3 * (true - np.array([1.0, 0.0, -0.5])), labels


def test_softmax_does_not_overflow() -> None:
    assert softmax(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]


def test_calibration_finds_temperature_and_bias(overconfident: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = overconfident
    fitted = fit_calibration(logits, labels, shrinkage=0.0)
    assert fitted.temperature == pytest.approx(3.0, rel=0.1)
    assert np.array(fitted.bias) - fitted.bias[1] == pytest.approx([1.0, 0.0, -0.5], abs=0.15)
    before = expected_calibration_error(labels, softmax(logits))
    assert expected_calibration_error(labels, fitted.probabilities(logits)) < 0.03 < before


def test_calibrated_logits_are_left_alone() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 1, (5000, 4))
    labels = np.array([random.choice(4, p=p) for p in softmax(logits)])
    assert fit_calibration(logits, labels).temperature == pytest.approx(1.0, abs=0.1)


def test_probabilities_sum_to_one() -> None:
    values = Calibration(0.7, (0.1, -0.1)).probabilities(np.array([[3.0, 1.0], [0.0, 0.0]]))
    assert values.sum(axis=1) == pytest.approx(1.0)


def test_the_named_class_weighs_in_how_common_a_class_is() -> None:
    probabilities, priors = np.array([[0.6, 0.4]]), np.array([0.9, 0.1])
    assert named_class(probabilities, priors, 0.0) == [0]
    assert named_class(probabilities, priors, 0.5) == [1]


def test_the_power_is_zero_where_nothing_is_gained() -> None:
    probabilities = np.eye(3)[[0, 1, 2, 0]] * 0.9 + 0.1 / 3
    assert fit_prior_power(probabilities, np.array([0, 1, 2, 0]), np.array([0.5, 0.25, 0.25])) == 0.0


def test_thresholds_keep_their_promises() -> None:
    random = np.random.default_rng(1)
    malignant = np.arange(1200) < 250
    risk = np.where(malignant, random.beta(4, 2, 1200), random.beta(1, 6, 1200))
    lesions = [str(number // 2) for number in range(1200)]
    found = fit_thresholds(risk, malignant, lesions, sensitivity=0.90, missed=0.02)

    def bound(threshold: float) -> float:
        """The lower bound from lesions drawn one by one."""
        caught, draw = (risk >= threshold)[:250].reshape(-1, 2).mean(axis=1), np.random.default_rng(5)
        return float(np.quantile([caught[draw.integers(0, 125, 125)].mean() for _ in range(4000)], 0.025))

    ordered = np.sort(risk[malignant])
    at = int(np.searchsorted(ordered, found["malignant"]))
    assert bound(found["malignant"]) >= 0.895
    assert bound(ordered[at + 3]) < 0.905, "a higher threshold would have done"
    below = 125 * (risk < found["uncertain"])[malignant].mean()
    assert below + 1 <= 0.02 * 126 < below + 0.5 + 1, "a lesion of two images counts one half for each"
    assert found["uncertain"] < found["malignant"]


def test_of_lesions_to_come_no_more_than_the_asked_share_is_expected_to_be_called_benign() -> None:
    lesions = [str(number) for number in range(80)]
    risk = np.random.default_rng(8).random(80)
    found = fit_thresholds(risk, np.ones(80, np.bool_), lesions, 0.9, 0.05)
    # Of new ones from the same distribution k / 81 are expected below the k-th lowest of 80, whatever the distribution.
    # The highest with 5 % of the 80 below it is the fifth: 6.2 % of new ones.
    assert found["uncertain"] == np.sort(risk)[3]


def test_a_lesion_counts_once_however_often_it_was_photographed() -> None:
    random = np.random.default_rng(2)
    risk, malignant = random.beta(4, 2, 300), np.ones(300, np.bool_)
    lesions = [str(number) for number in range(300)]
    once = fit_thresholds(risk, malignant, lesions, 0.9, 0.05)
    often = np.repeat(np.arange(300), np.where(risk < 0.4, 1, 6))
    many = fit_thresholds(risk[often], malignant[often], [lesions[row] for row in often], 0.9, 0.05)
    assert many == once
    as_images = fit_thresholds(risk[often], malignant[often], [str(row) for row in range(len(often))], 0.9, 0.05)
    assert as_images["uncertain"] > once["uncertain"]


def test_too_few_malignant_images_flag_them_all() -> None:
    risk, malignant = np.array([0.2, 0.9, 0.1, 0.3]), np.array([True, True, False, False])
    assert fit_thresholds(risk, malignant, ["a", "b", "c", "d"], 0.9, 0.02) == {"malignant": 0.2, "uncertain": 0.2}
    assert fit_thresholds(risk[2:], malignant[2:], ["c", "d"], 0.9, 0.02) == {"malignant": 0.5, "uncertain": 0.1}
