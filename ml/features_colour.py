"""The colours of a lesion: statistics in CIELAB and HSV, its three main colours, and how many kinds of colour it has.

All depends on which pixels are the lesion and on nothing of their order, so that turning changes no number.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.float32]  # [N, 3], CIELAB

CLUSTERS = 3
BIN = 4.0
"""Width of the cells of CIELAB that pixels are counted in before they are clustered: about twice what is noticeable."""
ROUNDS = 20
SHARE_OF_A_COLOUR = 0.03
"""Share of the lesion from which a kind of colour counts as there."""
KINDS = ("white", "red", "light_brown", "dark_brown", "blue_grey", "black")
"""The six kinds of colour of the ABCD rule (Stolz et al. 1994; Nachbar et al. 1994), of which a lesion has 1 to 6."""
BLACK, DARK_BROWN = 22.0, 42.0
"""Lightness under which a colour is black, and dark brown."""
BLUE_GREY = 4.0
"""b* (yellow) under which a colour that is darker than the skin is blue or grey."""
RED_HUE = 38.0
"""Angle in degrees between a* and b* under which a colour is red rather than brown."""


@dataclass(frozen=True)
class MainColour:
    """One of a lesion's main colours: CIELAB and sRGB [3], and the share of the lesion that is nearest to it."""

    lab: Colours
    rgb: NDArray[np.uint8]
    share: float


