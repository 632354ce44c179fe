"""The shape of a lesion, from its mask alone: size, asymmetry about its axes, irregularity of its border.

None of these changes when the picture is turned by a right angle or mirrored.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]  # [H, W]
Points = NDArray[np.float64]  # [N, 2], x and y in pixels

SMOOTHED = 5
"""Points of a border that are averaged, so that the steps between pixels do not count as length."""


@dataclass(frozen=True)
class Axes:
    """The principal axes of a mask: `centre` [2], unit vectors `major` and `minor` [2] as x and y, and the standard
    deviation along each (`long`, `short`), in pixels."""

    centre: Points
    major: Points
    minor: Points
    long: float
    short: float


def principal_axes(mask: Mask) -> Axes:
    """The eigenvectors of the covariance of a mask's pixels, [H, W] with at least one pixel."""
    rows, columns = np.nonzero(mask)
    points = np.stack([columns, rows]).astype(np.float64)
    centre = points.mean(axis=1)
    spread = points - centre[:, None]
    values, vectors = np.linalg.eigh(spread @ spread.T / spread.shape[1])
    short, long = np.sqrt(np.maximum(values, 1e-6))
    return Axes(centre, vectors[:, 1], vectors[:, 0], float(long), float(short))


def asymmetry(mask: Mask, axes: Axes | None = None) -> tuple[float, float]:
    """The share of a lesion that its mirror image about each of its principal axes does not cover, the larger first.

    0 is symmetrical, 1 would be no overlap at all (Stolz et al. 1994, "ABCD rule of dermatoscopy", where asymmetry is
    judged about two perpendicular axes).
    """
    axes = axes or principal_axes(mask)
    least, most = sorted(1 - float(_mirrored(mask, axes, axis)[2].mean()) for axis in (axes.major, axes.minor))
    return most, least


def colour_asymmetry(mask: Mask, colours: NDArray[np.float32], axes: Axes | None = None) -> tuple[float, float]:
    """Mean difference in colour (CIELAB [H, W, 3]) of a lesion and its mirror image where both are, about each of its
    principal axes, the larger first. 0 is symmetrical; about 2 is just noticeable."""
    axes = axes or principal_axes(mask)
    found = []
    for axis in (axes.major, axes.minor):
        rows, columns, both = _mirrored(mask, axes, axis)
        difference = np.linalg.norm(colours[mask][both] - colours[rows[both], columns[both]], axis=1)
        found.append(float(difference.mean()) if len(difference) else 0.0)
    return max(found), min(found)


def _mirrored(mask: Mask, axes: Axes, axis: Points) -> tuple[NDArray[np.int64], NDArray[np.int64], Mask]:
    """Rows and columns [N] of the pixels opposite to those of the mask, and whether they are of the mask too [N]."""
    rows, columns = np.nonzero(mask)
    spread = np.stack([columns, rows]) - axes.centre[:, None]
    opposite = 2 * np.outer(axis, axis @ spread) - spread + axes.centre[:, None]
    x, y = np.rint(opposite).astype(np.int64)
    height, width = mask.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    return y, x, inside & mask[y, x]


def border(mask: Mask) -> Points:
    """The outline of the largest piece of a mask, [N, 2] as x and y, smoothed over `SMOOTHED` points."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(contours, key=len)[:, 0].astype(np.float64)
    reach = SMOOTHED // 2
    around = np.concatenate([points[-reach:], points, points[:reach]]) if len(points) > reach else points
    if len(around) < SMOOTHED:
        return points
    kernel = np.ones(SMOOTHED) / SMOOTHED
    return np.stack([np.convolve(around[:, side], kernel, "valid") for side in (0, 1)], axis=1)


def perimeter_and_area(outline: Points) -> tuple[float, float]:
    """Length and area of a closed outline [N, 2], in pixels and square pixels (the shoelace formula)."""
    onward = np.roll(outline, -1, axis=0)
    length = float(np.linalg.norm(onward - outline, axis=1).sum())
    area = abs(float(np.sum(outline[:, 0] * onward[:, 1] - onward[:, 0] * outline[:, 1]))) / 2
    return length, area


def border_irregularity(mask: Mask) -> float:
    """P^2 / (4 pi A) of a lesion's mask [H, W], with perimeter P and area A of its outline: 1 for a disc, more the more
    ragged or drawn out it is; an ellipse twice as long as wide has 1.19. Between 1 and `100`, which a speck gets too.

    (Cox 1927, "A method of assigning numerical and percentage values to the degree of roundness of sand grains", its
    inverse.)
    """
    length, area = perimeter_and_area(border(mask))
    return float(np.clip(length**2 / (4 * np.pi * area), 1.0, 100.0)) if area > 0 else 100.0


def farthest_points(mask: Mask) -> Points:
    """The two points of a mask [H, W] that lie farthest apart, [2, 2] as x and y."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(contours))[:, 0].astype(np.float64)
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    return hull[list(np.unravel_index(np.argmax(apart), apart.shape))]


def diameter(mask: Mask) -> float:
    """The largest distance between two points of a mask [H, W], in pixels (Feret's diameter)."""
    one, other = farthest_points(mask)
    return float(np.linalg.norm(one - other)) + 1


def shape_features(mask: Mask, view: Mask, colours: NDArray[np.float32], scale: float) -> dict[str, float]:
    """Every number about the shape, by name; lengths in shares of the picture's longer side but for `diameter`.

    `area` share of the view, 0 to 1; `asymmetry` and `asymmetry_least` 0 to 1; `colour_asymmetry` and
    `colour_asymmetry_least` from 0; `border_irregularity` from 1; `elongation`, long over short axis, from 1;
    `solidity`, share of the convex hull that is covered, 0 to 1; `ruggedness`, variation of the border's distance from
    the centre, from 0; `diameter` in pixels of the photo; `diameter_share` of the picture; `off_centre`, 0 to about
    0.6; `cut_off`, the share of the border that lies at the rim of the view, 0 to 1.
    """
    axes, outline = principal_axes(mask), border(mask)
    length, area = perimeter_and_area(outline)
    hull = cv2.contourArea(cv2.convexHull(outline.astype(np.float32)))
    radii = np.linalg.norm(outline - axes.centre, axis=1)
    across = diameter(mask)
    height, width = mask.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shape, colour = asymmetry(mask, axes), colour_asymmetry(mask, colours, axes)
    inner = cv2.erode(np.pad(view, 1).astype(np.uint8), np.ones((5, 5), np.uint8))[1:-1, 1:-1] > 0
    edge = mask & ~(cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0)
    return {
        "area": float(mask.sum() / view.sum()),
        "asymmetry": shape[0],
        "asymmetry_least": shape[1],
        "colour_asymmetry": colour[0],
        "colour_asymmetry_least": colour[1],
        "border_irregularity": float(np.clip(length**2 / (4 * np.pi * area), 1, 100)) if area > 0 else 100.0,
        "elongation": axes.long / axes.short,
        "solidity": float(min(1.0, area / hull)) if hull > 0 else 1.0,
        "ruggedness": float(radii.std() / max(radii.mean(), 1e-6)),
        "diameter": scale * across,
        "diameter_share": across / max(mask.shape),
        "off_centre": float(np.linalg.norm(axes.centre - middle) / max(mask.shape)),
        "cut_off": float((edge & ~inner).sum() / max(1, edge.sum())),
    }
