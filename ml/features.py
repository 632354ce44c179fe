"""Where the lesion is in a photo, from colour alone: what is measured of a lesion builds on this.

No model and no training: the lesion is what differs in colour from the skin around it (Otsu 1979, "A threshold
selection method from gray-level histograms"). That serves for measuring; it is no border for a surgeon. What is
measured stands in features_shape.py, features_colour.py and features_texture.py, and as one list in features_list.py.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]  # [H, W]
Mask = NDArray[np.bool_]  # [H, W]

WORKING_SIDE = 256
"""Longer side, in pixels, of the picture that the lesion is looked for in."""

MEASURED_SIDE = 160
"""Longer side, in pixels, of the picture that a lesion is measured in: smaller, so that it takes milliseconds."""

HAIR_WIDTH = 7
"""Dark lines up to this many pixels wide (at WORKING_SIDE) are hairs."""

FRAME_LIGHTNESS = 25.0
"""What is darker than this (CIELAB L*, 0 to 100) and touches the rim is the frame of a dermatoscope's view."""

MIN_DIFFERENCE = 6.0
"""Difference in colour (CIELAB, about 2 being just noticeable) from which something stands out from the skin."""

FULL_DIFFERENCE = 35.0
"""Difference in colour from which something is the lesion beyond doubt. What differs still more counts no more, or else
the black heart of a melanoma would part from its brown surroundings."""

MIN_AREA, MAX_AREA = 0.005, 0.90
"""Share of the view that a lesion may take."""

MIN_VIEW = 0.2
"""Share of the picture under which what is not dark is too little to look for a lesion in."""


@dataclass(frozen=True)
class Search:
    """How a lesion is looked for: at `side` pixels on the longer side; it grows into what adjoins it and differs from
    the skin by `growth` times the threshold that found it; being lighter than the skin counts `lighter` times."""

    side: int
    growth: float = 1.0
    lighter: float = 1.0

    def pixels(self, number: float) -> float:
        """A length at WORKING_SIDE as one at this side."""
        return number * self.side / WORKING_SIDE


SHOWN = Search(WORKING_SIDE)
MEASURED = Search(MEASURED_SIDE, growth=0.8, lighter=0.3)
"""For measuring, a border that fades is followed, and the light middle of a picture with dark corners is no lesion."""