def main_colours(colours: Colours, pixels: NDArray[np.uint8]) -> tuple[MainColour, ...]:
    """The three main colours of a lesion, the darkest first, by k-means (Lloyd 1982, "Least squares quantization in
    PCM") from CIELAB [N, 3] and sRGB [N, 3] of its pixels.

    Cells of colour are clustered rather than pixels, which is faster and the same for every order of the pixels. It
    starts by splitting the cluster with most variance at its mean, twice, across its principal direction (Su, Dy 2007,
    "In search of deterministic methods for initializing k-means"). A colour that no pixel is near has share 0.
    """
    cells, counts, member = _cells(colours)
    nearest = _split(cells, counts)
    centres = np.repeat(np.average(cells, axis=0, weights=counts)[None], CLUSTERS, axis=0)
    for _ in range(ROUNDS):
        weights = np.bincount(nearest, counts, CLUSTERS)
        sums = np.stack([np.bincount(nearest, counts * cells[:, c], CLUSTERS) for c in range(3)], axis=1)
        moved = np.where(weights[:, None] > 0, sums / np.maximum(weights, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
        nearest = ((cells[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    of_pixel = nearest[member]
    share = np.bincount(of_pixel, minlength=CLUSTERS) / len(of_pixel)
    rgb = np.stack([np.bincount(of_pixel, pixels[:, c], CLUSTERS) for c in range(3)], axis=1)
    rgb = np.rint(rgb / np.maximum(np.bincount(of_pixel, minlength=CLUSTERS), 1)[:, None]).astype(np.uint8)
    darkest_first = np.argsort(centres[:, 0], kind="stable")
    return tuple(MainColour(centres[k].astype(np.float32), rgb[k], float(share[k])) for k in darkest_first)


def _split(cells: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cluster of each cell [M] after the splits that clustering starts from."""
    cluster = np.zeros(len(cells), np.int64)
    for new in range(1, CLUSTERS):
        best: tuple[float, NDArray[np.bool_] | None] = (0.0, None)
        for old in range(new):
            inside = cluster == old
            spread = cells[inside] - np.average(cells[inside], axis=0, weights=counts[inside])
            scatter = (spread.T * counts[inside]) @ spread
            if (total := float(np.trace(scatter))) > best[0]:
                beyond = np.zeros(len(cells), np.bool_)
                beyond[inside] = spread @ np.linalg.eigh(scatter)[1][:, -1] > 0
                best = total, beyond
        if best[1] is None:
            break
        cluster[best[1]] = new
    return cluster


def _cells(colours: Colours) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean colour [M, 3] and number of pixels [M] of each cell that has any, and the cell of each pixel [N]."""
    steps = np.floor(colours / BIN).astype(np.int64) + np.array([0, 32, 32])
    codes = (np.clip(steps[:, 0], 0, 31) * 64 + np.clip(steps[:, 1], 0, 63)) * 64 + np.clip(steps[:, 2], 0, 63)
    counts = np.bincount(codes, minlength=32 * 64 * 64)
    used = np.flatnonzero(counts)
    number = np.zeros(len(counts), np.int64)
    number[used] = np.arange(len(used))
    member = number[codes]
    weights = counts[used].astype(np.float64)
    means = np.stack([np.bincount(member, colours[:, c]) for c in range(3)], axis=1) / weights[:, None]
    return means, weights, member


def kinds_of_colour(colours: Colours, skin: Colours) -> dict[str, float]:
    """The share of a lesion's pixels, CIELAB [N, 3], that has each of `KINDS`, 0 to 1 each and 1 together.

    White is what is lighter than the skin, CIELAB [3], and no more colourful (so Nachbar et al. 1994). The bounds are
    those of the module: rough, for light differs from photo to photo.
    """
    lightness, a, b = colours.T
    hue = np.degrees(np.arctan2(b, a))
    chroma = np.hypot(a, b)
    tests = (
        ("black", lightness < BLACK),
        ("white", (lightness > skin[0] + 2) & (chroma < np.hypot(skin[1], skin[2]) + 2)),
        ("blue_grey", (b < BLUE_GREY) & (a < 18) & (lightness < skin[0] - 6)),
        ("red", hue < RED_HUE),
        ("dark_brown", lightness < DARK_BROWN),
        ("light_brown", np.ones(len(colours), np.bool_)),
    )
    kind = np.select([test for _, test in tests], range(len(tests)))
    shares = np.bincount(kind, minlength=len(tests)) / len(colours)
    named = {name: float(share) for (name, _), share in zip(tests, shares, strict=True)}
    return {name: named[name] for name in KINDS}


def colour_variety(colours: Colours, skin: Colours) -> int:
    """How many of the six `KINDS` take at least `SHARE_OF_A_COLOUR` of a lesion, CIELAB [N, 3]: 1 to 6."""
    shares = kinds_of_colour(colours, skin).values()
    return max(1, sum(share >= SHARE_OF_A_COLOUR for share in shares))


def colour_spread(colours: Colours) -> float:
    """Root of the summed variances of CIELAB [N, 3]: 0 for one even colour, about 10 to 25 for lesions of several."""
    return float(np.sqrt(colours.var(axis=0).sum()))


def darkness(colours: Colours, skin: Colours) -> float:
    """By how much a lesion, CIELAB [N, 3], is darker than the skin, CIELAB [3], on average: L*, about -10 to 70."""
    return float(skin[0] - colours[:, 0].mean())


def colour_features(
    colours: Colours, pixels: NDArray[np.uint8], depth: NDArray[np.float32], skin: Colours
) -> dict[str, float]:
    """Every number about the colours of N pixels of a lesion, by name.

    From CIELAB `colours` [N, 3], sRGB `pixels` [N, 3], `depth` [N], the distance from the border as a share of the
    largest (0 to 1), and the colour of the `skin`, CIELAB [3]: per channel of CIELAB the mean against the skin,
    deviation, skewness and the 5th and 95th percentile; the mean against the skin in an outer, a middle and an inner
    ring (`ring_*`); mean direction and resultant length of the hue (-1 to 1, 0 to 1), mean and deviation of
    saturation and value of HSV (0 to 1); the three main colours against the skin with their shares, and the
    distances between them; the share of each kind of colour (0 to 1), `colour_variety` (1 to 6), `colour_spread`
    and `darkness`, and the `colour_entropy` in bits; and the skin itself (`skin_*`).
    """
    found: dict[str, float] = {}
    relative = colours - skin
    mean, deviation = relative.mean(axis=0), relative.std(axis=0)
    skewness = (((relative - mean) / np.maximum(deviation, 1e-3)) ** 3).mean(axis=0)
    low, high = np.percentile(relative, (5, 95), axis=0)
    rings = [relative[ring].mean(axis=0) if ring.any() else mean for ring in _rings(depth)]
    groups = {"mean": mean, "deviation": deviation, "skewness": skewness, "low": low, "high": high}
    groups |= {"ring_outer": rings[0], "ring_middle": rings[1], "ring_inner": rings[2], "skin": skin}
    for group, values in groups.items():
        found |= {f"{group}_{axis}": float(value) for axis, value in zip(("lightness", "a", "b"), values, strict=True)}
    found |= _hsv(pixels)
    main = main_colours(colours, pixels)
    for place, colour in zip(("dark", "medium", "light"), main, strict=True):
        names = (f"{place}_{axis}" for axis in ("lightness", "a", "b"))
        found |= dict(zip(names, map(float, colour.lab - skin), strict=True))
        found[f"{place}_share"] = colour.share
    found["dark_to_medium"] = float(np.linalg.norm(main[0].lab - main[1].lab))
    found["medium_to_light"] = float(np.linalg.norm(main[1].lab - main[2].lab))
    found |= {f"share_{kind}": share for kind, share in kinds_of_colour(colours, skin).items()}
    found["colour_variety"] = float(colour_variety(colours, skin))
    found["colour_spread"] = colour_spread(colours)
    found["darkness"] = darkness(colours, skin)
    shares = _cells(colours)[1] / len(colours)
    found["colour_entropy"] = float(-(shares * np.log2(shares)).sum())
    return found


def _rings(depth: NDArray[np.float32]) -> tuple[NDArray[np.bool_], ...]:
    return depth < 1 / 3, (depth >= 1 / 3) & (depth < 2 / 3), depth >= 2 / 3


def _hsv(pixels: NDArray[np.uint8]) -> dict[str, float]:
    hsv = np.asarray(cv2.cvtColor(pixels[None], cv2.COLOR_RGB2HSV))[0].astype(np.float32)
    # A hue is an angle: its mean is that of unit vectors, the paler colours counting less.
    angle, weight = np.radians(2 * hsv[:, 0]), hsv[:, 1] / 255
    total = max(float(weight.sum()), 1e-6)
    x, y = float((weight * np.cos(angle)).sum()) / total, float((weight * np.sin(angle)).sum()) / total
    return {
        "hue_x": x,
        "hue_y": y,
        "hue_agreement": float(np.hypot(x, y)),
        "saturation_mean": float(weight.mean()),
        "saturation_deviation": float(weight.std()),
        "value_mean": float(hsv[:, 2].mean() / 255),
        "value_deviation": float(hsv[:, 2].std() / 255),
    }
