"""The validation pictures as a phone might have taken them: each with one fault that its digest fixes."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.conditions import CONDITIONS, degrade
from ml.data.cache import kept
from ml.data.manifest import ImageRecord, read_image
from ml.features import lesion_mask
from ml.preprocess import MAX_SIDE, Preprocessing, prepared
from ml.transforms.serving import square

STEPS = 3
"""Steps of each condition that are drawn from; a gate would refuse most of what is worse."""

CHOICES = [
    (condition, step)
    for condition in CONDITIONS
    if condition.name not in ("rotation", "skin_tone")  # neither is a fault of the photo
    for step in range(1, STEPS + 1)
]


def with_faults(
    records: tuple[ImageRecord, ...], side: int, cache: Path, preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """uint8 [N, side, side, 3]; made once and kept in `cache`. Raises DatasetError where a picture cannot be read."""
    drawn = [[condition.name, condition.values[step - 1]] for condition, step in CHOICES]
    key = ["faults", side, preprocessing.to_dict(), drawn, *(record.sha256 for record in records)]
    return kept(
        cache,
        key,
        (len(records), side, side, 3),
        lambda: (square(prepared(_faulty(record), preprocessing), side) for record in records),
    )


def _faulty(record: ImageRecord) -> NDArray[np.uint8]:
    pixels = read_image(record, MAX_SIDE)
    number = int(hashlib.sha256(record.sha256.encode()).hexdigest(), 16)
    condition, step = CHOICES[number % len(CHOICES)]
    return degrade(pixels, condition, step, lesion_mask(pixels), seed=number % 2**32)
