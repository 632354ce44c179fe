"""The networks themselves: a backbone that makes feature maps, and the same head on every one of them."""

from typing import Protocol, cast

import timm
import torch
import torchvision
from efficientnet_pytorch import EfficientNet
from torch import Tensor, nn

HEAD_WIDTH = 512
TIMM_NAMES = {"efficientnet-lite2": "tf_efficientnet_lite2", "xception": "legacy_xception"}
"""What timm calls those networks of the registry that come from it. Its "legacy" Xception is the one of the paper
(Chollet 2017, "Xception: deep learning with depthwise separable convolutions"); the others there are DeepLab's."""


class Backbone(Protocol):
    """Anything that turns images [B, 3, S, S] into feature maps [B, width, h, w]."""

    width: int

    def __call__(self, images: Tensor) -> Tensor: ...


class EfficientNetBackbone(nn.Module):
    """efficientnet-pytorch's network up to and with its last convolution.

    The package's swish is replaced by torch's own SiLU: the same function, one memory pass instead of two.
    """

    def __init__(self, name: str, image_size: int) -> None:
        super().__init__()
        self.net = EfficientNet.from_name(name, image_size=image_size)
        self.width = int(self.net._fc.in_features)
        del self.net._fc
        self.net._swish = nn.SiLU(inplace=True)
        for block in self.net._blocks:
            block._swish = nn.SiLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.net.extract_features(images))


class TimmBackbone(nn.Module):
    """A timm network without pooling and classifier."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.net = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
        self.width = int(cast(int, self.net.num_features))

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.net(images))


class MobileNetBackbone(nn.Module):
    """torchvision's MobileNetV2 without its classifier."""

    width = 1280

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(weights=None).features

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.features(images))


class LeNetBackbone(nn.Module):
    """LeNet-5 up to layer C5 (LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning", figure 2), in colour.

    C1, S2, C3, S4 and C5 have the paper's sizes; at its 32 x 32 pixels C5 is one position of 120 maps. It differs where
    later networks do: three channels come in instead of one; each map of C3 sees all six of S2, not the subsets of the
    paper's table I; S2 and S4 average without a gain, bias and squashing of their own; tanh is not scaled (1.7159
    tanh(2x/3)); batch normalisation keeps its units out of saturation; and instead of F6 (84 units) and the radial
    basis functions comes the head that every architecture here has, with dropout and cross-entropy.
    """

    width = 120

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 6, 5),
            nn.BatchNorm2d(6),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.BatchNorm2d(16),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 120, 5),
            nn.Tanh(),
        )

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.net(images))


def efficientnet(name: str, image_size: int) -> Backbone:
    """efficientnet-pytorch's B0 to B7 as a backbone for inputs of `image_size` pixels."""
    return EfficientNetBackbone(name, image_size)


def mobilenet_v2() -> Backbone:
    """torchvision's MobileNetV2 as a backbone."""
    return MobileNetBackbone()


def lenet() -> Backbone:
    """LeNet-5 as a backbone."""
    return LeNetBackbone()


def timm_backbone(name: str) -> Backbone:
    """A network of timm as a backbone; `name` as in the registry, one of `TIMM_NAMES`."""
    return TimmBackbone(TIMM_NAMES[name])


class Network(nn.Module):
    """Backbone, average pooling, and the head Linear - ReLU - Dropout - Linear."""

    def __init__(self, backbone: Backbone, classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = cast(nn.Module, backbone)
        self.width = backbone.width
        self.head = nn.Sequential(
            nn.Linear(self.width, HEAD_WIDTH),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HEAD_WIDTH, classes),
        )

    def forward_with_maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images [B, 3, S, S] -> logits [B, classes], pooled features [B, width], feature maps [B, width, h, w]."""
        maps = self.backbone(images)
        features = maps.mean(dim=(2, 3))
        return self.head(features), features, maps

    def forward_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 3, S, S] -> logits [B, classes] and pooled features [B, width]."""
        return self.forward_with_maps(images)[:2]

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, S, S] -> logits [B, classes]."""
        return self.forward_with_features(images)[0]


def batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Every batch normalisation layer, in order."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def count_parameters(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())


def set_channels_last(network: nn.Module) -> None:
    """Lay convolution weights out with channels last, which is faster on CPUs and on recent GPUs alike."""
    network.to(memory_format=torch.channels_last)
