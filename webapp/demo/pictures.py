"""The pictures of the demonstration: drawn lesions, and drawn things that no model of lesions should answer."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ml.data.drawn import draw_lesion
from ml.preliminary import FirstLook, load_first_look
from webapp.demo.sizes import Size

SIZE = (240, 320)


@dataclass(frozen=True)
class Picture:
    """A drawn picture [H, W, 3]: of a lesion of class `code`, '' where it shows something else; `dim` in weak light.
    `looked` is the first look at it (`ml.preliminary`), None where there is no bundle for one."""

    pixels: NDArray[np.uint8]
    code: str
    dim: bool = False
    looked: dict[str, Any] | None = None


def draw_pictures(pool: Executor, size: Size, first_look: Path | None, seed: int = 0) -> Iterator[Picture]:
    """All pictures, by the workers of a pool, with a first look at each by the bundle in `first_look`. The same seed
    draws the same ones."""
    codes = [code for code, count in size.lesions.items() for _number in range(count)]
    rng = np.random.default_rng(seed)
    dim = [(str(code), True) for code in rng.choice(codes, size.dim)]
    wanted = [(code, False) for code in codes] + dim + [("", False)] * size.things
    numbers = range(len(wanted))
    return pool.map(partial(_make, seed, first_look), numbers, *zip(*wanted, strict=True), chunksize=16)


def _make(seed: int, first_look: Path | None, number: int, code: str, dim: bool) -> Picture:
    picture = _draw(seed, number, code, dim)
    if first_look is None:
        return picture
    look = _load(first_look)
    return replace(picture, looked=look.tell([look.look(picture.pixels)]))


@lru_cache(maxsize=1)
def _load(folder: Path) -> FirstLook:
    return load_first_look(folder)


def _draw(seed: int, number: int, code: str, dim: bool) -> Picture:
    rng = np.random.default_rng([seed, number])
    if not code:
        return Picture(_draw_thing(rng), "")
    pixels = draw_lesion(code, rng, SIZE)
    if dim:
        pixels = np.rint(pixels * rng.uniform(0.66, 0.8)).astype(np.uint8)
    return Picture(pixels, code, dim)


def _draw_thing(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A page of writing, a house, a striped cloth, or a lesion out of focus."""
    height, width = SIZE
    kind = int(rng.integers(4))
    if kind == 3:
        lesion = Image.fromarray(draw_lesion("nv", rng, SIZE))
        return np.asarray(lesion.filter(ImageFilter.GaussianBlur(float(rng.uniform(9, 14)))))
    paper = tuple(int(value) for value in rng.integers(190, 255, 3))
    image = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(image)
    if kind == 0:
        for row in range(25, height - 20, 16):
            _write_line(pen, rng, row, width)
    elif kind == 1:
        _build_house(pen, rng, width, height)
    else:
        colour = tuple(int(value) for value in rng.integers(20, 140, 3))
        for left in range(0, width, int(rng.integers(14, 30))):
            pen.rectangle((left, 0, left + 7, height), fill=colour)
    return np.asarray(image)


def _write_line(pen: ImageDraw.ImageDraw, rng: np.random.Generator, row: int, width: int) -> None:
    left = 25.0
    while left < width - 50:
        word = float(rng.uniform(12, 46))
        pen.rectangle((left, row, left + word, row + 6), fill=(40, 40, 48))
        left += word + 9


def _build_house(pen: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
    wall: Sequence[int] = rng.integers(90, 220, 3).tolist()
    pen.rectangle((0, 0, width, height), fill=(150, 195, 235))
    pen.rectangle((0, int(0.75 * height), width, height), fill=(90, 150, 80))
    pen.rectangle((110, 120, 300, 240), fill=(wall[0], wall[1], wall[2]))
    pen.polygon([(95, 120), (205, 45), (315, 120)], fill=(140, 50, 40))
    for left in (135, 235):
        pen.rectangle((left, 150, left + 40, 190), fill=(250, 240, 170), outline=(60, 50, 40), width=3)
    pen.rectangle((190, 185, 222, 240), fill=(80, 55, 40))
