"""Augmentation of training images (torchvision transforms v2), on uint8 tensors [3, C, C]."""

from dataclasses import dataclass

from torchvision.transforms import InterpolationMode, v2


@dataclass(frozen=True)
class Augmentation:
    """How far training images are changed. Angles in degrees; the rest are shares or torchvision's own factors."""

    flip: float = 0.5
    rotation: float = 30.0
    right_angles: bool = True
    crop_min: float = 0.7
    crop_aspect: float = 4 / 3
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.03


# A mid skin tone fills the corners that a rotation uncovers; black would look like a dermatoscope's rim.
FILL = (194, 144, 138)


def training_transform(augmentation: Augmentation, image_size: int) -> v2.Transform:
    """uint8 [3, C, C] -> uint8 [3, image_size, image_size], at random.

    Random numbers come from torch's global generator, so a caller that seeds it per image gets the same picture
    whatever the order or number of loader processes.
    """
    a = augmentation
    steps: list[v2.Transform] = []
    if a.rotation > 0:
        steps.append(v2.RandomRotation(a.rotation, interpolation=InterpolationMode.BILINEAR, fill=list(FILL)))
    if a.right_angles:
        steps.append(v2.RandomChoice([v2.Identity(), v2.RandomRotation((90, 90))]))
    steps.append(
        v2.RandomResizedCrop(
            image_size, scale=(a.crop_min, 1.0), ratio=(1 / a.crop_aspect, a.crop_aspect), antialias=True
        )
    )
    steps += [v2.RandomHorizontalFlip(a.flip), v2.RandomVerticalFlip(a.flip)]
    if max(a.brightness, a.contrast, a.saturation, a.hue) > 0:
        steps.append(v2.ColorJitter(a.brightness, a.contrast, a.saturation, a.hue))
    return v2.Compose(steps)