# sRGB (IEC 61966-2-1) to linear light, by byte, and to CIE XYZ relative to the white point D65.
_BYTES = np.arange(256) / 255
_LINEAR = np.where(_BYTES <= 0.04045, _BYTES / 12.92, ((_BYTES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_RELATIVE_XYZ = (_XYZ / _XYZ.sum(axis=1, keepdims=True)).T.astype(np.float32)


def cielab(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """sRGB [H, W, 3] -> CIELAB [H, W, 3] (CIE 15:2004): lightness L* in 0..100, a* green to red, b* blue to yellow."""
    t = _LINEAR[pixels] @ _RELATIVE_XYZ
    f = np.where(t > 216 / 24389, np.cbrt(t), t * (24389 / 27 / 116) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def otsu_threshold(values: Plane) -> float:
    """The value that parts `values` [N] into two classes with the greatest variance between them (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * (means[0] - means[1]) ** 2)])


def lesion_mask(pixels: NDArray[np.uint8]) -> Mask | None:
    """RGB [H, W, 3] -> which pixels are the lesion, [H, W], in one piece without holes.

    None where nothing stands out from the skin, or what does is too small or too large to be the lesion. Hairs are
    closed over, and the dark frame of a dermatoscope's view is left out. About 6 ms
    of processor time for a photo of 400 x 300 pixels.
    """
    height, width = pixels.shape[:2]
    colours = cielab(_without_hairs(_reduced(pixels, SHOWN.side), HAIR_WIDTH))
    view = _view(colours[..., 0], SHOWN)
    found = _standing_out(colours, view, SHOWN)
    if found is None or not _can_be_lesion(found.mask, view):
        return None
    whole = Image.fromarray(found.mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    mask: Mask = np.asarray(whole) > 127
    return mask


@dataclass(frozen=True)
class Lesion:
    """A lesion as it is measured, in a picture of h x w pixels.

    `colours` [h, w, 3] are CIELAB; `mask` [h, w] is the lesion in one piece without holes, `view` [h, w] what is not
    the dark frame of a dermatoscope's view; `skin` [3] is the colour of the skin around, CIELAB; `scale` is the number
    of pixels of the photo for one of this picture.
    """

    pixels: NDArray[np.uint8]
    colours: NDArray[np.float32]
    mask: Mask
    view: Mask
    skin: NDArray[np.float32]
    scale: float


@dataclass(frozen=True)
class Sought:
    """What a search for a lesion came to: the lesion, None as for `lesion_mask`, and the share of the picture that what
    stands out from the skin takes, also where that is too little or too much for a lesion to be measured: 0 for
    nothing, None where most of the picture is dark."""

    lesion: Lesion | None
    share: float | None


def find_lesion(pixels: NDArray[np.uint8]) -> Lesion | None:
    """RGB [H, W, 3] -> its lesion at `MEASURED_SIDE`; None as for `lesion_mask`."""
    return seek_lesion(pixels).lesion


def seek_lesion(pixels: NDArray[np.uint8]) -> Sought:
    """RGB [H, W, 3] -> what a search for its lesion at `MEASURED_SIDE` comes to.

    As in `lesion_mask`, the largest piece over Otsu's threshold is found first; from there the region grows into what
    adjoins it and stands out somewhat less, since borders fade (Adams, Bischof 1994, "Seeded region growing"). About
    3 ms.
    """
    small = _reduced(pixels, MEASURED.side)
    colours = cielab(_without_hairs(small, 1 + 2 * round(MEASURED.pixels(HAIR_WIDTH) / 2)))
    view = _view(colours[..., 0], MEASURED)
    if not _seen_enough(view):
        return Sought(None, None)
    found = _standing_out(colours, view, MEASURED)
    if found is None:
        return Sought(None, 0.0)
    lesion = None
    if _can_be_lesion(found.mask, view):
        lesion = Lesion(small, colours, found.mask, view, found.skin, max(pixels.shape[:2]) / max(small.shape[:2]))
    return Sought(lesion, float(found.mask.mean()))


def _reduced(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def _without_hairs(pixels: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Morphological closing of each channel: dark lines take the colour beside them (Lee et al. 1997, "DullRazor")."""
    box = np.ones((width, width), np.uint8)
    widest = cv2.dilate(pixels, box, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.erode(widest, box, borderType=cv2.BORDER_REFLECT), np.uint8)


def _view(lightness: Plane, how: Search) -> Mask:
    """What is not the dark frame of a dermatoscope's view, [H, W]."""
    _, labels = cv2.connectedComponents((lightness < FRAME_LIGHTNESS).astype(np.uint8), connectivity=4)
    corners = np.unique(labels[[0, 0, -1, -1], [0, -1, 0, -1]])
    frame = np.isin(labels, corners[corners > 0])
    if not frame.any():
        return np.ones(lightness.shape, np.bool_)
    # The frame's edge is soft: what lies close to it is shaded, too.
    view: Mask = ~_dilated(frame, round(how.pixels(8)))
    return view


@dataclass(frozen=True)
class _Found:
    mask: Mask
    skin: NDArray[np.float32]


def _seen_enough(view: Mask) -> bool:
    return bool(view.mean() >= MIN_VIEW)


def _can_be_lesion(mask: Mask, view: Mask) -> bool:
    return bool(MIN_AREA <= mask[view].mean() <= MAX_AREA)


def _standing_out(colours: NDArray[np.float32], view: Mask, how: Search) -> _Found | None:
    """The piece that stands out most from the skin, of whatever size; None for none, or too little to look at."""
    if not _seen_enough(view):
        return None
    skin = _skin_colour(colours, view)
    apart = colours - skin
    if how.lighter != 1:
        apart[..., 0] = np.where(apart[..., 0] > 0, how.lighter * apart[..., 0], apart[..., 0])
    difference = np.minimum(np.sqrt(np.einsum("hwc,hwc->hw", apart, apart)), FULL_DIFFERENCE)
    reach, deviation = 2 * round(how.pixels(8)) + 1, how.pixels(2)
    difference = cv2.GaussianBlur(difference, (reach, reach), deviation, borderType=cv2.BORDER_REFLECT)
    threshold = max(otsu_threshold(difference[view]), MIN_DIFFERENCE)
    standing_out = _opened((difference > threshold) & view, round(how.pixels(2)))
    count, labels = cv2.connectedComponents(standing_out.astype(np.uint8), connectivity=4)
    if count == 1:
        return None
    # The largest piece, those near the centre counting more.
    weights = np.bincount(labels.ravel(), _nearness_to_centre(view.shape).ravel(), count)
    seed = labels == 1 + int(np.argmax(weights[1:]))
    if how.growth < 1:
        seed = _grown(seed, _opened((difference > how.growth * threshold) & view, round(how.pixels(2))))
    return _Found(_filled(seed), skin)


def _grown(seed: Mask, wider: Mask) -> Mask:
    """The pieces of `wider` [H, W] that the seed [H, W] touches, and the seed."""
    _, labels = cv2.connectedComponents((wider | seed).astype(np.uint8), connectivity=4)
    grown: Mask = np.isin(labels, np.unique(labels[seed]))
    return grown


def _filled(mask: Mask) -> Mask:
    """A mask [H, W] without its holes."""
    outside = np.pad(mask, 1).astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), (1,))
    filled: Mask = mask | (outside[1:-1, 1:-1] == 0)
    return filled


def _opened(mask: Mask, times: int) -> Mask:
    """A mask [H, W] without what is thinner than about twice `times` pixels; it ends at the rim of the picture."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    eroded = cv2.erode(mask.astype(np.uint8), cross, iterations=times, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    return _dilated(eroded > 0, times)


def _dilated(mask: Mask, times: int) -> Mask:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    wider: Mask = np.asarray(cv2.dilate(mask.astype(np.uint8), cross, iterations=times)) > 0
    return wider


def _skin_colour(colours: NDArray[np.float32], view: Mask) -> NDArray[np.float32]:
    """The colour of the skin, CIELAB [3]: that of the lighter half of the rim of the view."""
    depth = cv2.distanceTransform(np.pad(view, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    rim = colours[view & (depth <= 0.1 * min(view.shape))]
    skin: NDArray[np.float32] = np.median(rim[rim[:, 0] >= np.median(rim[:, 0])], axis=0)
    return skin


def _nearness_to_centre(shape: tuple[int, ...]) -> Plane:
    """1 at the centre, falling to about 0.1 in the middle of the sides, [H, W]."""
    rows, columns = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    nearness: Plane = np.exp(-2.3 * (rows**2 + columns**2)).astype(np.float32)
    return nearness
