"""Every number that is measured of a lesion, under one name each and in one order."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.features import Lesion, cielab, find_lesion
from ml.features_colour import colour_features
from ml.features_shape import shape_features
from ml.features_texture import texture_features


@dataclass(frozen=True)
class Measured:
    """A lesion and the numbers measured of it, `values` [F] in the order of `FEATURES`."""

    lesion: Lesion
    values: NDArray[np.float32]

    def __getitem__(self, name: str) -> float:
        """One number by its name."""
        return float(self.values[FEATURES.index(name)])


def measure(pixels: NDArray[np.uint8]) -> Measured | None:
    """RGB [H, W, 3] -> everything that is measured of its lesion; None where no lesion is found.

    The numbers are finite, and change little when the photo is turned by a right angle or mirrored.
    """
    lesion = find_lesion(pixels)
    return None if lesion is None else measured(lesion)


def measured(lesion: Lesion) -> Measured:
    """Everything that is measured of a lesion that was found already."""
    return Measured(lesion, np.array(list(features_of(lesion).values()), np.float32))


def features_of(lesion: Lesion) -> dict[str, float]:
    """The numbers of a lesion by name, in their order."""
    mask = lesion.mask
    seen = cielab(lesion.pixels)
    depth = np.asarray(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3))[1:-1, 1:-1][mask]
    return {
        **shape_features(mask, lesion.view, lesion.colours, lesion.scale),
        **colour_features(lesion.colours[mask], lesion.pixels[mask], depth / depth.max(), lesion.skin),
        **texture_features(seen, mask, lesion.view),
    }


def _names() -> tuple[str, ...]:
    rows, columns = np.mgrid[:40, :60]
    disc = np.hypot(rows - 20, columns - 30) < 12
    pixels = np.where(disc[..., None], (110, 70, 50), (220, 180, 160)).astype(np.uint8)
    view, skin = np.ones(disc.shape, np.bool_), np.array([75, 12, 15], np.float32)
    return tuple(features_of(Lesion(pixels, cielab(pixels), disc, view, skin, 1.0)))


FEATURES = _names()
"""The names of all features, in the order of `Measured.values`."""
