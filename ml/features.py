"""Where the lesion is in a photo, from colour alone: what is measured of a lesion builds on this.

No model and no training: the lesion is what differs in colour from the skin around it (Otsu 1979, "A threshold
selection method from gray-level histograms"). That serves for measuring; it is no border for a surgeon.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Plane = NDArray[np.float32]  # [H, W]
Mask = NDArray[np.bool_]  # [H, W]

WORKING_SIDE = 256
"""Longer side, in pixels, of the picture that the lesion is looked for in."""

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
    closed over, and the dark frame of a dermatoscope's view is left out. About 12 ms
    of processor time for a photo of 400 x 300 pixels.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    colours = cielab(_without_hairs(small))
    view = _view(colours[..., 0])
    found = _lesion(colours, view)
    if found is None:
        return None
    whole = Image.fromarray(found.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    mask: Mask = np.asarray(whole) > 127
    return mask


def _without_hairs(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Morphological closing of each channel: dark lines take the colour beside them (Lee et al. 1997, "DullRazor")."""
    box = (HAIR_WIDTH, HAIR_WIDTH, 1)
    closed: NDArray[np.uint8] = ndimage.minimum_filter(ndimage.maximum_filter(pixels, box), box)
    return closed


def _view(lightness: Plane) -> Mask:
    """What is not the dark frame of a dermatoscope's view, [H, W]."""
    labels, count = ndimage.label(lightness < FRAME_LIGHTNESS)
    if not count:
        return np.ones(lightness.shape, np.bool_)
    corners = np.unique(labels[[0, 0, -1, -1], [0, -1, 0, -1]])
    frame = np.isin(labels, corners[corners > 0])
    # The frame's edge is soft: what lies close to it is shaded, too.
    view: Mask = ~ndimage.binary_dilation(frame, iterations=8)
    return view


def _lesion(colours: NDArray[np.float32], view: Mask) -> Mask | None:
    if view.mean() < 0.2:
        return None
    difference = np.minimum(_difference_from_skin(colours, view), FULL_DIFFERENCE)
    difference = ndimage.gaussian_filter(difference, 2.0)
    threshold = max(otsu_threshold(difference[view]), MIN_DIFFERENCE)
    standing_out = ndimage.binary_opening((difference > threshold) & view, iterations=2)
    labels, count = ndimage.label(standing_out)
    if not count:
        return None
    # The largest piece, those near the centre counting more.
    weights = ndimage.sum_labels(_nearness_to_centre(view.shape), labels, np.arange(1, count + 1))
    lesion: Mask = ndimage.binary_fill_holes(labels == 1 + int(np.argmax(weights)))
    return lesion if MIN_AREA <= lesion[view].mean() <= MAX_AREA else None


def _difference_from_skin(colours: NDArray[np.float32], view: Mask) -> Plane:
    """Distance in CIELAB from the colour of the skin, which is that of the lighter half of the rim of the view."""
    depth = ndimage.distance_transform_edt(np.pad(view, 1))[1:-1, 1:-1]
    rim = colours[view & (depth <= 0.1 * min(view.shape))]
    skin = np.median(rim[rim[:, 0] >= np.median(rim[:, 0])], axis=0)
    difference: Plane = np.linalg.norm(colours - skin, axis=2)
    return difference


def _nearness_to_centre(shape: tuple[int, ...]) -> Plane:
    """1 at the centre, falling to about 0.1 in the middle of the sides, [H, W]."""
    rows, columns = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    nearness: Plane = np.exp(-2.3 * (rows**2 + columns**2)).astype(np.float32)
    return nearness
