"""The severity proxy: a documented score of how pronounced a lesion looks, where no clinician's grades are at hand.

No public data tell the severity of these diseases. The proxy measures what can be seen, area, border, darkness and
colours, and parts the lesions of one disease into three equal groups. It is no clinical grade and knows nothing of
depth, spread or complaints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import DatasetError
from ml.features import find_lesion
from ml.features_colour import colour_spread, darkness
from ml.features_shape import border_irregularity
from ml.severity_grades import GRADES

WEIGHTS = {"area": 0.3, "border_irregularity": 0.3, "darkness": 0.2, "colour_spread": 0.2}
QUANTILES = (0.05, 0.95)
"""Of each measure on the training split: what counts as 0 and as 1, so that no single odd picture sets the scale."""


@dataclass(frozen=True)
class Proxy:
    """The score of one disease as its training split fixed it: the low and the high end of the `scales` of each
    measure, and the two scores that part the training pictures into thirds."""

    disease: str
    scales: dict[str, tuple[float, float]]
    terciles: tuple[float, float]

    def score(self, measures: Mapping[str, float]) -> float:
        """0 to 1: the weighted mean of the measures, each on its scale and cut off at its ends."""
        return sum(weight * _on_scale(measures[name], self.scales[name]) for name, weight in WEIGHTS.items())

    def grade(self, measures: Mapping[str, float]) -> str:
        """One of `GRADES`."""
        return GRADES[int(np.searchsorted(self.terciles, self.score(measures), side="right"))]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def proxy_measures(pixels: NDArray[np.uint8]) -> dict[str, float] | None:
    """What the score is made of, for RGB [H, W, 3]; None where no lesion is found.

    `area` is the share of the view, 0 to 1; `border_irregularity` P^2 / (4 pi A), from 1; `darkness` by how much L* the
    lesion is darker than the skin around; `colour_spread` the root of the summed variances of its CIELAB colours.
    """
    lesion = find_lesion(pixels)
    if lesion is None:
        return None
    colours = lesion.colours[lesion.mask]
    return {
        "area": float(lesion.mask[lesion.view].mean()),
        "border_irregularity": border_irregularity(lesion.mask),
        "darkness": darkness(colours, lesion.skin),
        "colour_spread": colour_spread(colours),
    }


def fit_proxy(disease: str, training: Sequence[Mapping[str, float]]) -> Proxy:
    """The proxy of a disease from the measures of its training pictures. Raises DatasetError for fewer than three."""
    if len(training) < len(GRADES):
        raise DatasetError(f"Too few training pictures of '{disease}' in which a lesion was found: {len(training)}.")
    scales = {}
    for name in WEIGHTS:
        low, high = np.quantile([measures[name] for measures in training], QUANTILES)
        scales[name] = (float(low), float(max(high, low + 1e-9)))
    scored = Proxy(disease, scales, (0.0, 0.0))
    first, second = np.quantile([scored.score(measures) for measures in training], (1 / 3, 2 / 3))
    return Proxy(disease, scales, (float(first), float(second)))


def _on_scale(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))
