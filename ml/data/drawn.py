"""Drawn skin lesions: pictures for tests, documentation and demonstration that show nobody.

Each class has the features that dermatoscopy textbooks name for it, simplified enough that a tiny network can tell them
apart. They look plausible at a glance and are of no diagnostic use.
"""

import csv
import io
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.data.canvas import Canvas, Colour, Points, step, vary
from ml.errors import DatasetError
from ml.files import write_bytes
from ml.images import encode_jpeg

_SKIN_TONES: tuple[Colour, ...] = (
    (0.90, 0.74, 0.68), (0.87, 0.70, 0.62), (0.84, 0.66, 0.62), (0.80, 0.62, 0.52), (0.68, 0.50, 0.40),
)  # fmt: skip
_PICTURES_PER_LESION = (1, 1, 2, 3)
_SITES = ("back", "trunk", "lower extremity", "upper extremity", "abdomen", "face", "chest", "unknown")
_METHODS = ("histo", "follow_up", "consensus", "confocal")


def draw_lesion(code: str, rng: np.random.Generator, size: tuple[int, int] = (300, 400)) -> NDArray[np.uint8]:
    """Draw one lesion of a HAM10000 class on skin, RGB [H, W, 3], as through a dermatoscope.

    `size` is (height, width) in pixels. The same state of `rng` draws the same picture.
    Raises DatasetError for a class without a recipe.
    """
    if code not in _RECIPES:
        raise DatasetError(f"No drawing for class '{code}'; there are {', '.join(sorted(_RECIPES))}.")
    height, width = size
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    half = min(size) / 2
    x, y = (columns - (width - 1) / 2) / half, (rows - (height - 1) / 2) / half
    canvas = Canvas(np.zeros((height, width, 3)), x, y, rng)
    _draw_skin(canvas)
    # The lesion is seldom quite in the middle.
    shift_x, shift_y = rng.uniform(-0.15, 0.15, 2)
    canvas.x, canvas.y = x - shift_x, y - shift_y
    _RECIPES[code](canvas)
    canvas.x, canvas.y = x, y
    if rng.random() < 0.4:
        _draw_hairs(canvas)
    _light(canvas)
    return np.rint(np.clip(canvas.pixels, 0, 1) * 255).astype(np.uint8)


def write_drawn_dataset(folder: Path, per_class: int, seed: int = 0, size: tuple[int, int] = (150, 200)) -> Path:
    """Write a drawn dataset in the HAM10000 layout and return its folder.

    `per_class` pictures of every class, one to three of each lesion (another view: shifted, turned a little, other
    light), in `HAM10000_images_part_1/` and `_part_2/`, and `HAM10000_metadata.csv`. `size` is (height, width).
    """
    folder = Path(folder)
    parts = [folder / f"HAM10000_images_part_{number}" for number in (1, 2)]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"])
    drawn = lesion = 0
    for class_number, code in enumerate(sorted(_RECIPES)):
        left = per_class
        for number, pictures in enumerate(cycle(_PICTURES_PER_LESION)):
            if left == 0:
                break
            rng = np.random.default_rng([seed, class_number, number])
            facts = [
                rng.choice(_METHODS),
                rng.integers(4, 18) * 5.0,
                rng.choice(("male", "female")),
                rng.choice(_SITES),
            ]
            # Drawn larger than needed, so that other views of it have somewhere to move.
            pixels = draw_lesion(code, rng, (round(size[0] * 1.2), round(size[1] * 1.2)))
            for _ in range(min(pictures, left)):
                name = f"DRAWN_{drawn:07d}"
                (parts[drawn % 2] / f"{name}.jpg").write_bytes(encode_jpeg(_view(pixels, rng, size)))
                writer.writerow([f"LESION_{lesion:07d}", name, code, *facts])
                drawn += 1
                left -= 1
            lesion += 1
    write_bytes(folder / "HAM10000_metadata.csv", table.getvalue().encode())
    return folder


