"""Feeding images to training: decode once into a cache on disk, then read, augment and batch."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2
from tqdm import tqdm

from ml.data.manifest import ImageRecord, read_image
from ml.errors import DatasetError
from ml.preprocess import MAX_SIDE, Preprocessing, prepared
from ml.transforms.serving import square

CACHE_MARGIN = 1.25
"""Training images are cached this much larger than the network's input, so that crops keep their detail."""

NO_STEPS = Preprocessing()


def decoded(
    records: Sequence[ImageRecord],
    side: int,
    cache: Path,
    progress: bool = True,
    zoom: float = 1.0,
    preprocessing: Preprocessing = NO_STEPS,
) -> NDArray[np.uint8]:
    """All pictures as one memory-mapped array uint8 [N, side, side, 3], made on first use and kept in `cache`.

    With `zoom` below 1 it is the central share of each side. The file's name is a digest of the pictures' own digests,
    side, zoom and preprocessing, so a changed data set or size never meets a stale cache. Raises DatasetError where a
    picture cannot be read or the cache cannot be written.
    """
    steps = [preprocessing.to_dict()] if preprocessing != NO_STEPS else []
    key = hashlib.sha256(json.dumps([side, zoom, *steps, *(r.sha256 for r in records)]).encode()).hexdigest()[:24]
    path = cache / f"{key}.npy"
    if not path.exists():
        try:
            _fill(path, records, side, zoom, preprocessing, progress)
        except OSError as error:
            reason = error.strerror or "the folder is not writable"
            raise DatasetError(f"The decoded images cannot be kept in {cache}: {reason}.") from error
    array: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return array


def _fill(
    path: Path, records: Sequence[ImageRecord], side: int, zoom: float, preprocessing: Preprocessing, progress: bool
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial")
    # Where a step works on the picture in its full size, it has to see what serving gives it.
    reading = 4 * side if preprocessing == NO_STEPS else 4 * max(side, MAX_SIDE)
    images = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(len(records), side, side, 3))
    for row, record in enumerate(tqdm(records, desc=f"decoding at {side} px", disable=not progress, unit="img")):
        images[row] = square(prepared(read_image(record, reading), preprocessing), side, zoom)
    images.flush()
    del images
    partial.replace(path)


class AugmentedImages(TorchDataset[tuple[Tensor, int]]):
    """Cached pictures, each augmented by a random stream of its own: (seed, epoch, image) fixes the result."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], transform: v2.Transform, seed: int):
        self.images, self.labels, self.transform, self.seed = images, labels, transform, seed

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, row = key
        image = torch.from_numpy(np.ascontiguousarray(self.images[row].transpose(2, 0, 1)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence((self.seed, epoch, row)).generate_state(1)[0]))
            return self.transform(image), int(self.labels[row])


class EpochSampler(Sampler[tuple[int, int]]):
    """The order of one epoch: a permutation of the images, or draws weighted by class, fixed by (seed, epoch)."""

    def __init__(self, count: int, seed: int, weights: NDArray[np.float64] | None = None):
        self.count, self.seed, self.weights, self.epoch = count, seed, weights, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        if self.weights is None:
            order = random.permutation(self.count)
        else:
            order = random.choice(self.count, self.count, p=self.weights / self.weights.sum())
        return iter([(self.epoch, int(row)) for row in order])


def training_loader(
    images: AugmentedImages, sampler: EpochSampler, batch_size: int, workers: int
) -> DataLoader[tuple[Tensor, int]]:
    """Batches (uint8 [B, 3, S, S], int64 [B]); the last short batch is left out (batch normalisation needs company)."""
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        drop_last=len(images) > batch_size,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def default_workers(device: str) -> int:
    """Loader processes: one beside a CPU that trains, up to eight beside a GPU."""
    cores = os.cpu_count() or 1
    return 1 if device == "cpu" else max(1, min(8, cores - 1))
