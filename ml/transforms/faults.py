"""Faults of a phone's photo, at random, as augmentation of training images (uint8 tensors [3, C, C]).

`ml.conditions` asks a finished model the same questions with faults of fixed strength.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from ml.conditions_colour import from_linear, temperature_gains, to_linear

KELVIN = (4200.0, 16000.0)
STOPS = (-1.2, 0.6)
BLUR = (0.001, 0.006)
MOTION = (0.004, 0.025)
NOISE = (2.0, 14.0)
JPEG = (15, 70)
"""Mild to moderate: what is worse than this the gate should refuse. Blur is the standard deviation and motion the
length of the path, as shares of the width; noise is in grey levels."""


class PhoneFaults(v2.Transform):
    """Each fault with its own chance `share`, in the order in which a camera makes them: light, lens, sensor, file.

    Shape and type stay. Random numbers come from torch's global generator.
    """

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Which faults, and how strong: None for a fault that this image does not have."""
        chosen = (torch.rand(6) < self.share).tolist()
        strength = torch.rand(6).tolist()
        # Colour temperatures are alike in steps of their reciprocals (mired), not of kelvin.
        mired = _between(strength[0], 1e6 / KELVIN[0], 1e6 / KELVIN[1])
        values = {
            "kelvin": 1e6 / mired,
            "stops": _between(strength[1], *STOPS),
            "blur": _between(strength[2], *BLUR),
            "motion": _between(strength[3], *MOTION),
            "noise": _between(strength[4], *NOISE),
            "jpeg": round(_between(strength[5], *JPEG)),
        }
        return {name: value if one else None for (name, value), one in zip(values.items(), chosen, strict=True)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        """The image with its faults."""
        image: Tensor = inpt
        if params["kelvin"] is not None or params["stops"] is not None:
            image = _lit(image, params["kelvin"], params["stops"] or 0.0)
        width = image.shape[-1]
        if params["blur"] is not None:
            image = _convolved(image, _gaussian(params["blur"] * width))
        if params["motion"] is not None:
            image = _convolved(image, _path(params["motion"] * width, math.pi * float(torch.rand(()))))
        if params["noise"] is not None:
            values = image.float()
            # Half of the variance at mid grey is shot noise, as in ml.conditions.
            image = _pixels(values + params["noise"] * torch.sqrt(0.5 + values / 256) * torch.randn(values.shape))
        if params["jpeg"] is not None:
            image = v2.functional.jpeg(image, quality=params["jpeg"])
        return image


def _between(share: float, low: float, high: float) -> float:
    return low + share * (high - low)


def _lit(image: Tensor, kelvin: float | None, stops: float) -> Tensor:
    light = to_linear(image.permute(1, 2, 0).numpy()) * 2.0**stops
    if kelvin is not None:
        light = light * temperature_gains(kelvin)
    return torch.from_numpy(from_linear(light)).permute(2, 0, 1).contiguous()


def _gaussian(sigma: float) -> Tensor:
    """A Gaussian kernel [K, K]; `sigma` in pixels."""
    half = max(1, math.ceil(3 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-half, half + 1) / max(sigma, 1e-3)) ** 2)
    return torch.outer(line, line) / line.sum() ** 2


def _path(length: float, angle: float) -> Tensor:
    """The mean along a straight path of `length` pixels at `angle`, as a kernel [K, K]."""
    half = math.ceil(length / 2) + 1
    steps = torch.linspace(-length / 2, length / 2, 8 * half + 1)
    y, x = torch.meshgrid(torch.arange(-half, half + 1.0), torch.arange(-half, half + 1.0), indexing="ij")
    across = (1 - (x[..., None] - steps * math.cos(angle)).abs()).clamp(min=0)
    along = (1 - (y[..., None] - steps * math.sin(angle)).abs()).clamp(min=0)
    kernel = (across * along).sum(dim=-1)
    return kernel / kernel.sum()


def _convolved(image: Tensor, kernel: Tensor) -> Tensor:
    half = len(kernel) // 2
    padded = functional.pad(image[:, None].float(), [half] * 4, mode="reflect")
    return _pixels(functional.conv2d(padded, kernel[None, None].float())[:, 0])


def _pixels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