def _draw_skin(canvas: Canvas) -> None:
    canvas.blend(vary(canvas, _SKIN_TONES[canvas.rng.integers(len(_SKIN_TONES))], 0.02), np.ones_like(canvas.x))
    blotches, pores = canvas.noise(0.2), canvas.noise(0.012)
    canvas.pixels *= (1 + 0.018 * blotches + 0.012 * pores + 0.010 * canvas.noise(0.004))[..., None]
    canvas.pixels[..., 0] += 0.010 * canvas.noise(0.25)
    if canvas.rng.random() < 0.35:  # freckles
        everywhere = np.ones_like(canvas.x)
        canvas.blend(
            vary(canvas, (0.66, 0.46, 0.36)), 0.35 * canvas.spots(int(canvas.rng.integers(2, 8)), 0.05, everywhere, 1)
        )


def _draw_hairs(canvas: Canvas) -> None:
    lines: list[tuple[Points, float]] = []
    for _ in range(int(canvas.rng.integers(2, 9))):
        start, bend = canvas.rng.uniform(-1.3, 1.3, 2), canvas.rng.normal(0, 0.5)
        angle, length = canvas.rng.uniform(0, 2 * np.pi), canvas.rng.uniform(0.5, 1.6)
        steps = np.linspace(0, 1, 24)
        headings = angle + bend * steps
        xs, ys = (
            start[0] + np.cumsum(np.cos(headings)) * length / 24,
            start[1] + np.cumsum(np.sin(headings)) * length / 24,
        )
        lines.append((list(zip(xs.tolist(), ys.tolist(), strict=True)), canvas.rng.uniform(0.008, 0.016)))
    canvas.blend(vary(canvas, (0.20, 0.13, 0.10)), 0.8 * canvas.strokes(lines))


def _light(canvas: Canvas) -> None:
    """Uneven lighting and, now and then, the round dark edge of a dermatoscope's view."""
    radius = np.hypot(canvas.x, canvas.y)
    canvas.pixels *= (canvas.rng.uniform(0.92, 1.06) * (1 - canvas.rng.uniform(0.03, 0.10) * radius**2))[..., None]
    if canvas.rng.random() < 0.35:
        edge = canvas.rng.uniform(1.15, 1.35)
        canvas.blend((0.03, 0.02, 0.03), step(radius - edge, 0.12))
    canvas.pixels += canvas.rng.normal(0, 0.006, canvas.pixels.shape)


