"""Feeding images to training: read from the cache on disk, augment and batch."""

import os
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from ml.data.looks import Looks

CACHE_MARGIN = 1.25
"""Training images are cached this much larger than the network's input, so that crops keep their detail."""


class AugmentedImages(TorchDataset[tuple[Tensor, int]]):
    """Cached pictures, each augmented by a random stream of its own: (seed, epoch, image) fixes the result.

    `looks` are what some pictures are shown as instead. `numbers` [N] are what counts as the image in the random
    stream, where the pictures are a few of a larger set; otherwise it is the row.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        transform: v2.Transform,
        seed: int,
        looks: Looks | None = None,
        numbers: NDArray[np.int64] | None = None,
    ):
        self.images, self.labels, self.transform, self.seed, self.looks = images, labels, transform, seed, looks
        self.numbers = np.arange(len(labels)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, row = key
        number = int(self.numbers[row])
        pixels = self.images[row]
        if self.looks is not None:
            pixels = self.looks.shown(pixels, row, self.looks.drawn(self.seed, epoch, number))
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence((self.seed, epoch, number)).generate_state(1)[0]))
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


def balancing_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Weights of images [N] by their classes [N] with which an `EpochSampler` draws each class as often as another."""
    counts = np.bincount(labels, minlength=classes)
    return np.asarray(1.0 / np.maximum(counts, 1)[labels], dtype=np.float64)


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
