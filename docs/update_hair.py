"""Write docs/hair-removal.jpg: drawn pictures before hair removal, with the hair that was found marked, and after.

python docs/update_hair.py
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from ml.data.drawn import draw_lesion  # noqa: E402
from ml.files import write_bytes  # noqa: E402
from ml.images import encode_jpeg  # noqa: E402
from ml.preprocess import remove_hair  # noqa: E402
from ml.preview_hair import MARK  # noqa: E402

SHEET = PROJECT / "docs" / "hair-removal.jpg"
HAIRY, BARE = ("nv", "bkl", "df"), "bcc"
"""Lesions that hairs are drawn over, and one without any, whose fine vessels are taken for hair."""
SIZE, SHOWN = (480, 640), (320, 240)
GAP = 8


def hairs(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The picture with a dozen dark curved hairs drawn over it."""
    drawn, (height, width) = pixels.copy(), pixels.shape[:2]
    for _ in range(12):
        start, angle = random.uniform((0, 0), (width, height)), random.uniform(0, 2 * np.pi)
        headings = angle + random.normal(0, 0.6) * np.linspace(0, 1, 40)
        steps = random.uniform(5, 12) * np.stack([np.cos(headings), np.sin(headings)], axis=1)
        path = np.rint(start + np.cumsum(steps, axis=0)).astype(np.int32)
        cv2.polylines(drawn, [path], False, (40, 28, 22), int(random.integers(2, 5)), cv2.LINE_AA)
    return drawn


def row(pixels: np.ndarray) -> np.ndarray:
    """A picture before, with the hair that was found marked, and after, side by side."""
    removed = remove_hair(pixels)
    marked = np.where(removed.mask[..., None], MARK, pixels)
    gap = np.full((SHOWN[1], GAP, 3), 255, np.uint8)
    parts = [cv2.resize(part, SHOWN, interpolation=cv2.INTER_AREA) for part in (pixels, marked, removed.pixels)]
    return np.hstack([parts[0], gap, parts[1], gap, parts[2]])


if __name__ == "__main__":
    random = np.random.default_rng(0)
    pictures = [hairs(draw_lesion(code, np.random.default_rng(5), SIZE), random) for code in HAIRY]
    pictures.append(draw_lesion(BARE, np.random.default_rng(3), SIZE))
    rows = [row(picture) for picture in pictures]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    write_bytes(SHEET, encode_jpeg(np.vstack([part for each in rows for part in (each, gap)][:-1]), quality=85))