def _view(pixels: NDArray[np.uint8], rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Another picture of the same lesion: turned up to 8 degrees, shifted, a little nearer or brighter, [H, W, 3]."""
    height, width = size
    image = Image.fromarray(pixels)
    fill = tuple(int(value) for value in np.median(pixels, axis=(0, 1)))
    image = image.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC, fillcolor=fill)
    zoom = rng.uniform(0.95, 1.1)
    spare_x, spare_y = image.width - width * zoom, image.height - height * zoom
    left, top = spare_x * rng.uniform(0.3, 0.7), spare_y * rng.uniform(0.3, 0.7)
    box = (left, top, left + width * zoom, top + height * zoom)
    view = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box), dtype=np.float64)
    return np.rint(np.clip(view * rng.normal(1, 0.03) + rng.normal(0, 2, 3), 0, 255)).astype(np.uint8)


def _draw_nevus(canvas: Canvas) -> None:
    """Round, symmetrical, one even brown, a regular fine network."""
    shape = canvas.blob(canvas.rng.uniform(0.30, 0.50), roughness=0.06, stretch=canvas.rng.uniform(1, 1.25))
    inside = step(shape, 0.25)
    canvas.blend(vary(canvas, (0.55, 0.36, 0.25)), 0.85 * inside)
    canvas.blend(vary(canvas, (0.40, 0.24, 0.16)), 0.6 * step(shape - 0.45, 0.9))
    canvas.blend((0.32, 0.19, 0.13), 0.35 * inside * step(canvas.noise(0.008), 1.5))


def _draw_melanoma(canvas: Canvas) -> None:
    """Asymmetrical with a notched edge and several colours: brown, black, blue-grey, red, and pale regression."""
    rng = canvas.rng
    offset = (rng.uniform(0.12, 0.28) * rng.choice((-1, 1)), rng.uniform(-0.2, 0.2))
    main = canvas.blob(rng.uniform(0.45, 0.60), roughness=0.30, stretch=rng.uniform(1.2, 1.7))
    lobe = canvas.blob(rng.uniform(0.25, 0.38), roughness=0.35, centre=offset)
    shape = np.maximum(main, lobe) + 0.10 * canvas.noise(0.03)
    inside = step(shape, 0.15)
    canvas.blend(vary(canvas, (0.42, 0.26, 0.18)), 0.92 * inside)
    for colour, scale, level in (
        ((0.62, 0.40, 0.28), 0.12, 0.5), ((0.33, 0.36, 0.45), 0.10, 0.7),
        ((0.66, 0.30, 0.28), 0.09, 1.1), ((0.80, 0.72, 0.72), 0.08, 1.4),
    ):  # fmt: skip
        canvas.blend(vary(canvas, colour), 0.85 * inside * step(canvas.noise(scale) - level, 0.7))
    canvas.blend((0.11, 0.08, 0.09), 0.95 * inside * step(lobe + 0.25 * canvas.noise(0.05), 0.3))
    canvas.blend((0.10, 0.07, 0.07), 0.85 * canvas.spots(int(rng.integers(8, 20)), 0.025, step(shape + 0.05, 0.1)))


def _draw_keratosis(canvas: Canvas) -> None:
    """Stuck on: a sharp edge, waxy brown ridges, pale pseudo-cysts and dark plugs."""
    shape = canvas.blob(canvas.rng.uniform(0.42, 0.60), roughness=0.12, stretch=canvas.rng.uniform(1, 1.5))
    inside = step(shape + 0.02 * canvas.noise(0.03), 0.06)
    canvas.blend(vary(canvas, (0.58, 0.45, 0.33)), 0.92 * inside)
    ridges = step(0.5 - np.abs(canvas.noise(0.025)), 0.6)
    canvas.blend(vary(canvas, (0.40, 0.29, 0.21)), 0.55 * inside * ridges)
    canvas.blend(
        (0.93, 0.88, 0.76),
        0.85 * canvas.spots(int(canvas.rng.integers(10, 22)), 0.032, inside * step(shape - 0.1, 0.05), 0.6),
    )
    canvas.blend(
        (0.20, 0.13, 0.09),
        0.85 * canvas.spots(int(canvas.rng.integers(6, 14)), 0.032, inside * step(shape - 0.1, 0.05), 0.5),
    )


def _draw_basal_cell(canvas: Canvas) -> None:
    """Pearly pink with branching vessels, blue-grey nests and a small crusted sore."""
    rng = canvas.rng
    shape = canvas.blob(rng.uniform(0.42, 0.58), roughness=0.15, stretch=rng.uniform(1, 1.3))
    inside = step(shape, 0.25)
    canvas.blend(vary(canvas, (0.90, 0.70, 0.70)), 0.8 * inside)
    canvas.blend((0.97, 0.90, 0.90), 0.6 * inside * step(canvas.noise(0.06) - 0.6, 0.9))
    canvas.blend(
        vary(canvas, (0.45, 0.46, 0.55)),
        0.7 * canvas.spots(int(rng.integers(3, 7)), 0.085, step(shape - 0.15, 0.05), 1.2),
    )
    lines: list[tuple[Points, float]] = []
    for _ in range(int(rng.integers(3, 6))):
        angle = rng.uniform(0, 2 * np.pi)
        _branch(rng, lines, (0.5 * np.cos(angle), 0.5 * np.sin(angle)), angle + np.pi, 0.018, 0.7)
    canvas.blend(vary(canvas, (0.72, 0.14, 0.17)), 0.7 * canvas.strokes(lines) * inside)
    canvas.blend(
        vary(canvas, (0.55, 0.24, 0.14)),
        0.85 * canvas.spots(int(rng.integers(1, 3)), 0.07, step(shape - 0.4, 0.05), 0.5),
    )


def _branch(
    rng: np.random.Generator,
    lines: list[tuple[Points, float]],
    start: tuple[float, float],
    heading: float,
    width: float,
    length: float,
) -> None:
    """A vessel that wanders from `start` and forks into thinner ones; appended to `lines`."""
    points: Points = [start]
    for _ in range(10):
        heading += rng.normal(0, 0.28)
        points.append((points[-1][0] + np.cos(heading) * length / 10, points[-1][1] + np.sin(heading) * length / 10))
    lines.append((points, width))
    if width > 0.008:
        for position in rng.choice(np.arange(3, 10), 3, replace=False):
            _branch(rng, lines, points[position], heading + rng.choice((-0.8, 0.8)), width * 0.6, length * 0.5)


def _draw_actinic(canvas: Canvas) -> None:
    """A red patch without a clear edge, dotted like a strawberry, under dry yellow-white scale."""
    shape = canvas.blob(canvas.rng.uniform(0.55, 0.72), roughness=0.22, stretch=canvas.rng.uniform(1, 1.4))
    inside = step(shape + 0.08 * canvas.noise(0.06), 0.5)
    canvas.blend(vary(canvas, (0.82, 0.44, 0.42)), 0.8 * inside)
    canvas.blend((0.72, 0.28, 0.30), 0.6 * inside * step(np.abs(canvas.noise(0.018)) - 0.9, 0.5))
    canvas.blend((0.94, 0.74, 0.68), 0.9 * canvas.spots(40, 0.022, inside, 0.7))
    scale = step(canvas.noise(0.05) + 0.45 * canvas.noise(0.010) - 0.6, 0.35)
    canvas.blend(vary(canvas, (0.95, 0.89, 0.80)), 0.75 * inside * scale)


def _draw_dermatofibroma(canvas: Canvas) -> None:
    """A white scar-like centre in a delicate, fading, light brown ring."""
    shape = canvas.blob(canvas.rng.uniform(0.42, 0.55), roughness=0.06, stretch=canvas.rng.uniform(1, 1.2))
    inside = step(shape, 0.55)
    canvas.blend(vary(canvas, (0.66, 0.46, 0.36)), 0.75 * inside)
    canvas.blend((0.50, 0.32, 0.24), 0.4 * inside * step(0.4 - np.abs(canvas.noise(0.012)), 0.5))
    centre = step(shape - 0.48 + 0.06 * canvas.noise(0.06), 0.55)
    canvas.blend(vary(canvas, (0.94, 0.86, 0.82), 0.015), 0.88 * centre)


def _draw_vascular(canvas: Canvas) -> None:
    """Red to purple lakes, each with a clear round edge, on a pink ground."""
    rng = canvas.rng
    ground = canvas.blob(rng.uniform(0.38, 0.52), roughness=0.10)
    canvas.blend(vary(canvas, (0.84, 0.42, 0.46)), 0.75 * step(ground, 0.25))
    for _ in range(int(rng.integers(9, 16))):
        angle, distance = rng.uniform(0, 2 * np.pi), 0.36 * np.sqrt(rng.random())
        lake = canvas.blob(
            rng.uniform(0.09, 0.17),
            roughness=0.05,
            centre=(distance * np.cos(angle), distance * np.sin(angle)),
            stretch=1.2,
        )
        colour = vary(canvas, (0.70, 0.07, 0.14) if rng.random() < 0.65 else (0.36, 0.06, 0.20))
        canvas.blend(colour, 0.88 * step(lake, 0.25))
        canvas.blend((0.95, 0.45, 0.45), 0.25 * step(lake - 0.55, 0.5))


_RECIPES: dict[str, Callable[[Canvas], None]] = {
    "akiec": _draw_actinic,
    "bcc": _draw_basal_cell,
    "bkl": _draw_keratosis,
    "df": _draw_dermatofibroma,
    "mel": _draw_melanoma,
    "nv": _draw_nevus,
    "vasc": _draw_vascular,
}
