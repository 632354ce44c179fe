"""The metrics against scikit-learn, an independent implementation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from sklearn import metrics as reference

from ml import metrics
from ml.metrics import Bools, Floats, Ints

CLASSES = 7


@pytest.fixture(params=[0, 1, 2])
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)


def draw(rng: np.random.Generator, count: int = 400, decimals: int = 2) -> tuple[Ints, Floats]:
    """Labels and better-than-chance probabilities, rounded so that many scores are tied."""
    labels = rng.choice(CLASSES, size=count, p=[0.03, 0.05, 0.11, 0.02, 0.11, 0.65, 0.03])
    labels[:CLASSES] = np.arange(CLASSES)
    scores = rng.gamma(0.4, size=(count, CLASSES)) + 0.3 * np.eye(CLASSES)[labels]
    probabilities = np.round(scores / scores.sum(axis=1, keepdims=True), decimals)
    probabilities[:, -1] = 1 - probabilities[:, :-1].sum(axis=1)
    return labels, probabilities


def test_the_kappa_of_grades_agrees_with_scikit_learn(rng: np.random.Generator) -> None:
    truth = rng.integers(0, 3, 200)
    given = np.clip(truth + rng.integers(-1, 2, 200), 0, 2)
    matrix = metrics.confusion_matrix(truth, given, 3)
    expected = reference.cohen_kappa_score(truth, given, weights="quadratic")
    assert_allclose(metrics.quadratic_kappa(matrix), expected)
    weights = rng.integers(0, 3, (4, 200)).astype(np.float64)
    several = metrics.quadratic_kappa(metrics.confusion_matrix(truth, given, 3, weights))
    for row, found in zip(weights, several, strict=True):
        assert_allclose(found, reference.cohen_kappa_score(truth, given, weights="quadratic", sample_weight=row))


def test_figures_of_the_confusion_matrix_agree_with_scikit_learn(rng: np.random.Generator) -> None:
    labels, probabilities = draw(rng)
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, CLASSES)
    assert_allclose(matrix, reference.confusion_matrix(labels, predicted))
    precision, recall, f1, _ = reference.precision_recall_fscore_support(labels, predicted, zero_division=0)
    assert_allclose(metrics.precision(matrix), precision)
    assert_allclose(metrics.recall(matrix), recall)
    assert_allclose(metrics.f1(matrix), f1)
    assert metrics.accuracy(matrix) == pytest.approx(reference.accuracy_score(labels, predicted))
    assert metrics.balanced_accuracy(matrix) == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert metrics.macro_f1(matrix) == pytest.approx(reference.f1_score(labels, predicted, average="macro"))


def test_rank_figures_agree_with_scikit_learn_with_ties(rng: np.random.Generator) -> None:
    labels, probabilities = draw(rng, decimals=1)
    assert len(np.unique(probabilities[:, 0])) < 15
    each = [reference.roc_auc_score(labels == c, probabilities[:, c]) for c in range(CLASSES)]
    assert_allclose(metrics.auroc_per_class(labels, probabilities), each)
    assert metrics.macro_auroc(labels, probabilities) == pytest.approx(np.mean(each))
    for c in range(CLASSES):
        ours = metrics.average_precision(labels == c, probabilities[:, c])
        assert ours == pytest.approx(reference.average_precision_score(labels == c, probabilities[:, c]))


def test_curves_agree_with_scikit_learn(rng: np.random.Generator) -> None:
    labels, probabilities = draw(rng)
    positive, scores = labels == 5, probabilities[:, 5]
    x, y, thresholds = metrics.roc_curve(positive, scores)
    expected = reference.roc_curve(positive, scores, drop_intermediate=False)
    assert_allclose(x, expected[0])
    assert_allclose(y, expected[1])
    assert_allclose(thresholds, expected[2])
    recall, precision, thresholds = metrics.precision_recall_curve(positive, scores)
    expected = reference.precision_recall_curve(positive, scores)
    # scikit-learn goes from low to high thresholds and adds the point (0, 1).
    assert_allclose(precision[::-1], expected[0][:-1])
    assert_allclose(recall[::-1], expected[1][:-1])
    assert_allclose(thresholds[::-1], expected[2])


def test_weights_agree_with_scikit_learn_row_by_row(rng: np.random.Generator) -> None:
    labels, probabilities = draw(rng)
    predicted = probabilities.argmax(axis=1)
    risk = probabilities[:, [0, 1, 4]].sum(axis=1)
    positive = np.isin(labels, [0, 1, 4])
    weights = rng.integers(0, 4, size=(5, len(labels))).astype(np.float64)
    matrices = metrics.confusion_matrix(labels, predicted, CLASSES, weights)
    areas = metrics.auroc(positive, risk, weights)
    found, spared = (
        metrics.sensitivity(positive, risk >= 0.3, weights),
        metrics.specificity(positive, risk >= 0.3, weights),
    )
    brier = metrics.brier_score(labels, probabilities, weights)
    error = metrics.expected_calibration_error(labels, probabilities, weights=weights)
    for row, weight in enumerate(weights):
        assert_allclose(matrices[row], reference.confusion_matrix(labels, predicted, sample_weight=weight))
        assert areas[row] == pytest.approx(reference.roc_auc_score(positive, risk, sample_weight=weight))
        flagged = {"y_true": positive, "y_pred": risk >= 0.3, "sample_weight": weight}
        assert found[row] == pytest.approx(reference.recall_score(**flagged))
        assert spared[row] == pytest.approx(reference.recall_score(**flagged, pos_label=0))
        repeated = np.repeat(np.arange(len(labels)), weight.astype(int))
        assert brier[row] == pytest.approx(metrics.brier_score(labels[repeated], probabilities[repeated]))
        assert error[row] == pytest.approx(
            metrics.expected_calibration_error(labels[repeated], probabilities[repeated])
        )


def test_brier_score_agrees_with_scikit_learn(rng: np.random.Generator) -> None:
    labels, _ = draw(rng)
    probabilities = rng.dirichlet(np.ones(CLASSES), size=len(labels))
    expected = reference.brier_score_loss(labels, probabilities, scale_by_half=False)
    assert metrics.brier_score(labels, probabilities) == pytest.approx(expected)


def test_a_class_that_neither_occurs_nor_is_predicted_is_left_out() -> None:
    labels, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    matrix = metrics.confusion_matrix(labels, predicted, 4)
    assert np.isnan(metrics.recall(matrix)[2:]).all()
    assert np.isnan(metrics.precision(matrix)[2:]).all()
    assert metrics.balanced_accuracy(matrix) == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert metrics.macro_f1(matrix) == pytest.approx(reference.f1_score(labels, predicted, average="macro"))


def test_a_class_that_is_predicted_but_never_occurs_lowers_f1_and_not_balanced_accuracy() -> None:
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    matrix = metrics.confusion_matrix(labels, predicted, 3)
    assert np.isnan(metrics.recall(matrix)[2])
    assert metrics.precision(matrix)[2] == 0
    assert metrics.balanced_accuracy(matrix) == pytest.approx(0.75)
    assert metrics.macro_f1(matrix) == pytest.approx(reference.f1_score(labels, predicted, average="macro"))


def test_a_class_that_is_never_predicted_has_precision_zero() -> None:
    matrix = metrics.confusion_matrix(np.array([0, 1]), np.array([0, 0]), 2)
    assert metrics.precision(matrix).tolist() == [0.5, 0.0]
    assert metrics.f1(matrix)[1] == 0


@pytest.mark.parametrize("positive", [np.ones(4, bool), np.zeros(4, bool)])
def test_auroc_of_one_kind_alone_is_undefined(positive: Bools) -> None:
    assert np.isnan(metrics.auroc(positive, np.linspace(0, 1, 4)))


def test_macro_auroc_leaves_out_absent_classes(rng: np.random.Generator) -> None:
    labels, probabilities = draw(rng)
    kept = labels != 3
    each = [reference.roc_auc_score(labels[kept] == c, probabilities[kept, c]) for c in range(CLASSES) if c != 3]
    assert metrics.macro_auroc(labels[kept], probabilities[kept]) == pytest.approx(np.mean(each))


def test_auroc_of_constant_scores_is_one_half() -> None:
    assert metrics.auroc(np.array([True, False, True]), np.full(3, 0.4)) == 0.5


def test_no_images_at_all_is_undefined_and_not_an_error() -> None:
    matrix = metrics.confusion_matrix(np.zeros(0, np.int64), np.zeros(0, np.int64), 3)
    assert np.isnan(metrics.accuracy(matrix))
    assert np.isnan(metrics.balanced_accuracy(matrix))


def test_calibration_error_by_hand() -> None:
    # Two bins of five hold images: (0.4, 0.6] states 0.5 and is right half of the time, (0.8, 1.0] states 0.9 and
    # is right once of three.
    confidence = np.array([0.5, 0.5, 0.9, 0.9, 0.9])
    correct = np.array([True, False, True, False, False])
    assert metrics.calibration_error(confidence, correct, bins=5) == pytest.approx(3 / 5 * (0.9 - 1 / 3))
    table = metrics.reliability_bins(confidence, correct, bins=5)
    assert table.images.tolist() == [0, 0, 2, 0, 3]
    assert np.isnan(table.frequency[0])


def test_bin_edges_belong_to_the_lower_bin() -> None:
    table = metrics.reliability_bins(np.array([0.0, 0.2, 0.2001, 1.0]), np.ones(4, bool), bins=5)
    assert table.images.tolist() == [2, 1, 0, 0, 1]


def test_honest_probabilities_are_calibrated() -> None:
    rng = np.random.default_rng(5)
    probabilities = rng.dirichlet(np.ones(4), size=40_000)
    labels = (probabilities.cumsum(axis=1) < rng.random((40_000, 1))).sum(axis=1)
    assert metrics.expected_calibration_error(labels, probabilities) < 0.01
    assert metrics.classwise_calibration_error(labels, probabilities) < 0.01
    sure = np.eye(4)[probabilities.argmax(axis=1)]
    assert metrics.expected_calibration_error(labels, sure) > 0.3
    assert metrics.classwise_calibration_error(labels, sure) > 0.1


@pytest.mark.parametrize(("hits", "total"), [(0, 20), (20, 20), (9, 10), (180, 200)])
def test_wilson_interval_agrees_with_scipy(hits: int, total: int) -> None:
    expected = binomtest(hits, total).proportion_ci(method="wilson")
    assert_allclose(metrics.wilson_interval(hits, total), (expected.low, expected.high), atol=1e-12)


def test_wilson_interval_without_trials_is_undefined() -> None:
    assert np.isnan(metrics.wilson_interval(0, 0)).all()
