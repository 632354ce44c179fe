"""The bootstrap over lesions: its width, its seed, its speed."""

import time
from collections.abc import Mapping
from dataclasses import astuple

import numpy as np
import pytest

from ml import metrics
from ml.bootstrap import Interval, bootstrap
from ml.metrics import Floats, Ints


def share(values: Floats, weights: Floats) -> Mapping[str, Floats]:
    return {"share": weights @ values / weights.sum(axis=1)}


def test_interval_of_a_proportion_is_near_the_textbook_one() -> None:
    values = np.repeat([1.0, 0.0], [240, 60])
    result = bootstrap(lambda weights: share(values, weights), [str(i) for i in range(300)], resamples=4000)["share"]
    low, high = metrics.wilson_interval(240, 300)
    assert result.value == pytest.approx(0.8)
    assert result.mean == pytest.approx(0.8, abs=0.003)
    assert result.low == pytest.approx(low, abs=0.012)
    assert result.high == pytest.approx(high, abs=0.012)


def test_images_of_one_lesion_do_not_count_as_independent() -> None:
    values = np.repeat([1.0, 0.0] * 20, 10)
    by_image = bootstrap(lambda weights: share(values, weights), [str(i) for i in range(400)])["share"]
    by_lesion = bootstrap(lambda weights: share(values, weights), [str(i // 10) for i in range(400)])["share"]
    width = (by_lesion.high - by_lesion.low) / (by_image.high - by_image.low)
    assert width == pytest.approx(np.sqrt(10), rel=0.2)


def test_seed_decides_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    clusters = [str(i // 2) for i in range(50)]

    def run(seed: int) -> Interval:
        return bootstrap(lambda weights: share(values, weights), clusters, resamples=60, seed=seed)["share"]

    first = run(1)
    assert run(1) == first
    assert run(2) != first
    monkeypatch.setattr("ml.bootstrap.CHUNK", 7 * 50)
    assert astuple(run(1)) == pytest.approx(astuple(first), rel=1e-12)


def test_resamples_without_a_value_are_left_out() -> None:
    positive, scores = np.array([True, False, False]), np.array([0.9, 0.1, 0.2])
    result = bootstrap(lambda weights: {"auroc": metrics.auroc(positive, scores, weights)}, ["a", "b", "c"])["auroc"]
    assert (result.value, result.low, result.high) == (1.0, 1.0, 1.0)
    never = bootstrap(lambda weights: {"auroc": metrics.auroc(positive | True, scores, weights)}, ["a", "b", "c"])
    assert np.isnan([never["auroc"].value, never["auroc"].low, never["auroc"].high]).all()


def test_nothing_to_draw_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        bootstrap(lambda weights: {}, [])
    with pytest.raises(ValueError, match="one resample"):
        bootstrap(lambda weights: {}, ["a"], resamples=0)


def test_a_thousand_resamples_of_every_headline_figure_take_seconds() -> None:
    rng = np.random.default_rng(3)
    labels: Ints = rng.integers(0, 7, size=1300)
    probabilities = rng.dirichlet(np.ones(7), size=1300)
    predicted = probabilities.argmax(axis=1)

    def figures(weights: Floats) -> Mapping[str, Floats]:
        matrix = metrics.confusion_matrix(labels, predicted, 7, weights)
        return {
            "accuracy": metrics.accuracy(matrix),
            "balanced_accuracy": metrics.balanced_accuracy(matrix),
            "macro_f1": metrics.macro_f1(matrix),
            "macro_auroc": metrics.macro_auroc(labels, probabilities, weights),
            "brier": metrics.brier_score(labels, probabilities, weights),
            "ece": metrics.expected_calibration_error(labels, probabilities, weights=weights),
        }

    start = time.perf_counter()
    result = bootstrap(figures, [str(i // 2) for i in range(1300)], resamples=1000)
    assert time.perf_counter() - start < 20  # about one second on a free core
    assert all(interval.low <= interval.value <= interval.high for name, interval in result.items() if name != "ece")
