"""What was measured of a lesion, drawn onto its photo: outline, principal axes and diameter."""

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.features import Lesion
from ml.features_shape import border, farthest_points, principal_axes
from ml.images import thumbnail

PICTURE_SIDE = 800
"""Longer side, in pixels, of the picture at most."""
OUTLINE, AXES, DIAMETER = (255, 255, 255), (255, 214, 10), (64, 224, 255)
"""sRGB of the lines; each lies on a wider black one, so that it is seen on any skin."""


def draw_measures(pixels: NDArray[np.uint8], lesion: Lesion) -> NDArray[np.uint8]:
    """A photo RGB [H, W, 3] and the lesion measured in it -> RGB [h, w, 3] with the lines drawn, at `PICTURE_SIDE`."""
    picture = thumbnail(pixels, PICTURE_SIDE)
    scale = np.array(picture.shape[1::-1]) / np.array(lesion.mask.shape[::-1])

    def placed(points: NDArray[np.float64]) -> NDArray[np.int32]:
        on_picture: NDArray[np.int32] = np.rint((points + 0.5) * scale - 0.5).astype(np.int32).reshape(-1, 1, 2)
        return on_picture

    axes, outline = principal_axes(lesion.mask), border(lesion.mask)
    lines = [(placed(outline), True, OUTLINE)]
    for axis in (axes.major, axes.minor):
        along = (outline - axes.centre) @ axis
        ends = axes.centre + np.outer([along.min(), along.max()], axis)
        lines.append((placed(ends), False, AXES))
    lines.append((placed(farthest_points(lesion.mask)), False, DIAMETER))
    width = max(1, round(max(picture.shape) / 320))
    for points, closed, colour in lines:
        for thickness, ink in ((3 * width, (0, 0, 0)), (width, colour)):
            cv2.polylines(picture, [points], closed, ink, thickness, cv2.LINE_AA)
    return picture
