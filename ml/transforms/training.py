"""Augmentation of training images (torchvision transforms v2), on uint8 tensors [3, C, C]."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from ml.transforms.faults import PhoneFaults


@dataclass(frozen=True)
class Augmentation:
    """How far training images are changed. Angles in degrees; the rest are shares or torchvision's own factors.

    Crops cover `crop_min` to `crop_max` of the picture's area; above 1 it is shown smaller, carried on by reflection at
    its edges. `faults` is the chance of each fault of `ml.transforms.faults`.
    """

    flip: float = 0.5
    rotation: float = 30.0
    right_angles: bool = True
    crop_min: float = 0.7
    crop_max: float = 1.0
    crop_aspect: float = 4 / 3
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.03
    faults: float = 0.0


_UNCHANGED = Augmentation(
    flip=0.0, rotation=0.0, right_angles=False, crop_min=1.0, crop_aspect=1.0, brightness=0.0, contrast=0.0,
    saturation=0.0, hue=0.0,
)  # fmt: skip
STRENGTHS = {
    "none": _UNCHANGED,
    "basic": replace(_UNCHANGED, flip=0.5),
    "full": Augmentation(),
    "strong": Augmentation(
        rotation=180.0, crop_min=0.4, crop_aspect=1.5, brightness=0.35, contrast=0.35, saturation=0.35, hue=0.06
    ),
}
"""Sets to start from: nothing, mirror images alone, what is usual here, and more of it."""


class RandomFrame(v2.Transform):
    """Crop, rotation, quarter turns and mirror images in one resampling: uint8 [3, C, C] -> uint8 [3, S, S].

    One resampling instead of one for each step keeps the picture as sharp as validation and serving see it; chained
    ones blur it, and a network trained on blur meets every real picture as something foreign. What a rotation would
    uncover at the corners is filled by reflection, since a coloured corner would be one more thing that only training
    shows. Crop area and aspect ratio are drawn as in torchvision's RandomResizedCrop.
    """

    def __init__(self, augmentation: Augmentation, image_size: int):
        super().__init__()
        self.augmentation, self.image_size = augmentation, image_size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The affine matrix [1, 2, 3] from output to input coordinates, both in [-1, 1]."""
        a = self.augmentation
        draw = torch.rand(7).tolist()
        area = a.crop_min + (a.crop_max - a.crop_min) * draw[0]
        aspect = math.exp((2 * draw[1] - 1) * math.log(a.crop_aspect))
        largest = math.sqrt(a.crop_max)
        width, height = min(largest, math.sqrt(area * aspect)), min(largest, math.sqrt(area / aspect))
        x, y = max(0.0, 1 - width) * (2 * draw[2] - 1), max(0.0, 1 - height) * (2 * draw[3] - 1)
        angle = math.radians((2 * draw[4] - 1) * a.rotation)
        if a.right_angles and draw[5] < 0.5:
            angle += math.pi / 2
        cos, sin = math.cos(angle), math.sin(angle)
        mirror = torch.where(torch.rand(2) < a.flip, -1.0, 1.0).tolist()
        matrix = [
            [width * cos * mirror[0], -width * sin * mirror[1], x],
            [height * sin * mirror[0], height * cos * mirror[1], y],
        ]
        return {"matrix": torch.tensor([matrix])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        """The image, resampled."""
        shape = [1, 3, self.image_size, self.image_size]
        # Computed in double precision: in single, training lets processors with matrix tiles round it by half a pixel.
        grid = functional.affine_grid(params["matrix"].double(), shape, align_corners=False).float()
        found = functional.grid_sample(
            inpt[None].float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        return found[0].round_().clamp_(0, 255).to(torch.uint8)


def training_transform(augmentation: Augmentation, image_size: int) -> v2.Transform:
    """uint8 [3, C, C] -> uint8 [3, image_size, image_size], at random.

    Random numbers come from torch's global generator, so a caller that seeds it per image gets the same picture
    whatever the order or number of loader processes.
    """
    a = augmentation
    steps: list[v2.Transform] = [PhoneFaults(a.faults)] if a.faults > 0 else []
    steps.append(RandomFrame(a, image_size))
    if max(a.brightness, a.contrast, a.saturation, a.hue) > 0:
        steps.append(v2.ColorJitter(a.brightness, a.contrast, a.saturation, a.hue))
    return v2.Compose(steps)
