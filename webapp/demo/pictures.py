"""The pictures of the demonstration: drawn lesions, and drawn things that no model of lesions should answer."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ml.data.drawn import draw_lesion

SIZE = (240, 320)
LESIONS = {"nv": 36, "bkl": 14, "mel": 14, "bcc": 10, "akiec": 8, "df": 6, "vasc": 5}
"""How many lesions of each class are drawn; a history shows each several times."""
DIM = 20
"""How many of them are drawn as under a weaker lamp."""
THINGS = 12


@dataclass(frozen=True)
class Picture:
    """A drawn picture [H, W, 3]: of a lesion of class `code`, '' where it shows something else; `dim` in weak light."""

    pixels: NDArray[np.uint8]
    code: str
    dim: bool = False


def draw_pictures(pool: Executor, seed: int = 0) -> list[Picture]:
    """All pictures, by the workers of a pool. The same seed draws the same ones."""
    codes = [code for code, count in LESIONS.items() for _number in range(count)]
    rng = np.random.default_rng(seed)
    dim = [(str(code), True) for code in rng.choice(codes, DIM)]
    wanted = [(code, False) for code in codes] + dim + [("", False)] * THINGS
    return list(pool.map(partial(_draw, seed), range(len(wanted)), *zip(*wanted, strict=True), chunksize=16))


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
