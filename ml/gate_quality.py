"""What can be measured of a photo without a network, and the bounds within which a photo can be judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace

from ml.features import Sought, seek_lesion
from ml.gate_blocks import blockiness
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

BLOCKY = 0.4
"""Blockiness from which compression has taken what tells one lesion from another. Answers to the validation pictures
get worse at JPEG quality 18, where half are refused for it, and nine in ten at 10; at 30, where answers are still as
good, one in ten is refused for any reason (docs/conditions.md)."""
TINY = 0.01
"""Share of a picture under which a lesion shows too little of itself: one in 200 pictures of HAM10000 lies below, and
one in 400 malignant ones. In none of 3,216 pictures it was under 0.005, or nothing stood out."""
TINY_QUANTILE = 0.005

# The quantile of the training pictures beyond which a quality score is out of bounds, and the room given beyond it.
QUALITY_QUANTILE = 0.003
QUALITY_MARGIN = 0.15
DARK_MARGIN = 0.1
"""Answers get worse from 1.5 stops too dark on. Of such pictures this refuses nearly four in ten (docs/conditions.md),
and of 127 validation pictures of HAM10000 as they are none."""
NOISE_MARGIN = 0.25
YELLOW_MARGIN = 0.15
"""In stops of `yellowness`. Pictures of 5500 K are answered as well as others (docs/conditions.md) and one in fifty is
refused; at 4500 K answers get worse, and one in five is. A malignant lesion that is refused has been missed."""
FEW = 5.0
"""Pictures by whose share of all a bound is widened: the extremes of few pictures lie well inside those to come."""
LIT = 30.0
"""Luma, in grey levels, over which a pixel counts for the colour of the light."""
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Fault:
    """One way in which a photo falls short: the reason's code and the bound that its score misses."""

    reason: str
    limit: float


def quality_scores(pixels: NDArray[np.uint8], sought: Sought | None = None) -> dict[str, float]:
    """What can be measured of an RGB picture [H, W, 3] without a network; `sought` is what the search for its lesion
    came to, where that is known already.

    `short_side` in pixels; `brightness` (mean luma, 0..255); `contrast` (its standard deviation); `sharpness`, the
    standard deviation of the Laplacian of luma over `contrast`, at 256 x 256 pixels (after Pech-Pacheco et al. 2000,
    "Diatom autofocusing in brightfield microscopy", made independent of contrast); `steadiness`, the same along that
    of four directions in which it is least, since a movement blurs along its path alone; `yellowness`, how far blue
    lies behind red and green in linear light, in stops, which tells warm light; `hair`, the share under dark hair;
    `blockiness`, how strongly the blocks of a lossy compression stand out (ml.gate_blocks); `lesion`, the share that
    what stands out from the skin takes, left out where most of the picture is dark (ml.features).
    """
    share = (sought or seek_lesion(pixels)).share
    small = square(pixels, QUALITY_SIDE)
    luma = small.astype(np.float64) @ LUMA
    contrast = float(luma.std())
    return {
        "short_side": float(min(pixels.shape[:2])),
        "brightness": float(luma.mean()),
        "contrast": contrast,
        "sharpness": float(laplace(luma).std() / max(contrast, 1.0)),
        "steadiness": min(_detail(luma, *direction) for direction in DIRECTIONS) / max(contrast, 1.0),
        "yellowness": _yellowness(small, luma),
        "hair": hair_share(pixels),
        "blockiness": blockiness(pixels),
        **({} if share is None else {"lesion": share}),
    }


def _detail(luma: NDArray[np.float64], down: int, right: int) -> float:
    """Deviation of the second difference along a direction, by the distance that it spans."""
    height, width = luma.shape
    ahead = luma[1 + down : height - 1 + down, 1 + right : width - 1 + right]
    behind = luma[1 - down : height - 1 - down, 1 - right : width - 1 - right]
    return float((ahead + behind - 2 * luma[1:-1, 1:-1]).std() / np.hypot(down, right))


