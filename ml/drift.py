"""How far what arrives lies from what a model was trained on, from histograms and quantiles."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GROUPS = 10
MODERATE, LARGE = 0.1, 0.25
"""What credit scoring calls a moderate and a large shift (Siddiqi 2006, "Credit Risk Scorecards")."""
QUANTILES = 20
"""Steps of a distribution that is kept as quantiles: 21 numbers."""


def quantiles_of(values: Floats) -> list[float]:
    """Values [N] as the `QUANTILES` + 1 numbers between which equal shares of them lie. Raises ValueError for none."""
    if not len(values):
        raise ValueError("no values have no quantiles")
    return [round(float(q), 4) for q in np.quantile(values, np.linspace(0, 1, QUANTILES + 1))]


def group_edges(quantiles: Sequence[float]) -> Floats:
    """The inner edges [< GROUPS] of groups that hold equal shares of a reference, given by evenly spaced quantiles.

    Fewer where the reference has ties: a group between equal edges would be empty.
    """
    shares = np.linspace(0, 1, len(quantiles))
    inner = np.interp(np.linspace(0, 1, GROUPS + 1)[1:-1], shares, np.asarray(quantiles, dtype=np.float64))
    return np.unique(inner)


def reference_shares(quantiles: Sequence[float], edges: Floats) -> Floats:
    """Share [len(edges) + 1] of the reference in each group."""
    values, shares = np.asarray(quantiles, dtype=np.float64), np.linspace(0, 1, len(quantiles))
    steps = np.concatenate([[0.0], [float(np.interp(edge, values, shares)) for edge in edges], [1.0]])
    result: Floats = np.diff(steps)
    return result


def histogram_shares(bins: Floats, counts: Floats, edges: Floats) -> Floats:
    """Share [len(edges) + 1] of a histogram, `counts` [B] between `bins` [B + 1], in each group; evenly spread inside a
    bin. Raises ValueError for an empty histogram."""
    if counts.sum() == 0:
        raise ValueError("an empty histogram has no shares")
    below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    steps = np.concatenate([[0.0], np.interp(edges, bins, below), [1.0]])
    result: Floats = np.diff(steps)
    return result


def stability_index(expected: Floats, found: Floats, cases: float) -> float:
    """The population stability index, sum (f - e) ln(f / e), of shares [G] against expected ones [G].

    Empty groups count as half of one of the `cases`, as a logarithm needs.
    """
    least = 0.5 / max(cases, 1)
    e, f = np.maximum(expected, least), np.maximum(found, least)
    return float(((f - e) * np.log(f / e)).sum())


def stability_limit(groups: int, cases: float, reference: float) -> float:
    """The index from which a shift is called large: `LARGE`, or what chance alone exceeds once in a thousand samples of
    so few cases, (1/n + 1/m) chi-square with groups - 1 degrees of freedom (Yurdakul and Naranjo 2020, "Statistical
    properties of the population stability index", Journal of Risk Model Validation 14(4)), where that is more."""
    from scipy.stats import chi2  # here: the web application starts without loading numerical libraries

    chance = (1 / max(cases, 1) + 1 / max(reference, 1)) * float(chi2.ppf(0.999, max(groups - 1, 1)))
    return max(LARGE, chance)
