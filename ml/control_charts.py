"""Control charts: is this point more than the usual ups and downs of the baseline?

Formulas after Montgomery, "Introduction to Statistical Quality Control" (7th edition 2013): p-chart (7.2.1), c- and
u-chart (7.3), EWMA (9.2). Limits of shares and counts are widened by what the baseline varies beyond its own sampling
(Laney 2002, "Improved control charts for attributes", Quality Engineering 14(4)): never narrowed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SIGMAS = 3.0
RARE = 0.00135
"""Probability of lying beyond one 3 sigma limit of a normal distribution."""
FALSE_ALARMS = 2 * RARE
"""Share of points that lie outside of the limits by chance alone."""
EWMA_WEIGHT = 0.2
MOVING_RANGE = 1.128
"""Mean difference of two independent normal values in standard deviations (d2 for two, Montgomery's table VI)."""


@dataclass(frozen=True)
class Chart:
    """Points [N] (NaN where there was nothing to count), the `centre` of the baseline, limits [N] and which points
    raise an alarm [N]. `spread` is by how much the limits were widened, 1 for not at all."""

    points: Floats
    centre: float
    lower: Floats
    upper: Floats
    alarms: Bools
    spread: float = 1.0


def share_chart(counts: Floats, totals: Floats, baseline: Bools) -> Chart | None:
    """A p-chart of `counts` [N] of `totals` [N], with the centre of the points in `baseline` [N].

    Few cases make limits wide. A point raises an alarm where it lies outside of them and the binomial distribution
    itself gives so extreme a count at most `RARE`: for few cases the normal limits alone are too narrow. A share that
    was 0 or 1 throughout the baseline is taken to be half a case away from it. None where the baseline has no cases.
    """
    cases = float(totals[baseline].sum())
    if cases == 0:
        return None
    known = totals > 0
    points = np.divide(counts, totals, out=np.full(len(totals), np.nan), where=known)
    found = float(counts[baseline].sum())
    centre = found / cases if 0 < found < cases else (found + 0.5) / (cases + 1)
    deviation = np.sqrt(centre * (1 - centre) / np.maximum(totals, 1))
    spread = _spread(((points - centre) / deviation)[baseline & known])
    upper = np.minimum(centre + SIGMAS * spread * deviation, 1)
    lower = np.maximum(centre - SIGMAS * spread * deviation, 0)
    from scipy.stats import binom  # here: the web application starts without loading numerical libraries

    extreme = np.minimum(binom.sf(counts - 1, totals, centre), binom.cdf(counts, totals, centre)) <= RARE
    return Chart(points, centre, lower, upper, known & extreme & ((points > upper) | (points < lower)), spread)


def count_chart(counts: Floats, sizes: Floats, baseline: Bools) -> Chart | None:
    """A u-chart of `counts` [N] in spans of `sizes` [N] (days, say; all of one size make it a c-chart of counts per
    size). Alarms as in `share_chart`, by the Poisson distribution. None where the baseline is empty or has no count.
    """
    size = float(sizes[baseline].sum())
    if size == 0 or counts[baseline].sum() == 0:
        return None
    points = counts / sizes
    centre = float(counts[baseline].sum() / size)
    deviation = np.sqrt(centre / sizes)
    spread = _spread(((points - centre) / deviation)[baseline])
    upper, lower = centre + SIGMAS * spread * deviation, np.maximum(centre - SIGMAS * spread * deviation, 0)
    from scipy.stats import poisson  # as above

    extreme = np.minimum(poisson.sf(counts - 1, centre * sizes), poisson.cdf(counts, centre * sizes)) <= RARE
    return Chart(points, centre, lower, upper, extreme & ((points > upper) | (points < lower)), spread)


def ewma_chart(
    values: Floats,
    baseline: Bools,
    *,
    weight: float = EWMA_WEIGHT,
    width: float = SIGMAS,
    centre: float | None = None,
    sigma: float | None = None,
) -> Chart | None:
    """An exponentially weighted moving average of `values` [N] (NaN: no value, the average stays).

    It finds small, lasting shifts sooner than single points do. `centre` is the mean of the values in `baseline` and
    `sigma` their mean moving range over `MOVING_RANGE`, where not given. None where the baseline has under two values
    or no variation.
    """
    known = values[baseline & ~np.isnan(values)]
    if centre is None or sigma is None:
        if len(known) < 2:
            return None
        centre, sigma = float(known.mean()), float(np.abs(np.diff(known)).mean() / MOVING_RANGE)
    if sigma == 0:
        return None
    points, steps, level = np.full(len(values), np.nan), np.zeros(len(values)), centre
    step = 0
    for place, value in enumerate(values):
        if not np.isnan(value):
            level = weight * value + (1 - weight) * level
            step += 1
            points[place] = level
        steps[place] = max(step, 1)
    reach = width * sigma * np.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * steps)))
    upper, lower = centre + reach, centre - reach
    return Chart(points, centre, lower, upper, (points > upper) | (points < lower))


def _spread(scores: Floats) -> float:
    """Laney's factor: the moving range of standardised baseline points [M] over what sampling alone would give."""
    return max(1.0, float(np.abs(np.diff(scores)).mean() / MOVING_RANGE)) if len(scores) > 1 else 1.0
