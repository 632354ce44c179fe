"""The histograms in which measured numbers are counted: fixed for ever, so that days can be added up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Once a day is counted with them, these edges must not change: a new measure gets a new name.
EDGES: Mapping[str, Floats] = {
    "novelty": np.geomspace(0.1, 1000, 121),
    "brightness": np.linspace(0, 256, 65),
    "sharpness": np.geomspace(0.005, 5, 91),
    "short_side": np.geomspace(32, 16384, 73),
    "seconds": np.geomspace(0.001, 1000, 121),
}
"""Edges [B + 1] by measure. What lies outside is counted in the first or last bin."""
INPUTS = ("novelty", "brightness", "sharpness", "short_side")
"""Measures of the photos, as the gate took them (ml.gate_quality, ml.gate)."""


def empty() -> dict[str, Any]:
    """A tally of no values: their number, sum and histogram (bin number as text -> count)."""
    return {"n": 0, "sum": 0.0, "bins": {}}


def add_values(tally: dict[str, Any], measure: str, values: Sequence[float]) -> None:
    """Count values [N] of a measure."""
    if not values:
        return
    edges = EDGES[measure]
    array = np.asarray(values, dtype=np.float64)
    places = np.clip(np.searchsorted(edges, array, side="right") - 1, 0, len(edges) - 2)
    for place, count in zip(*np.unique(places, return_counts=True), strict=True):
        key = str(int(place))
        tally["bins"][key] = tally["bins"].get(key, 0) + int(count)
    tally["n"] += len(array)
    tally["sum"] = round(tally["sum"] + float(array.sum()), 4)


def merge(tally: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Add another tally of the same measure."""
    tally["n"] += other["n"]
    tally["sum"] += other["sum"]
    for key, count in other["bins"].items():
        tally["bins"][key] = tally["bins"].get(key, 0) + count


def counts(tally: Mapping[str, Any], measure: str) -> Floats:
    """The histogram as counts [B]."""
    found = np.zeros(len(EDGES[measure]) - 1)
    for key, count in tally["bins"].items():
        found[int(key)] = count
    return found


def quantile(tally: Mapping[str, Any], measure: str, share: float) -> float | None:
    """The value under which `share` (0..1) of the counted ones lie, as exactly as the bins tell; None of no values."""
    if not tally["n"]:
        return None
    below = np.concatenate([[0.0], np.cumsum(counts(tally, measure))]) / tally["n"]
    last = int(np.searchsorted(below, 1.0))
    return float(np.interp(share, below[: last + 1], EDGES[measure][: last + 1]))
