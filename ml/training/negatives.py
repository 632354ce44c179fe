"""Pictures that a model was not made for, for its gate to learn from: read from folders, and generated."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ml.decoding import decode
from ml.errors import DatasetError, InvalidImage
from ml.screening import GATE_FOLDERS

log = logging.getLogger("lesion_lens.train")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A picture and the name of its file."""

    name: str
    pixels: Pixels


def find_negatives(folder: Path, photos: str = "dermatoscopic") -> dict[str, list[Path]]:
    """Files by kind in the `GATE_FOLDERS` for a model made for these photos, sorted. Raises DatasetError for none."""
    names = GATE_FOLDERS[photos]
    found = {kind: sorted(p for p in (folder / name).rglob("*") if p.is_file()) for name, kind in names.items()}
    if not any(found.values()):
        raise DatasetError(f"No pictures in {' or '.join(f'{folder}/{name}' for name in names)}.")
    return found


def read_negatives(folder: Path, photos: str = "dermatoscopic") -> dict[str, list[Picture]]:
    """Pictures by kind; what cannot be read is left out. Raises DatasetError as `find_negatives` does."""
    kinds: dict[str, list[Picture]] = {}
    for kind, paths in find_negatives(folder, photos).items():
        for path in paths:
            try:
                pixels = decode(path.read_bytes(), max_side=640)
            except InvalidImage:
                log.info("Left out of the gate's pictures: %s is not a picture.", path.name)
                continue
            kinds.setdefault(kind, []).append(Picture(path.name, pixels))
    return kinds


def generated(random: np.random.Generator, count: int) -> Iterator[Pixels]:
    """Pictures nobody photographed: noise, gradients, flat colour, stripes, pages of text, windows of a screen."""
    makers = (_noise, _gradient, _stripes, _page, _window, _blocks)
    for number in range(count):
        yield makers[number % len(makers)](random)


def _noise(random: np.random.Generator) -> Pixels:
    small = random.integers(0, 256, (*random.integers(8, 300, 2), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((400, 300), Image.Resampling.BILINEAR))


def _gradient(random: np.random.Generator) -> Pixels:
    corners = random.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(corners).resize((400, 300), Image.Resampling.BICUBIC))


def _stripes(random: np.random.Generator) -> Pixels:
    y, x = np.mgrid[0:300, 0:400]
    angle, period = random.uniform(0, np.pi), random.uniform(6, 80)
    wave = 0.5 + 0.5 * np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    first, second = random.integers(0, 256, (2, 3))
    mixed: Pixels = (wave[..., None] * first + (1 - wave[..., None]) * second).astype(np.uint8)
    return mixed


def _page(random: np.random.Generator) -> Pixels:
    paper = tuple(int(v) for v in random.integers(215, 256, 3))
    image = Image.new("RGB", (360, 480), paper)
    draw = ImageDraw.Draw(image)
    for line in range(20, 460, int(random.integers(12, 24))):
        x = 24
        while x < 330:
            length = int(random.integers(10, 50))
            word = "".join(chr(int(c)) for c in random.integers(97, 123, max(1, length // 7)))
            draw.text((x, line), word, fill=(20, 20, int(random.integers(20, 90))))
            x += length + 8
    return np.asarray(image)


def _window(random: np.random.Generator) -> Pixels:
    image = Image.new("RGB", (480, 300), tuple(int(v) for v in random.integers(200, 256, 3)))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 480, 24), fill=tuple(int(v) for v in random.integers(20, 120, 3)))
    for _ in range(int(random.integers(5, 12))):
        x, y = int(random.integers(0, 400)), int(random.integers(30, 260))
        box = (x, y, x + int(random.integers(30, 160)), y + int(random.integers(12, 60)))
        draw.rounded_rectangle(box, 5, fill=tuple(int(v) for v in random.integers(0, 256, 3)), outline=(90, 90, 90))
        draw.text((x + 6, y + 4), "menu option", fill=(15, 15, 15))
    return np.asarray(image)


def _blocks(random: np.random.Generator) -> Pixels:
    small = random.integers(0, 256, (*random.integers(2, 7, 2), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((400, 300), Image.Resampling.NEAREST))
