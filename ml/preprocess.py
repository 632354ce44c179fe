"""Making a picture ready before any network sees it: hair removal, noise reduction, colour constancy.

A bundle's card says which of these it was trained with, and `prepared` is the one function that does them, in training
and in serving alike. OpenCV is loaded only where one of them needs it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.errors import BundleError

Pixels = NDArray[np.uint8]

MAX_SIDE = 640
"""Pictures are brought to at most this many pixels on their longer side first, so that a large photo and its smaller
copy are treated alike and in the same time; no network here looks at more."""

STEPS = "steps"
"""Where a card's `preprocessing` holds what was done."""


@dataclass(frozen=True)
class HairRemoval:
    """Dark hair is found as thin lines and painted over with its surroundings (after Lee, Ng, Gallagher, Coldman,
    McLean 1997, "DullRazor: a software approach to hair removal from images").

    Lengths are in pixels of a picture whose longer side is `side`. A line is what a black-hat (closing minus picture)
    with a segment of `segment` pixels finds across it but not along it, of `orientations` directions, by more than
    `contrast` grey levels; a connected line is hair where its bounding box has a diagonal of at least `shortest` and
    is filled to at most `fill` of the diagonal squared. `margin` widens the mask by as many pixels on each side.
    """

    side: int = 400
    segment: int = 13
    orientations: int = 4
    contrast: int = 25
    shortest: float = 40.0
    fill: float = 0.35
    margin: int = 1
    radius: float = 3.0


@dataclass(frozen=True)
class NoiseReduction:
    """A bilateral filter, which evens out grain and keeps edges (Tomasi, Manduchi 1998, "Bilateral filtering for gray
    and color images"): diameter and reach in pixels, reach in colour levels."""

    diameter: int = 5
    colour_reach: float = 25.0
    reach: float = 2.0


@dataclass(frozen=True)
class ColourConstancy:
    """Shades of grey: the mean colour by the Minkowski norm of this power becomes grey (Finlayson, Trezzi 2004, "Shades
    of gray and colour constancy", where 6 was best)."""

    power: float = 6.0


@dataclass(frozen=True)
class Preprocessing:
    """The steps to take, in this order; None leaves one out."""

    hair_removal: HairRemoval | None = None
    noise_reduction: NoiseReduction | None = None
    colour_constancy: ColourConstancy | None = None

    def to_dict(self) -> dict[str, Any]:
        """Every step that is taken, with its parameters: what a card keeps under `STEPS`. Empty for none."""
        return {f.name: asdict(step) for f in fields(self) if (step := getattr(self, f.name)) is not None}

    def for_card(self, transform: Mapping[str, Any]) -> dict[str, Any]:
        """A card's `preprocessing`: what it says of the transform to a square, and these steps where there are any."""
        return {**transform, STEPS: self.to_dict()} if self != Preprocessing() else dict(transform)

    @classmethod
    def from_card(cls, preprocessing: Mapping[str, Any]) -> "Preprocessing":
        """What a card's `preprocessing` asks for. Raises BundleError for a step that this program does not know."""
        steps = preprocessing.get(STEPS, {})
        try:
            return cls(**{name: STEP_KINDS[name](**parameters) for name, parameters in steps.items()})
        except (KeyError, TypeError) as error:
            raise BundleError(
                "The model wants pictures prepared in a way that this version does not know. Update the program."
            ) from error


STEP_KINDS: dict[str, Any] = {
    "hair_removal": HairRemoval,
    "noise_reduction": NoiseReduction,
    "colour_constancy": ColourConstancy,
}


def chosen_steps(names: tuple[str, ...]) -> Preprocessing:
    """The named steps with their usual parameters. Raises KeyError for an unknown name."""
    return Preprocessing(**{name: STEP_KINDS[name]() for name in names})


def prepared(pixels: Pixels, steps: Preprocessing) -> Pixels:
    """RGB [H, W, 3] -> RGB [H, W, 3], or smaller where it passes `MAX_SIDE`. Without steps it is the picture itself."""
    if steps == Preprocessing():
        return pixels
    pixels = _reduced(pixels)
    if steps.hair_removal is not None:
        pixels = remove_hair(pixels, steps.hair_removal).pixels
    if steps.noise_reduction is not None:
        pixels = reduce_noise(pixels, steps.noise_reduction)
    if steps.colour_constancy is not None:
        pixels = balance_colours(pixels, steps.colour_constancy)
    return pixels


