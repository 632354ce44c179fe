"""A sheet to draw plausible skin on: smooth outlines, noise, spots and strokes, all antialiased."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

Plane = NDArray[np.float64]  # [H, W]
Colour = tuple[float, float, float]  # red, green, blue, 0 to 1
Points = list[tuple[float, float]]

_SUPERSAMPLING = 3  # strokes are drawn this much larger and shrunk, which smooths their edges


@dataclass
class Canvas:
    """Pixels [H, W, 3], 0 to 1, with coordinates x, y that run from -1 to 1 over the shorter side."""

    pixels: NDArray[np.float64]
    x: Plane
    y: Plane
    rng: np.random.Generator

    @property
    def side(self) -> int:
        """Shorter side in pixels."""
        return int(min(self.x.shape))

    def blend(self, colour: Colour | NDArray[np.float64], alpha: Plane) -> None:
        """Lay a colour (one, or a picture of them) over the pixels; `alpha` [H, W] is its opacity, 0 to 1."""
        cover = np.clip(alpha, 0, 1)[..., None]
        self.pixels = self.pixels * (1 - cover) + np.asarray(colour) * cover

    def noise(self, scale: float) -> Plane:
        """Smooth noise of unit spread; `scale` is the size of its grains as a part of the shorter side."""
        height, width = self.x.shape
        spread = max(scale * self.side, 0.5)
        coarser = max(1, int(spread / 3))  # coarse noise is made small and enlarged, which is much faster
        grid = self.rng.standard_normal((height // coarser + 2, width // coarser + 2))
        grains = Image.fromarray(gaussian_filter(grid, spread / coarser).astype(np.float32))
        plane = np.asarray(grains.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
        return np.asarray((plane - plane.mean()) / max(float(plane.std()), 1e-9))

    def blob(
        self, radius: float, *, roughness: float, centre: tuple[float, float] = (0.0, 0.0), stretch: float = 1.0
    ) -> Plane:
        """A closed outline: positive inside, 0 on the edge, about 1 at the centre, negative outside, [H, W]."""
        turn = self.rng.uniform(0, 2 * np.pi)
        dx, dy = self.x - centre[0], self.y - centre[1]
        across = (dx * np.cos(turn) + dy * np.sin(turn)) * np.sqrt(stretch)
        along = (dy * np.cos(turn) - dx * np.sin(turn)) / np.sqrt(stretch)
        angle = np.arctan2(along, across)
        edge = np.full_like(angle, radius)
        for waves in range(2, 8):
            swing = roughness * radius * self.rng.normal() / waves
            edge += swing * np.cos(waves * angle + self.rng.uniform(0, 2 * np.pi))
        return np.asarray(1 - np.hypot(across, along) / np.maximum(edge, 0.2 * radius))

    def spots(self, count: int, radius: float, inside: Plane, softness: float = 0.25) -> Plane:
        """Opacity [H, W] of small round spots scattered where `inside` is above one half."""
        cover = np.zeros_like(self.x)
        rows, columns = np.nonzero(inside > 0.5)
        if not len(rows):
            return cover
        for pick in self.rng.integers(0, len(rows), count):
            distance = np.hypot(self.x - self.x[rows[pick], columns[pick]], self.y - self.y[rows[pick], columns[pick]])
            size = radius * self.rng.uniform(0.6, 1.4)
            cover = np.maximum(cover, step((size - distance) / size, softness))
        return cover

    def strokes(self, lines: list[tuple[Points, float]]) -> Plane:
        """Opacity [H, W] of polylines in x, y with a width each, in the same units."""
        height, width = self.x.shape
        scale = self.side / 2 * _SUPERSAMPLING
        sheet = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
        pen = ImageDraw.Draw(sheet)
        for points, thickness in lines:
            corners = [(x * scale + sheet.width / 2, y * scale + sheet.height / 2) for x, y in points]
            pen.line(corners, fill=255, width=max(1, round(thickness * scale)), joint="curve")
        small = sheet.resize((width, height), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float64) / 255


def step(values: Plane, softness: float) -> Plane:
    """Smooth step from 0 to 1 around 0; `softness` is the width of the slope."""
    ramp = np.clip(values / softness + 0.5, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def vary(canvas: Canvas, colour: Colour, spread: float = 0.03) -> Colour:
    """A colour a little different every time, in brightness more than in hue."""
    change = canvas.rng.normal(0, spread) + canvas.rng.normal(0, spread / 3, 3)
    red, green, blue = np.clip(np.asarray(colour) + change, 0, 1)
    return float(red), float(green), float(blue)
