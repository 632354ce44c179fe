"""Pictures that nobody photographed, for measuring whether the gate refuses them.

The gate is fitted on others, drawn by other code (ml.training.negatives): these are new to it.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 360, 480
SKIN_COLOURS = ((231, 194, 172), (198, 150, 120), (141, 94, 66), (92, 60, 44))
_WORDS = (
    "Dear reader, this page has many words and no skin at all. It could be a letter, a recipe, a receipt or the back "
    "of a ticket that somebody photographed by mistake. The gate has to say so before any class is named. "
)
_TEXT = tuple(_WORDS.split())


def artificial(seed: int = 0, each: int = 10) -> Iterator[tuple[str, Pixels]]:
    """(type, RGB picture [360, 480, 3]): `each` of every type. The same seed draws the same pictures."""
    random = np.random.default_rng(seed)
    for name, draw in _DRAWN.items():
        for _ in range(each):
            yield name, draw(random)


def _noise(random: np.random.Generator) -> Pixels:
    coarse = float(random.choice([0.0, 1.0, 2.5, 6.0]))
    channels = random.normal(size=(HEIGHT, WIDTH, 3))
    if coarse:
        channels = gaussian_filter(channels, (coarse, coarse, 0))
    spread = random.uniform(30, 70)
    return _pixels(128 + spread * channels / channels.std() + random.uniform(-30, 30, 3))


def _gradient(random: np.random.Generator) -> Pixels:
    first, second = random.uniform(0, 255, (2, 3))
    y, x = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j]
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        part = x * np.cos(angle) + y * np.sin(angle)
    else:
        part = np.hypot(x - random.uniform(), y - random.uniform())
    part = ((part - part.min()) / (part.max() - part.min()))[..., None]
    return _pixels(first * (1 - part) + second * part)


def _flat_colour(random: np.random.Generator) -> Pixels:
    any_colour = random.uniform(0, 255, 3)
    colour = np.array(SKIN_COLOURS[int(random.integers(4))]) if random.random() < 0.5 else any_colour
    return _pixels(np.broadcast_to(colour, (HEIGHT, WIDTH, 3)) + random.normal(0, 1, (HEIGHT, WIDTH, 1)))


def _text_page(random: np.random.Generator) -> Pixels:
    image = Image.new("RGB", (WIDTH, HEIGHT), tuple(int(v) for v in random.integers(225, 256, 3)))
    draw, ink = ImageDraw.Draw(image), (int(random.integers(0, 70)),) * 3
    margin, leading = int(random.integers(16, 50)), int(random.integers(13, 22))
    y = margin
    while y < HEIGHT - margin:
        line = " ".join(_TEXT[(int(random.integers(len(_TEXT))) + k) % len(_TEXT)] for k in range(12))
        draw.text((margin, y), line[: int(random.integers(30, 66))], fill=ink)
        y += leading * (2 if random.random() < 0.12 else 1)
    return np.asarray(image.rotate(float(random.uniform(-4, 4)), fillcolor=(190, 188, 184)))


def _screenshot(random: np.random.Generator) -> Pixels:
    """A phone's conversation: a bar, a name, bubbles of text left and right, a field to write in."""
    dark = random.random() < 0.5
    ground, ink = ((22, 24, 28), (232, 232, 236)) if dark else ((246, 246, 248), (24, 24, 28))
    own = tuple(int(v) for v in random.integers(40, 180, 3))
    image = Image.new("RGB", (WIDTH, HEIGHT), ground)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH, 34), fill=own)
    draw.text((14, 11), "12:45    Messages", fill=(255, 255, 255))
    y = 46
    while y < HEIGHT - 70:
        width, height = int(random.integers(120, 290)), int(random.choice([26, 40, 54]))
        mine = random.random() < 0.5
        left = WIDTH - width - 14 if mine else 14
        draw.rounded_rectangle((left, y, left + width, y + height), 12, fill=own if mine else (128, 130, 136))
        for row in range(height // 14):
            start = int(random.integers(len(_TEXT) - 6))
            draw.text((left + 10, y + 6 + 13 * row), " ".join(_TEXT[start : start + 6])[: width // 7], fill="white")
        y += height + 10
    draw.rounded_rectangle((14, HEIGHT - 40, WIDTH - 14, HEIGHT - 10), 14, outline=(128, 130, 136))
    draw.text((28, HEIGHT - 32), "Write a message", fill=ink)
    return np.asarray(image)


def _pixels(values: NDArray[np.float64]) -> Pixels:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


_DRAWN: dict[str, Callable[[np.random.Generator], Pixels]] = {
    "noise": _noise,
    "gradient": _gradient,
    "flat colour": _flat_colour,
    "page of text": _text_page,
    "screenshot": _screenshot,
}
