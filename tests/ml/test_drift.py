"""Drift: shares of histograms, and the population stability index against its definition and its distribution."""

import numpy as np
import pytest
from scipy import stats

from ml.drift import (
    LARGE,
    group_edges,
    histogram_shares,
    quantiles_of,
    reference_shares,
    stability_index,
    stability_limit,
)


def test_groups_hold_equal_shares_of_the_reference() -> None:
    values = np.random.default_rng(0).normal(0, 1, 20_000)
    edges = group_edges(quantiles_of(values))
    assert edges == pytest.approx(stats.norm.ppf(np.arange(1, 10) / 10), abs=0.05)
    assert reference_shares(quantiles_of(values), edges) == pytest.approx(np.full(10, 0.1), abs=1e-3)


def test_ties_make_fewer_groups() -> None:
    quantiles = quantiles_of(np.array([450.0] * 90 + [600.0] * 10))
    edges = group_edges(quantiles)
    assert len(edges) < 9
    assert len(np.unique(edges)) == len(edges)
    assert reference_shares(quantiles, edges).sum() == pytest.approx(1)


def test_shares_of_a_histogram() -> None:
    shares = histogram_shares(np.array([0.0, 1, 2, 3]), np.array([1.0, 2, 1]), np.array([1.0, 1.5]))
    assert shares == pytest.approx([0.25, 0.25, 0.5])
    with pytest.raises(ValueError, match="empty"):
        histogram_shares(np.array([0.0, 1]), np.zeros(1), np.array([0.5]))


def test_index_by_its_definition() -> None:
    expected, found = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
    by_hand = -0.1 * np.log(0.8) + 0 + 0.1 * np.log(1.5)
    assert stability_index(expected, found, 1000) == pytest.approx(by_hand)
    assert stability_index(expected, expected, 10) == 0
    assert np.isfinite(stability_index(expected, np.array([1.0, 0, 0]), 50))


def test_chance_alone_seldom_reaches_the_limit() -> None:
    rng = np.random.default_rng(1)
    expected = np.full(10, 0.1)
    for cases in (60, 400):
        found = rng.multinomial(cases, expected, 2000) / cases
        indices = np.array([stability_index(expected, one, cases) for one in found])
        assert (indices > stability_limit(10, cases, 1e9)).mean() < 0.01
    assert stability_limit(10, 60, 1e9) > LARGE
    assert stability_limit(10, 400, 1e9) == LARGE


def test_no_values_have_no_quantiles() -> None:
    with pytest.raises(ValueError, match="no quantiles"):
        quantiles_of(np.zeros(0))
