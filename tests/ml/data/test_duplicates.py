"""Near-duplicates: the same photo is found in every disguise, other lesions are not."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from ml.data.drawn import draw_lesion
from ml.data.duplicates import connected, find_near_duplicates, fingerprint
from ml.labels import load_taxonomy

CODES = load_taxonomy("ham10000").codes
LESIONS = [draw_lesion(code, np.random.default_rng([seed, 7]), (150, 200)) for code in CODES for seed in range(3)]


def pairs(pictures: list[NDArray[np.uint8]]) -> list[tuple[int, int]]:
    found = find_near_duplicates([fingerprint(picture) for picture in pictures])
    return [(pair.first, pair.second) for pair in found]


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


DISGUISES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": recompressed,
    "smaller": lambda image: image.resize((100, 75)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "mirrored quarter turn": lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "less colour": lambda image: ImageEnhance.Color(image).enhance(0.5),
    "shifted": lambda image: image.crop((3, 0, 200, 148)),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_finds_the_same_photo_in_disguise(disguise: str) -> None:
    chosen = LESIONS[::3]
    hidden = [np.asarray(DISGUISES[disguise](Image.fromarray(picture)).convert("RGB")) for picture in chosen]
    expected = [(number, number + len(chosen)) for number in range(len(chosen))]
    assert pairs(chosen + hidden) == expected


def test_other_lesions_are_not_near_duplicates() -> None:
    assert pairs(LESIONS) == []


def test_plain_pictures_are_no_evidence() -> None:
    plain = [np.full((40, 60, 3), shade, np.uint8) for shade in (10, 120, 240)]
    assert pairs(plain) == []
    assert pairs(plain[:1]) == []
    assert pairs([]) == []


def test_links_join_into_groups() -> None:
    numbers = connected(6, [(0, 1), (1, 4), (2, 2), (3, 5)])
    assert numbers[0] == numbers[1] == numbers[4]
    assert numbers[3] == numbers[5]
    assert len(set(numbers.tolist())) == 3
    assert len(set(connected(3, []).tolist())) == 3
