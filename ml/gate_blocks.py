"""How strongly the square blocks of a lossy compression stand out in a picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIDES = (640, 400)
"""Longer side in pixels at which blocks are looked for; a smaller picture is taken as it is."""
WIDE = 0.02
"""A block's share of the longer side from which it counts in full, 8 pixels of 400; of smaller ones a network, which
sees some 200 pixels, sees less."""
STEP = 16.0
"""Grey levels over which a difference between neighbours counts no more: it is an edge of what is shown."""
LEAST = 0.05
"""Grey levels that are added to the mean difference, so that a flat picture is not divided by next to nothing."""
POINTS = 4096
HARMONICS = np.arange(1, 5)
PERIODS = np.unique(np.append(np.geomspace(3.9, 18.0, 300), 8.0))
"""Widths of a block in pixels: 8 as it is written, and what becomes of it when a picture is made smaller or larger."""
_FREQUENCIES = HARMONICS / PERIODS[:, None]  # [P, 4], in cycles a pixel
_SEEN = _FREQUENCIES <= 0.5
_CELLS = np.minimum(np.rint(_FREQUENCIES * POINTS).astype(int), POINTS // 2)


def blockiness(pixels: NDArray[np.uint8]) -> float:
    """RGB [H, W, 3] -> about 0 for a picture without blocks, about 1 where nothing but blocks is left.

    JPEG writes blocks of 8 x 8 pixels, each by itself, and what it leaves out makes steps at their borders (after Wang,
    Sheikh, Bovik 2002, "No-reference perceptual quality assessment of JPEG compressed images"). The steps make a comb
    of the mean difference between neighbouring columns, and of that between rows. Its first four harmonics are summed,
    over whatever width of a block, alike in both directions, they are largest for, and wherever the first block begins:
    pictures may have been cut or resized since. A ruler's marks run in one direction only. About 1 ms.
    """
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), np.uint8)
    found = []
    for side in SIDES:
        grey = _reduced(grey, side)
        found.append(_at(grey.astype(np.float32)))
    return max(found)


def _reduced(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    scale = side / max(grey.shape)
    if scale >= 1:
        return grey
    size = max(1, round(scale * grey.shape[1])), max(1, round(scale * grey.shape[0]))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _at(luma: NDArray[np.float32]) -> float:
    if min(luma.shape) < 2 * PERIODS[-1]:
        return 0.0
    down = np.minimum(np.abs(np.diff(luma, axis=0)), STEP).mean(axis=1, dtype=np.float64)
    across = np.minimum(np.abs(np.diff(luma, axis=1)), STEP).mean(axis=0, dtype=np.float64)
    weights = np.minimum(1, PERIODS / max(luma.shape) / WIDE)
    return float((weights * np.sqrt(_combs(down) * _combs(across))).max())


def _combs(steps: Floats) -> Floats:
    """Mean differences between neighbours [N] -> how much of a comb of each of the `PERIODS` they have, [P]."""
    sharp = np.zeros_like(steps)
    sharp[1:-1] = steps[1:-1] - (steps[:-2] + steps[2:]) / 2
    strength = np.abs(np.fft.rfft(sharp, POINTS)) / (len(steps) * (steps.mean() + LEAST))
    total: Floats = np.where(_SEEN, strength[_CELLS], 0).sum(axis=1) / len(HARMONICS)
    return total
