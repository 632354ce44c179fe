"""The transform of validation, test and serving: NumPy and Pillow only, so that serving needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_ASPECT = 4 / 3
"""Wider or taller pictures are cut to this ratio about their centre: the shape that dermatoscopes deliver."""


PREPROCESSING = {"max_aspect": round(MAX_ASPECT, 4), "shape": "square", "resampling": "bicubic"}
"""What a card says of this transform, for whoever runs the weights elsewhere."""


@dataclass(frozen=True)
class View:
    """One way of looking at a picture: its central part (`zoom`, share of each side), turned and mirrored or not."""

    zoom: float = 1.0
    quarter_turn: bool = False
    mirror: bool = False


_WHOLE = (View(), View(mirror=True), View(quarter_turn=True), View(quarter_turn=True, mirror=True))
_NEARER = tuple(replace(view, zoom=0.87) for view in _WHOLE)
VIEWS = {
    "one": (View(),),
    "four": _WHOLE,
    "mixed": (*_WHOLE[:2], *_NEARER[2:]),
    "eight": (*_WHOLE, *_NEARER),
}
"""The sets of views that a bundle can average its answers over. A lesion has no upright position, and random crops
show it somewhat larger in training than the whole picture does. `mixed` has each position once, two of the whole and
two from nearer by: half the work of `eight` (docs/model.md compares them)."""


def seen_part(height: int, width: int, zoom: float = 1.0) -> tuple[slice, slice]:
    """The rows and columns of a picture of this size that `square` shows to the network."""
    long = MAX_ASPECT * min(height, width)
    tall, wide = max(1, round(zoom * min(height, long))), max(1, round(zoom * min(width, long)))
    top, left = (height - tall) // 2, (width - wide) // 2
    return slice(top, top + tall), slice(left, left + wide)


def square(pixels: NDArray[np.uint8], side: int, zoom: float = 1.0) -> NDArray[np.uint8]:
    """RGB [H, W, 3] -> RGB [side, side, 3].

    The picture is cut to at most `MAX_ASPECT`, to the central share `zoom` of each side, and then scaled to a square:
    at zoom 1 nothing at the rim of a dermatoscopic picture is lost, and training sees the same mild change of
    proportions.
    """
    rows, columns = seen_part(pixels.shape[0], pixels.shape[1], zoom)
    image = Image.fromarray(np.ascontiguousarray(pixels[rows, columns]))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))


def normalise(batch: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """RGB [B, S, S, 3] in 0..255 -> float32 [B, 3, S, S], per channel (x / 255 - mean) / std."""
    scale = 1.0 / (255.0 * np.asarray(std, dtype=np.float32))
    offset = np.asarray(mean, dtype=np.float32) / np.asarray(std, dtype=np.float32)
    return np.ascontiguousarray((batch.astype(np.float32) * scale - offset).transpose(0, 3, 1, 2))


def turned(squares: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Squares [B, S, S, 3], already cut to the view's zoom, turned and mirrored as it says."""
    if view.quarter_turn:
        squares = np.rot90(squares, axes=(1, 2))
    return squares[:, :, ::-1] if view.mirror else squares
