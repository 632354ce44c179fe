"""Colour and texture of a picture in some hundred numbers: what tells an ordinary photo of skin from a dermatoscopic
one where the network, which was trained on nothing but the latter, sees little difference."""

import numpy as np
from numpy.typing import NDArray

from ml.transforms.serving import square

SIDE = 128
LEVELS = 5
RINGS = 5
PERCENTILES = (2, 10, 25, 50, 75, 90, 98)
# Luma and two colour differences: red against green, and blue against the mean of both.
OPPONENT = np.array([[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [-0.25, -0.25, 0.5]])


def texture(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RGB [H, W, 3] -> float32 [T]: the same for a picture turned by a quarter or mirrored.

    Percentiles of luma and two colour differences, their means and deviations on rings about the centre, and on each
    level of a Haar pyramid (Mallat 1989, "A theory for multiresolution signal decomposition") the log deviation,
    peakedness and correlation of their details.
    """
    planes = square(pixels, SIDE).astype(np.float32) @ OPPONENT.T.astype(np.float32) / 255  # [S, S, 3]
    parts = [np.percentile(planes, PERCENTILES, axis=(0, 1)).ravel()]
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    ring = np.minimum(np.hypot(x, y) / (SIDE / 2 / (RINGS - 1)), RINGS - 1).astype(int)
    for number in range(RINGS):
        inside = planes[ring == number]
        parts += [inside.mean(axis=0), np.log(inside.std(axis=0) + 1e-3)]
    for _ in range(LEVELS):
        smaller = planes.reshape(planes.shape[0] // 2, 2, planes.shape[1] // 2, 2, 3).mean(axis=(1, 3))
        detail = (planes - smaller.repeat(2, axis=0).repeat(2, axis=1)).reshape(-1, 3)
        deviation = detail.std(axis=0) + 1e-4
        unit = detail / deviation
        parts += [
            np.log(deviation),
            np.log((unit**4).mean(axis=0) + 1e-2),
            (unit.T @ unit / len(unit))[np.triu_indices(3, 1)],
        ]
        # How unevenly the detail is spread: fine structure all over, or an object on a plain ground.
        blocks = np.abs(detail[:, 0]).reshape(planes.shape[:2])
        tiles = blocks.reshape(4, planes.shape[0] // 4, 4, planes.shape[1] // 4).mean(axis=(1, 3)).ravel()
        parts.append(np.percentile(np.log(tiles + 1e-4), (0, 25, 50, 75, 100)))
        planes = smaller
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
