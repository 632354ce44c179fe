"""What can be measured of a photo without a network, and the bounds within which a photo can be judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace

from ml.preprocess import hair_share
from ml.screening import TIPS
from ml.transforms.serving import square

QUALITY_SIDE = 256
MIN_SIDE = 100
"""Shorter side, in pixels, under which there is too little to see."""
FLAT_CONTRAST = 4.0
"""Standard deviation of luma, in grey levels, under which a picture is blank."""
HAIR_HINT = 0.15
"""Share of a picture under hair from which the next photo had better show less of it."""
MOSTLY_HAIR = 0.35
"""Share from which the lesion cannot be judged: over what any dermatoscopic picture of the training data or of those
that people rated for their hair has."""

# The quantile of the training pictures beyond which a quality score is out of bounds, and the room given beyond it.
QUALITY_QUANTILE = 0.002
QUALITY_MARGIN = 0.25
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Fault:
    """One way in which a photo falls short: the reason's code and the bound that its score misses."""

    reason: str
    limit: float


def quality_scores(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """What can be measured of an RGB picture [H, W, 3] without a network.

    `short_side` in pixels; `brightness` (mean luma, 0..255); `contrast` (its standard deviation); `sharpness`, the
    standard deviation of the Laplacian of luma over `contrast`, at 256 x 256 pixels (after Pech-Pacheco et al. 2000,
    "Diatom autofocusing in brightfield microscopy", made independent of contrast); `hair`, the share under dark hair.
    """
    luma = square(pixels, QUALITY_SIDE).astype(np.float64) @ LUMA
    contrast = float(luma.std())
    return {
        "short_side": float(min(pixels.shape[:2])),
        "brightness": float(luma.mean()),
        "contrast": contrast,
        "sharpness": float(laplace(luma).std() / max(contrast, 1.0)),
        "hair": hair_share(pixels),
    }


def blank(scores: Mapping[str, float]) -> Fault | None:
    """The fault of a picture without any structure, or None."""
    return Fault("low_contrast", FLAT_CONTRAST) if scores["contrast"] < FLAT_CONTRAST else None


def fault(scores: Mapping[str, float], limits: Mapping[str, float]) -> Fault | None:
    """The first fault of a photo by its `quality_scores` and the bundle's `quality_limits`, or None."""
    checks = (
        (Fault("too_small", MIN_SIDE), scores["short_side"] < MIN_SIDE),
        (Fault("too_dark", limits["brightness_low"]), scores["brightness"] < limits["brightness_low"]),
        (Fault("too_bright", limits["brightness_high"]), scores["brightness"] > limits["brightness_high"]),
        (Fault("blur", limits["sharpness"]), scores["sharpness"] < limits["sharpness"]),
        (Fault("hair", MOSTLY_HAIR), scores["hair"] > MOSTLY_HAIR),
    )
    return next((found for found, missed in checks if missed), None)


def hint(scores: Mapping[str, float]) -> str | None:
    """The tip for the next photo that a usable one deserves, or None."""
    return TIPS["hair"] if scores["hair"] > HAIR_HINT else None


def quality_limits(qualities: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Bounds of brightness and sharpness: quantiles of the training pictures, with some room beyond."""
    brightness = np.array([scores["brightness"] for scores in qualities])
    sharpness = np.array([scores["sharpness"] for scores in qualities])
    return {
        "brightness_low": float(np.quantile(brightness, QUALITY_QUANTILE) * (1 - QUALITY_MARGIN)),
        "brightness_high": float(min(250.0, np.quantile(brightness, 1 - QUALITY_QUANTILE) + 10.0)),
        "sharpness": float(np.quantile(sharpness, QUALITY_QUANTILE) * (1 - QUALITY_MARGIN)),
    }
