"""Control charts against the examples of Montgomery's textbook, and alarms against the distributions themselves."""

import numpy as np
import pytest
from scipy import signal, stats

from ml.control_charts import FALSE_ALARMS, count_chart, ewma_chart, share_chart

# Montgomery, "Introduction to Statistical Quality Control", table 7.1: cans of orange juice, 30 samples of 50.
CANS = [12, 15, 8, 10, 4, 7, 16, 9, 14, 10, 5, 6, 17, 12, 22, 8, 10, 5, 13, 11, 20, 18, 24, 15, 9, 12, 7, 13, 9, 6]
# Table 9.1: 20 values of mean 10, then 10 of mean 11, with EWMA of weight 0.1 (table 9.10).
SHIFTED = [
    9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08, 9.37, 10.62,
    10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
]  # fmt: skip


def all_of(count: int) -> np.ndarray:
    return np.ones(count, dtype=bool)


def test_shares_of_the_textbook() -> None:
    counts = np.array(CANS, dtype=float)
    chart = share_chart(counts, np.full(30, 50.0), all_of(30))
    assert chart is not None
    assert chart.centre == pytest.approx(0.2313, abs=5e-5)
    narrow = (chart.upper - chart.centre) / chart.spread  # the textbook knows no wider limits
    assert chart.centre + narrow == pytest.approx(np.full(30, 0.4102), abs=1e-4)
    assert chart.centre - narrow == pytest.approx(np.full(30, 0.0524), abs=1e-4)


def test_shares_of_a_steady_process_have_the_textbooks_limits_and_find_what_left_them() -> None:
    counts = np.array([10, 11] * 10 + [30, 10], dtype=float)
    totals = np.full(22, 50.0)
    chart = share_chart(counts, totals, np.arange(22) < 20)
    assert chart is not None
    assert chart.spread == 1
    expected = chart.centre + 3 * np.sqrt(chart.centre * (1 - chart.centre) / 50)
    assert chart.upper[0] == pytest.approx(expected)
    assert np.flatnonzero(chart.alarms).tolist() == [20]


def test_few_cases_raise_no_alarm_that_chance_would() -> None:
    totals = np.array([100.0] * 10 + [3, 3])
    counts = np.array([5.0] * 10 + [2, 3])
    chart = share_chart(counts, totals, totals == 100)
    assert chart is not None
    assert chart.points[10] > chart.upper[10]  # by the normal limits alone it would be an alarm
    assert stats.binom.sf(1, 3, 0.05) > 0.00135 > stats.binom.sf(2, 3, 0.05)
    assert chart.alarms.tolist() == [False] * 11 + [True]


def test_limits_widen_where_the_baseline_varies_beyond_chance() -> None:
    # Large samples whose share wanders between days: Laney's case, where plain limits would alarm every other day.
    rng = np.random.default_rng(1)
    totals = np.full(60, 10_000.0)
    counts = rng.binomial(10_000, rng.normal(0.3, 0.03, 60).clip(0, 1)).astype(float)
    chart = share_chart(counts, totals, np.arange(60) < 30)
    assert chart is not None
    assert chart.spread > 3
    plain = 3 * np.sqrt(chart.centre * (1 - chart.centre) / 10_000)
    outside = int((np.abs(chart.points - chart.centre) > plain).sum())
    assert outside > 30
    assert chart.alarms.sum() < outside / 5


def test_false_alarms_are_as_rare_as_said() -> None:
    rng = np.random.default_rng(2)
    totals = np.full(20_000, 400.0)
    counts = rng.binomial(400, 0.2, 20_000).astype(float)
    chart = share_chart(counts, totals, np.arange(20_000) < 10_000)
    assert chart is not None
    assert chart.alarms.mean() < 1.5 * FALSE_ALARMS


def test_a_share_of_nothing_and_of_everything() -> None:
    for found in (0.0, 40.0):
        chart = share_chart(np.full(6, found), np.full(6, 40.0), all_of(6))
        assert chart is not None
        assert 0 < chart.centre < 1
        assert not chart.alarms.any()
    assert share_chart(np.zeros(3), np.zeros(3), all_of(3)) is None


def test_counts_of_the_textbook() -> None:
    # Montgomery's example 7.3: 516 nonconformities in 26 samples; limits 33.22 and 6.48 about 19.85.
    counts = np.array([20.0, 19.0, 20.0, 21.0] * 6 + [18.0, 18.0])
    counts[0] += 516 - counts.sum()
    chart = count_chart(counts, np.ones(26), all_of(26))
    assert chart is not None
    assert chart.spread == 1
    assert chart.centre == pytest.approx(19.85, abs=5e-3)
    assert chart.upper[0] == pytest.approx(33.22, abs=1e-2)
    assert chart.lower[0] == pytest.approx(6.48, abs=1e-2)


def test_counts_in_spans_of_several_sizes() -> None:
    chart = count_chart(np.array([70.0, 10, 70, 10, 30]), np.array([7.0, 1, 7, 1, 1]), np.arange(5) < 4)
    assert chart is not None
    assert chart.centre == 10
    assert chart.upper[0] == pytest.approx(10 + 3 * np.sqrt(10 / 7))
    assert chart.alarms.tolist() == [False] * 4 + [True]


def test_moving_averages_of_the_textbook() -> None:
    # Example 9.2: weight 0.1, limits 2.7 sigma. No single value lies beyond 3 sigma; their average finds the shift.
    chart = ewma_chart(np.array(SHIFTED), all_of(30), weight=0.1, width=2.7, centre=10.0, sigma=1.0)
    assert chart is not None
    averages, _state = signal.lfilter([0.1], [1, -0.9], SHIFTED, zi=[0.9 * 10])
    assert chart.points == pytest.approx(averages)
    assert chart.points[:2] == pytest.approx([9.945, 9.7495])
    assert (chart.upper[0], chart.lower[0]) == pytest.approx((10.27, 9.73))
    assert (chart.upper[1], chart.upper[-1]) == pytest.approx((10.36, 10.62), abs=5e-3)
    assert max(SHIFTED) < 13
    assert np.flatnonzero(chart.alarms)[0] > 19  # not before the mean has shifted


def test_moving_averages_pass_over_gaps() -> None:
    values = np.array([1.0, 2, np.nan, 1, 2, 1])
    chart = ewma_chart(values, all_of(6))
    without = ewma_chart(values[~np.isnan(values)], all_of(5))
    assert chart is not None
    assert without is not None
    assert np.isnan(chart.points[2])
    assert not chart.alarms[2]
    assert chart.points[~np.isnan(values)] == pytest.approx(without.points)
    assert ewma_chart(np.array([np.nan, 1.0]), all_of(2)) is None
    assert ewma_chart(np.ones(4), all_of(4)) is None
