"""Weights in a byte each come back as near as a byte can tell."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from ml.bundle import WEIGHTS, Bundle
from ml.images import decode
from ml.packing import SCALE, pack, unpack
from ml.predict import Classifier
from tests.ml.tiny import RASHES, train_rash


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


def test_a_single_network_can_be_trained_to_be_packed(rash_bundle: Bundle, tmp_path: Path) -> None:
    packed = train_rash(tmp_path, packed=True)
    assert any(value.dtype == np.int8 for value in load_file(packed.path / WEIGHTS).values())
    assert (packed.path / WEIGHTS).stat().st_size < 0.65 * (rash_bundle.path / WEIGHTS).stat().st_size
    photos = [pixels for name in RASHES for pixels in _pictures(tmp_path / "source" / name)]
    asked = [Classifier(bundle).predict(photos).probabilities for bundle in (rash_bundle, packed)]
    assert np.abs(asked[0] - asked[1]).max() < 0.05


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


def _pictures(folder: Path) -> list[NDArray[np.uint8]]:
    return [decode(path.read_bytes()) for path in sorted(folder.iterdir())]
