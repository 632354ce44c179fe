"""The texture of a lesion: how its lightness varies from pixel to pixel, and how sharply it ends.

Each number is an average over directions that a right-angle turn or a mirror only swaps.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]  # [H, W]
Mask = NDArray[np.bool_]  # [H, W]

LEVELS = 16
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
DISTANCES = (1, 3)
BAND = 3
"""Pixels inside and outside of the border between which its sharpness is measured."""


def cooccurrence_features(lightness: Plane, mask: Mask, distance: int) -> dict[str, float]:
    """Contrast, homogeneity, energy, correlation and entropy of grey levels that lie `distance` pixels apart, within a
    lesion's mask [H, W], averaged over four directions (Haralick, Shanmugam, Dinstein 1973, "Textural features for
    image classification").

    Lightness [H, W] in 0..100 is cut to `LEVELS` between the lesion's 2nd and 98th percentile, so that it is the
    pattern that counts. Contrast from 0 to 225, homogeneity and energy 0 to 1, correlation -1 to 1, entropy 0 to 8
    bits; all 0 where no two pixels lie so.
    """
    low, high = np.percentile(lightness[mask], (2, 98))
    levels = np.clip((lightness - low) / max(high - low, 1.0) * LEVELS, 0, LEVELS - 1).astype(np.int64)
    height, width = mask.shape
    joint = np.zeros((LEVELS, LEVELS))
    for down, right in DIRECTIONS:
        down, right = down * distance, right * distance
        here = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        there = slice(down, height), slice(max(0, right), width + min(0, right))
        both = mask[here] & mask[there]
        counts = np.bincount(levels[here][both] * LEVELS + levels[there][both], minlength=LEVELS**2)
        share = (counts / max(1, counts.sum())).reshape(LEVELS, LEVELS)
        joint += (share + share.T) / (2 * len(DIRECTIONS))
    grey = np.arange(LEVELS)
    apart = (grey[:, None] - grey) ** 2
    marginal = joint.sum(axis=1)
    mean = float(grey @ marginal)
    variance = float((grey - mean) ** 2 @ marginal)
    filled = joint[joint > 0]
    return {
        "contrast": float((joint * apart).sum()),
        "homogeneity": float((joint / (1 + apart)).sum()),
        "energy": float(np.sqrt((joint**2).sum())),
        "correlation": float(((grey - mean) @ joint @ (grey - mean)) / max(variance, 1e-6)),
        "entropy": float(-(filled * np.log2(filled)).sum()),
    }


def binary_patterns(lightness: Plane, mask: Mask) -> NDArray[np.float64]:
    """Shares [10] of the rotation-invariant uniform local binary patterns of a lesion's pixels, with the eight pixels
    around each (Ojala, Pietikainen, Maenpaa 2002, "Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns"): 0 to 8 lighter neighbours in one run, and any other arrangement."""
    height, width = mask.shape
    padded = np.pad(lightness, 1, mode="edge")
    ring = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    lighter = np.stack([padded[r : r + height, c : c + width][mask] for r, c in ring]) > lightness[mask]
    changes = (lighter != np.roll(lighter, 1, axis=0)).sum(axis=0)
    pattern = np.where(changes <= 2, lighter.sum(axis=0), 9)
    shares: NDArray[np.float64] = np.bincount(pattern, minlength=10) / max(1, pattern.size)
    return shares


def border_sharpness(colours: NDArray[np.float32], mask: Mask, view: Mask) -> tuple[float, float]:
    """Mean difference in colour (CIELAB [H, W, 3]) across the border of a lesion, of what lies up to `BAND` pixels
    within and without, and its deviation over the pixels within. From 0, which is no border at all."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1))
    inner = mask & ~(cv2.erode(mask.astype(np.uint8), kernel) > 0)
    outer = ~mask & view & (cv2.dilate(mask.astype(np.uint8), kernel) > 0)
    if not inner.any() or not outer.any():
        return 0.0, 0.0
    outside = colours[outer].mean(axis=0)
    difference = np.linalg.norm(colours[inner] - outside, axis=1)
    return float(np.linalg.norm(colours[inner].mean(axis=0) - outside)), float(difference.std())


def texture_features(colours: NDArray[np.float32], mask: Mask, view: Mask) -> dict[str, float]:
    """Every number about the texture, by name, from CIELAB [H, W, 3] and the masks of lesion and view [H, W].

    The co-occurrence features at `DISTANCES`; the shares of binary patterns; `detail_*`, the deviation of lightness
    against its mean over windows of 3, 7 and 15 pixels, in L*; `redness_detail`, the same of a* over 7; and the
    sharpness of the border with its deviation.
    """
    lightness = np.ascontiguousarray(colours[..., 0])
    found: dict[str, float] = {}
    for distance in DISTANCES:
        values = cooccurrence_features(lightness, mask, distance)
        found |= {f"{name}_{distance}": value for name, value in values.items()}
    found |= {f"pattern_{number}": float(share) for number, share in enumerate(binary_patterns(lightness, mask))}
    for side in (3, 7, 15):
        found[f"detail_{side}"] = float((lightness - cv2.blur(lightness, (side, side)))[mask].std())
    redness = np.ascontiguousarray(colours[..., 1])
    found["redness_detail"] = float((redness - cv2.blur(redness, (7, 7)))[mask].std())
    found["border_sharpness"], found["border_sharpness_deviation"] = border_sharpness(colours, mask, view)
    return found
