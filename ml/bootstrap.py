"""Intervals from a bootstrap over lesions.

Several images of one lesion are not independent, so whole lesions are drawn, with replacement, and every image of a
lesion counts as often as its lesion was drawn (the cluster bootstrap; Davison and Hinkley, "Bootstrap methods and
their application", 1997, section 3.8). Percentile intervals.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.metrics import Floats

RESAMPLES = 1000
CHUNK = 2**21  # weights held at once: 16 MiB of float64


@dataclass(frozen=True)
class Interval:
    """A figure with the mean and the bounds of its resamples; NaN where it is never defined."""

    value: float
    mean: float
    low: float
    high: float

    def number(self) -> float | None:
        """The value as JSON has it: None where it is not defined."""
        return _plain(self.value)

    def bounds(self) -> list[float | None]:
        """Both bounds as JSON has them."""
        return [_plain(self.low), _plain(self.high)]


def bootstrap(
    figures: Callable[[Floats], Mapping[str, Floats]],
    clusters: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Value and interval of every figure.

    `figures` takes weights [R, N] (how often each of the N images counts, in R resamples) and returns a vector [R]
    by name. `clusters` names the lesion of each image [N]. Resamples in which a figure is not defined are left out
    of its interval. The same seed gives the same intervals. Raises ValueError without images or resamples.
    """
    if not len(clusters) or resamples < 1:
        raise ValueError("A bootstrap needs at least one image and one resample.")
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(cluster.max()) + 1
    rng = np.random.default_rng(seed)
    draws: dict[str, list[Floats]] = {}
    chunk = max(1, CHUNK // len(cluster))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        # Drawing `count` lesions with replacement and counting them is one multinomial draw.
        times = rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
        for name, values in figures(times[:, cluster]).items():
            draws.setdefault(name, []).append(values)
    whole = figures(np.ones((1, len(cluster))))
    return {name: _interval(float(whole[name][0]), np.concatenate(parts), level) for name, parts in draws.items()}


def _interval(value: float, draws: Floats, level: float) -> Interval:
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return Interval(value, float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(defined.mean()), float(low), float(high))


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
