"""Training pictures as they might have been: without their hair, or on skin of another tone.

Validation, test and serving never see these: they are for training pictures alone, drawn anew in each epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml import features
from ml.conditions_faults import SKIN_TONES, central_ellipse, skin_tone
from ml.data.cache import decoded, kept
from ml.data.manifest import ImageRecord
from ml.preprocess import HairRemoval, Preprocessing

Pixels = NDArray[np.uint8]
TONES = tuple(SKIN_TONES)
MASK_SETTINGS = [
    features.WORKING_SIDE, features.HAIR_WIDTH, features.FRAME_LIGHTNESS, features.MIN_DIFFERENCE,
    features.FULL_DIFFERENCE, features.MIN_AREA, features.MAX_AREA,
]  # fmt: skip
"""What `lesion_mask` goes by: a change of one never meets the masks of before."""


@dataclass(frozen=True)
class Look:
    """How one training picture is shown in one epoch; `tone` is None for its own."""

    hair_free: bool = False
    tone: str | None = None


@dataclass(frozen=True)
class Looks:
    """Other looks of N training pictures, squares of side C.

    `hair_free` uint8 [N, C, C, 3] are the pictures without their hair, `lesions` uint8 [N, C, ceil(C / 8)] the masks of
    their lesions, eight pixels a byte; either is None where its share is 0. The shares, 0 to 1, are those of pictures
    that are shown so.
    """

    hair_free: Pixels | None
    lesions: NDArray[np.uint8] | None
    hair_free_share: float
    tone_share: float

    def drawn(self, seed: int, epoch: int, image: int) -> Look:
        """The look of an image in an epoch. The stream is its own: crops and colours stay as without other looks."""
        random = np.random.default_rng((seed, epoch, image, 1))
        bare, toned = random.random(2)
        tone = TONES[int(random.integers(len(TONES)))]
        return Look(bool(bare < self.hair_free_share), tone if toned < self.tone_share else None)

    def shown(self, pixels: Pixels, row: int, look: Look) -> Pixels:
        """The picture `pixels` [C, C, 3] of this row as `look` has it."""
        if look.hair_free and self.hair_free is not None:
            pixels = self.hair_free[row]
        if look.tone is None or self.lesions is None:
            return pixels
        lesion = np.unpackbits(self.lesions[row], axis=1, count=pixels.shape[1]).astype(np.bool_)
        return skin_tone(np.ascontiguousarray(pixels), look.tone, lesion)


def looks_of(
    records: Sequence[ImageRecord],
    images: Pixels,
    cache: Path,
    preprocessing: Preprocessing,
    hair_free_share: float,
    tone_share: float,
    progress: bool = True,
) -> Looks | None:
    """Other looks of the training records, whose squares [N, C, C, 3] are `images`, by the shares asked for.

    What they need is made on first use and kept in `cache`. None where neither is asked for. Raises DatasetError where
    a picture cannot be read or the cache cannot be written.
    """
    if not hair_free_share and not tone_share:
        return None
    hair_free, lesions, side = None, None, images.shape[1]
    if hair_free_share:
        steps = replace(preprocessing, hair_removal=HairRemoval())
        hair_free = decoded(records, side, cache, progress, preprocessing=steps)
    if tone_share:
        key = ["lesions", side, MASK_SETTINGS, preprocessing.to_dict(), *(record.sha256 for record in records)]
        lesions = kept(cache, key, (len(records), side, -(-side // 8)), lambda: _packed_masks(images, progress))
    return Looks(hair_free, lesions, hair_free_share, tone_share)


def where_lesion_is(pixels: Pixels) -> NDArray[np.bool_]:
    """The lesion's mask [H, W], or an ellipse in the middle where none is found."""
    mask = features.lesion_mask(pixels)
    return central_ellipse(*pixels.shape[:2]) if mask is None else mask


def _packed_masks(images: Pixels, progress: bool) -> Iterable[NDArray[np.uint8]]:
    for pixels in tqdm(images, desc="finding lesions", disable=not progress, unit="img"):
        yield np.packbits(where_lesion_is(pixels), axis=1)
