"""The registry of architectures: names first, so that listing them needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.errors import DatasetError

if TYPE_CHECKING:
    from ml.networks import Network

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Architecture:
    """What a network needs to be built and fed: default input side in pixels, and mean / std of its inputs."""

    name: str
    image_size: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("efficientnet-b4", 224),
        Architecture("efficientnet-b0", 224),
        Architecture("efficientnet-b1", 224),
        Architecture("efficientnet-b2", 224),
        Architecture("efficientnet-b3", 224),
        Architecture("efficientnet-lite2", 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        Architecture("mobilenet-v2", 224),
        Architecture("xception", 299, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        Architecture("lenet", 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    )
}
DEFAULT_ARCHITECTURE = "efficientnet-b4"


def architecture_names() -> list[str]:
    """Every name `build_model` takes, the default first."""
    return list(ARCHITECTURES)


def find_architecture(name: str) -> Architecture:
    """The registry's entry. Raises DatasetError for an unknown name."""
    if name not in ARCHITECTURES:
        raise DatasetError(f"Unknown architecture '{name}'. Known ones: {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]


def build_model(name: str, classes: int, image_size: int, dropout: float = 0.5) -> Network:
    """An untrained network for inputs [B, 3, image_size, image_size] and `classes` outputs.

    In efficientnet-pytorch the image size is part of the architecture (static padding), so a bundle's own size
    must be given when its weights are loaded. Raises DatasetError for an unknown name.
    """
    find_architecture(name)
    from ml import networks

    if name == "mobilenet-v2":
        backbone = networks.mobilenet_v2()
    elif name in networks.TIMM_NAMES:
        backbone = networks.timm_backbone(name)
    elif name == "lenet":
        backbone = networks.lenet()
    else:
        backbone = networks.efficientnet(name, image_size)
    return networks.Network(backbone, classes, dropout)
