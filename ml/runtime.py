"""How a bundle runs: one interface, float32 tensor in, logits and features out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml.architectures import build_model
from ml.bundle import WEIGHTS, Bundle
from ml.errors import BundleError
from ml.packing import unpack

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Answers:
    """Logits [B, C], pooled features [B, D] and, where asked for, the last feature maps [B, D, h, w]; all float32."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    maps: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Head:
    """The head's layers: hidden = relu(weight1 f + bias1), logits = weight2 hidden + bias2."""

    weight1: NDArray[np.float32]
    bias1: NDArray[np.float32]
    weight2: NDArray[np.float32]
    bias2: NDArray[np.float32]

    @classmethod
    def of(cls, weights: Mapping[str, NDArray[Any]]) -> Head:
        """The head among a network's weights by name. Raises KeyError where it is not there."""
        return cls(*(weights[f"head.{name}"] for name in ("0.weight", "0.bias", "3.weight", "3.bias")))

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pooled features [B, D] -> logits [B, C], dropout being off."""
        hidden = np.maximum(features @ self.weight1.T + self.bias1, 0)
        found: NDArray[np.float32] = hidden @ self.weight2.T + self.bias2
        return found


class Runtime(Protocol):
    """Whatever answers for one network. One that is `compiled` keeps to the thread that calls it."""

    compiled: bool

    def run(self, batch: NDArray[np.float32], *, maps: bool = False) -> Answers:
        """[B, 3, S, S] -> the network's answers, with its last feature maps if asked for."""

    def head(self) -> Head:
        """The weights of the head, for what can be computed from features alone."""


class TorchRuntime:
    """PyTorch in inference mode, on the CPU unless told otherwise."""

    compiled = False

    def __init__(self, bundle: Bundle, device: str = "cpu"):
        import torch

        from ml.networks import set_channels_last

        self._torch, self._device = torch, torch.device(device)
        self._network = build_model(bundle.card.architecture, len(bundle.card.classes), bundle.card.image_size)
        try:
            self._network.load_state_dict(load_state(bundle), strict=True)
        except RuntimeError as error:
            raise BundleError(f"The weights of '{bundle.card.name}' do not fit its card; train it again.") from error
        self._network.eval().to(self._device)
        set_channels_last(self._network)

    def run(self, batch: NDArray[np.float32], *, maps: bool = False) -> Answers:
        """[B, 3, S, S] -> the network's answers, with its last feature maps if asked for."""
        torch = self._torch
        with torch.inference_mode():
            tensor = torch.from_numpy(batch).to(self._device).contiguous(memory_format=torch.channels_last)
            logits, features, last = self._network.forward_with_maps(tensor)
            return Answers(
                logits.float().cpu().numpy(),
                features.float().cpu().numpy(),
                last.float().cpu().contiguous().numpy() if maps else None,
            )

    def head(self) -> Head:
        """The weights of the head, for what can be computed from features alone."""
        weights = {
            f"head.{name}": value.float().cpu().numpy() for name, value in self._network.head.state_dict().items()
        }
        return Head.of(weights)


@contextmanager
def full_precision() -> Iterator[None]:
    """Have torch multiply in single precision for a while, in all of the process: training allows it less, which
    processors with matrix tiles make use of."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def load_state(bundle: Bundle) -> dict[str, Tensor]:
    """The network's weights as float32 torch tensors, by name. Raises BundleError as `load_arrays` does."""
    import torch

    return {name: torch.from_numpy(value) for name, value in load_arrays(bundle).items()}


def load_arrays(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """The network's weights in single precision, by name. Raises BundleError for NaN, infinity or a bad file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(bundle.path / WEIGHTS, framework="numpy") as file:
            names = [name for name in file.keys() if name.startswith(bundle.prefix)]  # noqa: SIM118
            own = {name.removeprefix(bundle.prefix): file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise BundleError(f"The weights of '{bundle.card.name}' cannot be read; fetch or train it again.") from error
    state = {}
    for name, value in unpack(own).items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise BundleError(f"The weights of '{bundle.card.name}' are not all finite numbers; train it again.")
        state[name] = value.astype(np.float32) if value.dtype.kind == "f" else value
    return state
