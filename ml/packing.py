"""Weights in a byte each: for bundles that would be too large to hand on otherwise."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALE = ":scale"
"""What follows a packed tensor's name in that of its scales."""
SMALLEST = 4096
"""Tensors with fewer values stay as they are: they weigh little, and small layers suffer most from rounding."""
LEVELS = 127


def pack(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Matrices and convolutions of weights by name, as int8 with one scale for each output channel (first axis).

    Symmetric rounding, weight = int8 * scale (Jacob et al. 2018, "Quantization and training of neural networks for
    efficient integer-arithmetic-only inference", section 2.1, with a zero point of 0). Everything else is kept.
    """
    packed: dict[str, NDArray[Any]] = {}
    for name, value in weights.items():
        if value.dtype.kind != "f" or value.ndim < 2 or value.size < SMALLEST:
            packed[name] = value
            continue
        wide = value.astype(np.float32)
        scale = np.abs(wide).reshape(len(wide), -1).max(axis=1) / LEVELS
        divisor = np.where(scale > 0, scale, 1).reshape(-1, *[1] * (wide.ndim - 1))
        packed[name] = np.round(wide / divisor).astype(np.int8)
        packed[name + SCALE] = scale.astype(np.float32)
    return packed


def unpack(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The weights that `pack` was given, as near as a byte can tell; weights that were never packed as they are."""
    weights: dict[str, NDArray[Any]] = {}
    for name, value in tensors.items():
        scale = tensors.get(name + SCALE)
        if scale is not None:
            weights[name] = value.astype(np.float32) * scale.reshape(-1, *[1] * (value.ndim - 1))
        elif not name.endswith(SCALE):
            weights[name] = value
    return weights