def _yellowness(pixels: NDArray[np.uint8], luma: NDArray[np.float64]) -> float:
    """log2(G sqrt(R) / sqrt(B^3)) of the median colour of the lit pixels, in linear light (IEC 61966-2-1)."""
    lit = luma > LIT if np.any(luma > LIT) else np.ones(luma.shape, np.bool_)
    level = np.array([np.median(pixels[..., channel][lit]) for channel in range(3)]) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    red, green, blue = np.log2(np.maximum(linear, 1e-3))
    return float(green + red / 2 - 1.5 * blue)


def blank(scores: Mapping[str, float]) -> Fault | None:
    """The fault of a picture without any structure, or None."""
    return Fault("low_contrast", FLAT_CONTRAST) if scores["contrast"] < FLAT_CONTRAST else None


def too_small(scores: Mapping[str, float]) -> Fault | None:
    """The fault of a picture with too few pixels to show a lesion, or None."""
    return Fault("too_small", MIN_SIDE) if scores["short_side"] < MIN_SIDE else None


def fault(scores: Mapping[str, float], limits: Mapping[str, float]) -> Fault | None:
    """The first fault of a photo by its `quality_scores` and the bundle's `quality_limits`, or None.

    A limit that the bundle does not have is not asked for, nor is the share of a lesion where most is dark.
    """
    small = too_small(scores)
    if small is not None:
        return small
    checks = (
        ("too_dark", "brightness", limits.get("brightness_low"), None),
        ("too_bright", "brightness", None, limits.get("brightness_high")),
        ("compressed", "blockiness", None, limits.get("blockiness")),
        ("blur", "sharpness", limits.get("sharpness"), None),
        ("motion", "steadiness", limits.get("steadiness"), None),
        ("noise", "sharpness", None, limits.get("noise")),
        ("yellow_light", "yellowness", None, limits.get("yellowness")),
        ("hair", "hair", None, MOSTLY_HAIR),
        ("too_far", "lesion", limits.get("lesion"), None),
    )
    for reason, name, least, most in checks:
        if name == "lesion" and name not in scores:
            continue
        if least is not None and scores[name] < least:
            return Fault(reason, least)
        if most is not None and scores[name] > most:
            return Fault(reason, most)
    return None


def hint(scores: Mapping[str, float]) -> str | None:
    """The tip for the next photo that a usable one deserves, or None."""
    return TIPS["hair"] if scores["hair"] > HAIR_HINT else None


def quality_limits(qualities: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Bounds of the scores of usable photos: quantiles of the training pictures, with room beyond for some, and more of
    it above where the pictures are few."""
    names = ("brightness", "sharpness", "steadiness", "yellowness", "blockiness")
    values = {name: np.array([scores[name] for scores in qualities]) for name in names}
    lesions = [scores["lesion"] for scores in qualities if "lesion" in scores]
    low = {name: float(np.quantile(found, QUALITY_QUANTILE)) for name, found in values.items()}
    high = {name: float(np.quantile(found, 1 - QUALITY_QUANTILE)) for name, found in values.items()}
    room = spare_room(len(qualities))
    return {
        "brightness_low": low["brightness"] * (1 - DARK_MARGIN),
        "brightness_high": min(250.0, high["brightness"] + 10.0),
        "sharpness": low["sharpness"] * (1 - QUALITY_MARGIN),
        "noise": high["sharpness"] * (1 + NOISE_MARGIN + room),
        "steadiness": low["steadiness"],
        "yellowness": high["yellowness"] + YELLOW_MARGIN + room,
        "blockiness": max(BLOCKY, high["blockiness"] * (1 + NOISE_MARGIN + room)),
        "lesion": min(TINY, float(np.quantile(lesions or [TINY], TINY_QUANTILE))),
    }


def spare_room(count: int) -> float:
    """By what share a bound that was fitted on `count` pictures is widened: next to nothing for a thousand."""
    return FEW / max(count, 1)
