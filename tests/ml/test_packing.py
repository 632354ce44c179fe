"""Weights in a byte each come back as near as a byte can tell."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.packing import SCALE, pack, unpack


def test_large_matrices_come_back_within_half_a_step_of_their_channel() -> None:
    random = np.random.default_rng(0)
    weight = random.normal(0, 1, (64, 32, 3, 3)).astype(np.float32) * random.uniform(0.01, 10, (64, 1, 1, 1))
    weight[5] = 0
    packed = pack({"conv": weight.astype(np.float32)})
    assert packed["conv"].dtype == np.int8
    back = unpack(packed)["conv"]
    step = np.abs(weight).reshape(64, -1).max(axis=1) / 127
    assert (np.abs(back - weight).reshape(64, -1).max(axis=1) <= step / 2 + 1e-6).all()
    assert (back[5] == 0).all()


def test_the_rest_is_kept() -> None:
    values: dict[str, NDArray[Any]] = {
        "small": np.ones((8, 8), np.float16),
        "vector": np.linspace(0, 1, 10_000, dtype=np.float32),
        "count": np.array(7, np.int64),
    }
    packed = pack(values)
    assert not any(name.endswith(SCALE) for name in packed)
    back = unpack(packed)
    assert all(back[name].dtype == value.dtype and (back[name] == value).all() for name, value in values.items())
