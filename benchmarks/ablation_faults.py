"""The validation pictures as a phone might have taken them: each with one fault that its digest fixes."""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.conditions import CONDITIONS, degrade
from ml.data.manifest import ImageRecord, read_image
from ml.features import lesion_mask
from ml.files import write_atomically
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
    facts = [side, preprocessing.to_dict(), [c.name for c, _ in CHOICES], *(r.sha256 for r in records)]
    path = cache / f"faults-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]}.npy"
    if not path.exists():
        images = np.stack([square(prepared(_faulty(record), preprocessing), side) for record in records])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda partial: _save(partial, images))
    kept: NDArray[np.uint8] = np.load(path)
    return kept


def _faulty(record: ImageRecord) -> NDArray[np.uint8]:
    pixels = read_image(record, MAX_SIDE)
    number = int(hashlib.sha256(record.sha256.encode()).hexdigest(), 16)
    condition, step = CHOICES[number % len(CHOICES)]
    return degrade(pixels, condition, step, lesion_mask(pixels), seed=number % 2**32)


def _save(path: Path, images: NDArray[np.uint8]) -> None:
    with path.open("wb") as stream:
        np.save(stream, images)
