"""The transform of validation, test and serving: NumPy and Pillow only, so that serving needs no torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_ASPECT = 4 / 3
"""Wider or taller pictures are cut to this ratio about their centre: the shape that dermatoscopes deliver."""


PREPROCESSING = {"max_aspect": round(MAX_ASPECT, 4), "shape": "square", "resampling": "bicubic"}
"""What a card says of this transform, for whoever runs the weights elsewhere."""


def square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """RGB [H, W, 3] -> RGB [side, side, 3].

    The picture is cut to at most `MAX_ASPECT` and then scaled to a square: nothing at the rim of a dermatoscopic
    picture is lost, and training sees the same mild change of proportions.
    """
    height, width = pixels.shape[:2]
    long = round(MAX_ASPECT * min(height, width))
    top, left = max(0, (height - long) // 2), max(0, (width - long) // 2)
    part = pixels[top : top + min(height, long), left : left + min(width, long)]
    image = Image.fromarray(np.ascontiguousarray(part))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))


def normalise(batch: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """RGB [B, S, S, 3] in 0..255 -> float32 [B, 3, S, S], per channel (x / 255 - mean) / std."""
    scale = 1.0 / (255.0 * np.asarray(std, dtype=np.float32))
    offset = np.asarray(mean, dtype=np.float32) / np.asarray(std, dtype=np.float32)
    return np.ascontiguousarray((batch.astype(np.float32) * scale - offset).transpose(0, 3, 1, 2))


def flips(batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """The four mirror images of [B, 3, S, S]: as it is, left-right, upside down, both."""
    views = (batch, batch[..., ::-1], batch[..., ::-1, :], batch[..., ::-1, ::-1])
    return tuple(np.ascontiguousarray(view) for view in views)
