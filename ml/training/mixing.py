"""Batches of mixed images: mixup and cutmix."""

import math

import numpy as np
import torch
from torch import Tensor


def mixed(images: Tensor, random: np.random.Generator, mixup: float, cutmix: float) -> tuple[Tensor, Tensor, float]:
    """Mix each image [B, 3, S, S] with another of the batch, its partner.

    Returns the images, the partner of each [B] and the share of the image itself; the partner's label counts for the
    rest. Mixup blends them (Zhang, Cisse, Dauphin, Lopez-Paz 2018, "mixup: beyond empirical risk minimization"), cutmix
    puts a rectangle of the partner in (Yun et al. 2019, "CutMix: regularization strategy to train strong classifiers
    with localizable features"); where both are above 0 a coin decides for each batch. With both 0 nothing is mixed.
    """
    if mixup <= 0 and cutmix <= 0:
        return images, torch.arange(len(images)), 1.0
    cut = mixup <= 0 or (cutmix > 0 and random.random() < 0.5)
    strength = cutmix if cut else mixup
    share, partner = float(random.beta(strength, strength)), torch.randperm(len(images))
    if not cut:
        return share * images + (1 - share) * images[partner], partner, share
    top, bottom, left, right = _rectangle(random, images.shape[2], images.shape[3], 1 - share)
    images = images.clone()
    images[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
    # What falls outside the picture is cut off, so the true share is that of the pixels.
    return images, partner, 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])


def _rectangle(random: np.random.Generator, height: int, width: int, area: float) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of a rectangle of this share of the area, about a point drawn anywhere."""
    side = math.sqrt(area)
    tall, wide = round(height * side), round(width * side)
    top, left = int(random.integers(height)) - tall // 2, int(random.integers(width)) - wide // 2
    return max(0, top), min(height, top + tall), max(0, left), min(width, left + wide)
