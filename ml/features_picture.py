"""What was measured of a lesion, drawn onto its photo and named A to D: mask, axes, border, colours, diameter."""

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.features import Lesion
from ml.features_colour import main_colours
from ml.features_shape import border, farthest_points, principal_axes
from ml.images import thumbnail

PICTURE_SIDE = 800
"""Longer side, in pixels, of the picture at most."""
OUTLINE, AXES, DIAMETER = (255, 255, 255), (255, 214, 10), (64, 224, 255)
REGIONS = ((255, 92, 205), (255, 150, 60), (110, 255, 120))
"""sRGB of the lines, those of the regions of the darkest, the middle and the lightest main colour; each lies on a wider
black one, so that it is seen on any skin."""
OUTSIDE = 0.55
"""How bright the skin outside the mask stays: so the mask is seen, and no colour inside is changed."""
SMALLEST_REGION = 0.01
"""Share of the lesion from which a piece of a region is outlined."""

Points = NDArray[np.float64]  # [N, 2], x and y in the picture that was measured


def draw_measures(pixels: NDArray[np.uint8], lesion: Lesion) -> NDArray[np.uint8]:
    """A photo RGB [H, W, 3] and the lesion measured in it -> RGB [h, w, 3] with the drawing, at `PICTURE_SIDE`.

    The skin outside the mask is dimmed. Lines are the principal axes (A), the outline (B), the regions of the three
    main colours (C), and the longest diameter (D), each with its letter.
    """
    picture = thumbnail(pixels, PICTURE_SIDE)
    size = picture.shape[1::-1]
    scale = np.array(size) / np.array(lesion.mask.shape[::-1])
    inside = cv2.resize(lesion.mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None]
    picture = np.rint(picture * (OUTSIDE + (1 - OUTSIDE) * inside)).astype(np.uint8)

    def placed(points: Points) -> NDArray[np.int32]:
        on_picture: NDArray[np.int32] = np.rint((points + 0.5) * scale - 0.5).astype(np.int32).reshape(-1, 1, 2)
        return on_picture

    width = max(1, round(max(size) / 320))

    def line(points: NDArray[np.int32], colour: tuple[int, int, int], closed: bool, thickness: int) -> None:
        for stroke, ink in ((3 * thickness, (0, 0, 0)), (thickness, colour)):
            cv2.polylines(picture, [points], closed, ink, stroke, cv2.LINE_AA)

    for region, colour in zip(_regions(lesion), REGIONS, strict=True):
        for piece in _pieces(region, size):
            line(piece, colour, True, max(1, width // 2))
    axes, outline, longest = principal_axes(lesion.mask), border(lesion.mask), farthest_points(lesion.mask)
    line(placed(outline), OUTLINE, True, width)
    ends = []
    for axis in (axes.major, axes.minor):
        along = (outline - axes.centre) @ axis
        ends.append(axes.centre + np.outer([along.min(), along.max()], axis))
        line(placed(ends[-1]), AXES, False, width)
    line(placed(longest), DIAMETER, False, width)
    places = _letters(outline, axes.centre, ends[1], longest)
    for letter, (place, colour) in places.items():
        _write(picture, letter, placed(place[None])[0, 0], colour, width)
    return picture


def _regions(lesion: Lesion) -> list[NDArray[np.bool_]]:
    """Which pixels [h, w] of the lesion are nearest to each of its main colours, the darkest first."""
    inside = lesion.colours[lesion.mask]
    main = main_colours(inside, lesion.pixels[lesion.mask])
    distances = [np.linalg.norm(inside - colour.lab, axis=1) if colour.share else np.full(len(inside), np.inf)
                 for colour in main]  # fmt: skip
    nearest = np.full(lesion.mask.shape, len(main))
    nearest[lesion.mask] = np.argmin(distances, axis=0)
    return [nearest == place for place in range(len(main))]


def _pieces(region: NDArray[np.bool_], size: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Outlines [N, 1, 2] of the larger pieces of a region, in a picture of `size` (width, height)."""
    share = cv2.resize(cv2.GaussianBlur(region.astype(np.float32), (0, 0), 1.0), size, interpolation=cv2.INTER_LINEAR)
    found, _ = cv2.findContours((share > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    least = SMALLEST_REGION * max(1.0, float(region.mean())) * size[0] * size[1] * 0.1
    return [np.asarray(piece, np.int32) for piece in found if cv2.contourArea(piece) >= least]


def _letters(
    outline: Points, centre: Points, minor: Points, longest: Points
) -> dict[str, tuple[Points, tuple[int, int, int]]]:
    """Where each letter stands, away from the others, and its colour."""

    def beyond(point: Points) -> Points:
        found: Points = centre + 1.14 * (point - centre)
        return found

    ends = {"A": minor[0], "D": longest[0]}
    taken = np.stack([*ends.values(), longest[1], minor[1]])
    gaps = np.linalg.norm(outline[:, None] - taken[None], axis=2).min(axis=1)
    rim = outline[int(np.argmax(gaps))]
    colours = {"A": AXES, "B": OUTLINE, "D": DIAMETER}
    places = {letter: (beyond(point), colours[letter]) for letter, point in {**ends, "B": rim}.items()}
    return {**places, "C": (centre + 0.45 * (rim - centre), REGIONS[0])}


def _write(
    picture: NDArray[np.uint8], letter: str, place: NDArray[np.int32], colour: tuple[int, int, int], width: int
) -> None:
    """A letter about `place` (x, y), moved into the picture where it would stick out."""
    width = max(2, width)  # legible on a small picture too
    font, size, stroke = cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width, width
    (wide, tall), _ = cv2.getTextSize(letter, font, size, stroke)
    limits = np.array(picture.shape[1::-1]) - (wide + 3 * stroke, 3 * stroke)
    at = np.clip(place + np.array([-wide // 2, tall // 2]), (3 * stroke, tall + 3 * stroke), limits)
    for thickness, ink in ((4 * stroke, (0, 0, 0)), (stroke, colour)):
        cv2.putText(picture, letter, (int(at[0]), int(at[1])), font, size, ink, thickness, cv2.LINE_AA)