@dataclass(frozen=True)
class HairFree:
    """A picture [H, W, 3] without its hair, where the hair was [H, W], and its share of the picture, 0 to 1."""

    pixels: Pixels
    mask: NDArray[np.bool_]
    share: float


def remove_hair(pixels: Pixels, options: HairRemoval | None = None) -> HairFree:
    """Find dark hair in RGB [H, W, 3] and paint it over (Telea 2004, "An image inpainting technique based on the fast
    marching method"). The share is measured before the mask is widened."""
    import cv2

    options = options or HairRemoval()
    found = _hair(pixels, options)
    share = float(found.mean())
    if not share:
        return HairFree(pixels, np.zeros(pixels.shape[:2], np.bool_), 0.0)
    width = 2 * options.margin + 1
    wide = cv2.dilate(found.astype(np.uint8), np.ones((width, width), np.uint8))
    height, breadth = pixels.shape[:2]
    mask = cv2.resize(wide, (breadth, height), interpolation=cv2.INTER_NEAREST)
    painted = cv2.inpaint(np.ascontiguousarray(pixels), mask, options.radius, cv2.INPAINT_TELEA)
    return HairFree(np.asarray(painted, np.uint8), mask.astype(np.bool_), share)


def hair_share(pixels: Pixels, options: HairRemoval | None = None) -> float:
    """The share of RGB [H, W, 3] under dark hair, 0 to 1: that of `remove_hair`, without painting anything over."""
    return float(_hair(pixels, options or HairRemoval()).mean())


def _hair(pixels: Pixels, options: HairRemoval) -> NDArray[np.bool_]:
    """Mask [h, w] of the hair, at the size that `options` speak of."""
    import cv2

    height, width = pixels.shape[:2]
    scale = options.side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    responses = [cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel) for kernel in _segments(options)]
    # A line answers across its direction and hardly along it; a dark dot answers alike in all.
    lines = np.maximum.reduce(responses).astype(np.int16) - np.minimum.reduce(responses)
    dark = (lines > options.contrast).astype(np.uint8)
    _, components, boxes, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    diagonal = np.hypot(boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT])
    kept = (diagonal >= options.shortest) & (boxes[:, cv2.CC_STAT_AREA] <= options.fill * diagonal**2)
    kept[0] = False  # the background
    mask: NDArray[np.bool_] = kept[components]
    return mask


def _segments(options: HairRemoval) -> list[Pixels]:
    """Straight segments as structuring elements, evenly turned over half a circle."""
    import cv2

    centre, kernels = options.segment // 2, []
    for angle in np.arange(options.orientations) * np.pi / options.orientations:
        x, y = round(np.cos(angle) * centre), round(np.sin(angle) * centre)
        kernel = np.zeros((options.segment, options.segment), np.uint8)
        kernels.append(cv2.line(kernel, (centre - x, centre - y), (centre + x, centre + y), (1,), 1))
    return [np.asarray(kernel, np.uint8) for kernel in kernels]


def reduce_noise(pixels: Pixels, options: NoiseReduction | None = None) -> Pixels:
    """RGB [H, W, 3] with its grain evened out."""
    import cv2

    options = options or NoiseReduction()
    smooth = cv2.bilateralFilter(np.ascontiguousarray(pixels), options.diameter, options.colour_reach, options.reach)
    return np.asarray(smooth, np.uint8)


def balance_colours(pixels: Pixels, options: ColourConstancy | None = None) -> Pixels:
    """RGB [H, W, 3] as if lit by white light; brightness stays about what it was."""
    power = (options or ColourConstancy()).power
    levels = np.arange(256) / 255
    counts = np.stack([np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)])
    light = (counts @ levels**power / pixels[..., 0].size) ** (1 / power)
    light = np.maximum(light, 1e-3)
    gains = np.linalg.norm(light) / (np.sqrt(3) * light)
    table = np.clip(np.rint(255 * levels * gains[:, None]), 0, 255).astype(np.uint8)
    balanced: Pixels = np.stack([table[channel][pixels[..., channel]] for channel in range(3)], axis=-1)
    return balanced


def _reduced(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))
