"""Phone-like conditions: each a fault of photos (ml.conditions_faults) in steps from mild to severe.

The kinds of fault and the idea of five steps are those of Hendrycks and Dietterich 2019, "Benchmarking neural network
robustness to common corruptions and perturbations"; the steps here are in units that can be measured.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml.conditions_faults import (
    SKIN_TONES,
    Mask,
    Pixels,
    central_ellipse,
    exposure,
    gaussian_blur,
    green_cast,
    jpeg,
    motion_blur,
    noise,
    rotation,
    skin_tone,
    temperature,
    zoom_in,
    zoom_out,
)  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """One way for a photo to go wrong, in steps from mild to severe.

    `values` are what each step passes to the fault, in the unit that `unit` names; `steps` is how each is written.
    """

    name: str
    title: str
    unit: str
    values: tuple[float | str, ...]
    steps: tuple[str, ...]
    apply: Callable[[Pixels, float | str, np.random.Generator, Mask], Pixels]


def degrade(pixels: Pixels, condition: Condition, severity: int, mask: Mask | None, *, seed: int = 0) -> Pixels:
    """The picture at a step of a condition; at severity 0 a copy of it as it is.

    `severity` counts steps from 1; `mask` [H, W] is true on the lesion (see ml.features.lesion_mask), None where it was
    not found: then an ellipse in the middle, half as wide and high as the picture, stands for it. The same arguments
    give the same picture. Raises ValueError for a step that there is not.
    """
    if not 0 <= severity <= len(condition.values):
        raise ValueError(f"{condition.name} has the steps 0 to {len(condition.values)}, not {severity}")
    if severity == 0:
        return pixels.copy()
    # The same draw at every step: only the size of the fault changes from one to the next.
    rng = np.random.default_rng([seed, _seed_of(condition.name)])
    lesion = central_ellipse(*pixels.shape[:2]) if mask is None else mask
    return np.ascontiguousarray(condition.apply(pixels, condition.values[severity - 1], rng, lesion))


def _seed_of(name: str) -> int:
    return zlib.crc32(name.encode())


def _numbers(
    name: str,
    title: str,
    unit: str,
    values: tuple[float, ...],
    step: str,
    apply: Callable[[Pixels, float, np.random.Generator, Mask], Pixels],
) -> Condition:
    """A condition whose steps are numbers, each written as `step` formats it."""
    return Condition(
        name, title, unit, values, tuple(step.format(value) for value in values),
        lambda pixels, value, rng, mask: apply(pixels, float(value), rng, mask),
    )  # fmt: skip


CONDITIONS: tuple[Condition, ...] = (
    _numbers(
        "blur", "Out of focus", "Gaussian radius, share of the width",
        (0.002, 0.004, 0.008, 0.016, 0.032), "{:.1%}", lambda p, v, rng, mask: gaussian_blur(p, v),
    ),
    _numbers(
        "motion", "Moved", "path of the hand, share of the width",
        (0.01, 0.02, 0.04, 0.08, 0.16), "{:.0%}", lambda p, v, rng, mask: motion_blur(p, v, rng),
    ),
    _numbers(
        "noise", "Noise", "standard deviation at mid grey, grey levels",
        (4, 8, 16, 32, 64), "{:g}", lambda p, v, rng, mask: noise(p, v, rng),
    ),
    _numbers(
        "jpeg", "JPEG", "quality",
        (50, 30, 18, 10, 5), "{:g}", lambda p, v, rng, mask: jpeg(p, v),
    ),
    _numbers(
        "dark", "Too dark", "stops",
        (-0.5, -1, -1.5, -2, -3), "{:+g}", lambda p, v, rng, mask: exposure(p, v),
    ),
    _numbers(
        "bright", "Too bright", "stops",
        (0.25, 0.5, 1, 1.5, 2), "{:+g}", lambda p, v, rng, mask: exposure(p, v),
    ),
    _numbers(
        "warm", "Warm light", "colour temperature of the light, kelvin",
        (5500, 4500, 3800, 3200, 2700), "{:g}", lambda p, v, rng, mask: temperature(p, v),
    ),
    _numbers(
        "cold", "Cold light", "colour temperature of the light, kelvin",
        (7500, 9000, 12000, 17000, 25000), "{:g}", lambda p, v, rng, mask: temperature(p, v),
    ),
    _numbers(
        "green", "Green cast", "gain of green light",
        (1.03, 1.06, 1.12, 1.2, 1.35), "{:g}", lambda p, v, rng, mask: green_cast(p, v),
    ),
    _numbers(
        "near", "Too near", "magnification",
        (1.25, 1.5, 2, 2.5, 3.5), "{:g}", lambda p, v, rng, mask: zoom_in(p, v),
    ),
    _numbers(
        "far", "Too far away", "magnification",
        (0.8, 0.65, 0.5, 0.35, 0.25), "{:g}", lambda p, v, rng, mask: zoom_out(p, v, mask),
    ),
    _numbers(
        "rotation", "Turned", "degrees",
        (10, 25, 45, 90, 135), "{:g}", lambda p, v, rng, mask: rotation(p, v),
    ),
    Condition(
        "skin_tone", "Skin tone", "tone of the skin around the lesion", tuple(SKIN_TONES), tuple(SKIN_TONES),
        lambda p, v, rng, mask: skin_tone(p, str(v), mask),
    ),
)  # fmt: skip
"""All of them, in the order of reports. Skin tone alone has six steps, from the lightest to the darkest."""
