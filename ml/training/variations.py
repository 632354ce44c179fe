"""The same picture as another camera, screen or messenger would hand it on: what the gate must not go by."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

SHARES = {"text": 0.3, "hairs": 0.2, "rim": 0.15, "box": 0.15, "turn": 0.5, "mirror": 0.5}
"""How many of the copies carry each variation."""
SIDES = (110, 800)
"""Longer side, in pixels, of a copy."""
TONES = (0.7, 1.5)
"""Exponents of the tone curve: over 1 darkens, as darker skin or poorer light does."""
WORDS = ("DermAtlas", "archive", "www.skin-photo.example", "(c) 2019", "clinic 12", "sample", "IMG 0417")


def varied(pixels: Pixels, random: np.random.Generator, smallest: float = 1.0) -> Pixels:
    """A copy of an RGB picture [H, W, 3] in another size, frame, tone, colour cast, turn and JPEG quality.

    The frame is a random part of the picture, at least the share `smallest` of each side. Some copies carry text as a
    watermark would, some hairs, some the round dark rim of a lens, some a plain box over a corner. All are drawn at
    random and alike for every kind of picture, so that none of them can serve as a mark of where a picture came from.
    """
    image = Image.fromarray(np.ascontiguousarray(_part(pixels, random, smallest)))
    side = float(np.exp(random.uniform(*np.log(SIDES))))
    scale = side / max(image.size)
    image = image.resize((max(8, round(image.width * scale)), max(8, round(image.height * scale))))
    if random.random() < SHARES["mirror"]:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < SHARES["turn"]:
        image = image.rotate(90 * int(random.integers(1, 4)), expand=True)
    if random.random() < SHARES["hairs"]:
        _draw_hairs(image, random)
    toned = 255 * (np.asarray(image, np.float64) / 255) ** np.exp(random.uniform(*np.log(TONES)))
    toned *= random.uniform(0.85, 1.15) * random.uniform(0.94, 1.06, 3)
    if random.random() < SHARES["rim"]:
        toned = _with_rim(toned, random)
    image = Image.fromarray(np.clip(toned, 0, 255).astype(np.uint8))
    if random.random() < SHARES["box"]:
        _cover_corner(image, random)
    if random.random() < SHARES["text"]:
        write_mark(image, random)
    return as_jpeg(image, int(random.integers(35, 96)))


def as_jpeg(image: Image.Image, quality: int) -> Pixels:
    """The RGB picture after one more JPEG compression, [H, W, 3]."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def write_mark(image: Image.Image, random: np.random.Generator) -> None:
    """Write words onto the picture, pale or dark, with a round sign beside them, as an archive marks its pictures."""
    draw = ImageDraw.Draw(image, "RGBA")
    width, height = image.size
    ink = (int(random.choice((20, 255))),) * 3 + (int(random.integers(120, 256)),)
    size = max(7, round(min(image.size) * random.uniform(0.05, 0.11)))
    x, y = random.uniform(0.02, 0.6) * width, (0.03 if random.random() < 0.2 else random.uniform(0.7, 0.9)) * height
    draw.text((x + 1.6 * size, y), str(random.choice(WORDS)), ink, font=ImageFont.load_default(size))
    draw.ellipse((x, y, x + 1.3 * size, y + 1.3 * size), outline=ink, width=max(1, size // 8))


def _cover_corner(image: Image.Image, random: np.random.Generator) -> None:
    """A box of one grey over a corner, as somebody hides a name or a mark."""
    width, height = (round(side * part) for side, part in zip(image.size, random.uniform(0.1, 0.5, 2), strict=True))
    left = int(random.choice((0, image.width - width)))
    top = int(random.choice((0, image.height - height)))
    ImageDraw.Draw(image).rectangle((left, top, left + width, top + height), (int(random.integers(0, 256)),) * 3)


def _part(pixels: Pixels, random: np.random.Generator, smallest: float) -> Pixels:
    height, width = pixels.shape[:2]
    share = random.uniform(smallest, 1.0) * random.uniform(0.85, 1.0, 2)
    if smallest == 1.0:
        return pixels
    tall, wide = (max(32, round(side * part)) for side, part in zip((height, width), share, strict=True))
    top, left = int(random.integers(0, max(1, height - tall))), int(random.integers(0, max(1, width - wide)))
    return pixels[top : top + tall, left : left + wide]


def _draw_hairs(image: Image.Image, random: np.random.Generator) -> None:
    draw = ImageDraw.Draw(image, "RGBA")
    longest = max(image.size)
    ink = (*(int(value) for value in random.uniform(0.2, 1) * np.array([110, 80, 60])), int(random.integers(150, 250)))
    for _ in range(int(random.integers(3, 30))):
        heading = random.uniform(0, 2 * np.pi) + random.normal(0, 1) * np.linspace(0, 1, 20)
        start, length = random.uniform(0, 1, 2) * image.size, random.uniform(0.2, 0.9) * longest / 20
        xs, ys = start[0] + np.cumsum(np.cos(heading)) * length, start[1] + np.cumsum(np.sin(heading)) * length
        draw.line(
            list(zip(xs.tolist(), ys.tolist(), strict=True)), ink, max(1, round(longest * random.uniform(0.002, 0.008)))
        )


def _with_rim(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    height, width = values.shape[:2]
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(x - width / 2, y - height / 2) / (0.5 * min(height, width))
    light = np.clip((random.uniform(1.0, 1.4) - radius) / random.uniform(0.02, 0.3) + 1, random.uniform(0.02, 0.5), 1)
    dimmed: NDArray[np.float64] = values * light[..., None]
    return dimmed
