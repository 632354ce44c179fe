"""Where a network's weights come from: ImageNet by download, a local file, another bundle, or nowhere."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ml.bundle import is_bundle, load_bundle
from ml.errors import TrainingError
from ml.networks import TIMM_NAMES, MobileNetBackbone, Network, TimmBackbone
from ml.runtime import load_state

CONTAINERS = ("state_dict", "model_state_dict", "model")


def warm_start(network: Network, architecture: str, weights: str) -> str:
    """Fill the network from `weights`: 'imagenet', 'none', or the path of a torch or safetensors file or a bundle.

    A bundle gives everything, or the backbone alone where its classes differ; an ensemble gives its first network.
    Returns one sentence for the log.
    Raises TrainingError where nothing fits or a download is not possible, BundleError for a damaged bundle.
    """
    if weights == "none":
        return "Random weights."
    if weights == "imagenet":
        state = _download(architecture)
        return f"ImageNet weights: {_fill_backbone(network, state)}."
    path = Path(weights)
    if is_bundle(path):
        return _from_bundle(network, architecture, path)
    if not path.is_file():
        raise TrainingError(f"No weights at '{weights}'. Give a file, a bundle, 'imagenet' or 'none'.")
    return f"Weights of {path.name}: {_fill_backbone(network, _read(path))}."


def _from_bundle(network: Network, architecture: str, path: Path) -> str:
    bundle = load_bundle(path).networks()[0]
    if bundle.card.architecture != architecture:
        raise TrainingError(
            f"The bundle {bundle.card.name} is a {bundle.card.architecture}; it cannot start a {architecture}."
        )
    state = load_state(bundle)
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    network.load_state_dict(fitting, strict=False)
    return f"Bundle {bundle.card.name}@{bundle.card.version}: {len(fitting)} of {len(own)} tensors."


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path.name} is not a readable safetensors weights file.") from error
    except Exception as error:  # torch raises whatever its unpickler met in a damaged file
        raise TrainingError(f"{path.name} is not a readable torch weights file.") from error
    for container in CONTAINERS:
        if isinstance(state, dict) and isinstance(state.get(container), dict):
            state = state[container]
    if not isinstance(state, dict):
        raise TrainingError(f"{path.name} holds no table of weights.")
    return {str(k).removeprefix("module."): v for k, v in state.items() if isinstance(v, Tensor)}


def _fill_backbone(network: Network, state: dict[str, Tensor]) -> str:
    """Copy a published network's tensors into the backbone, by name."""
    backbone = network.backbone
    inner = backbone.features if isinstance(backbone, MobileNetBackbone) else getattr(backbone, "net", backbone)
    own = inner.state_dict()
    stripped = {name.removeprefix("features."): value for name, value in state.items()}
    named = {n: v for n, v in stripped.items() if n in own and own[n].shape == v.shape}
    if len(named) < len(own) and isinstance(backbone, TimmBackbone):
        named = _renamed(own, state)
    missing = [name for name in own if name not in named and not name.endswith("num_batches_tracked")]
    if missing:
        raise TrainingError(
            f"These weights do not fit the architecture: {len(missing)} tensors missing, such as '{missing[0]}'."
        )
    inner.load_state_dict(named, strict=False)
    return f"{len(named)} tensors"


def _renamed(own: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """An EfficientNet-Lite in efficientnet-pytorch's names, in those of timm; empty where it is none."""
    blocks = sorted({tuple(map(int, n.split(".")[1:3])) for n in own if n.startswith("blocks.")})
    plain = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    inverted = {
        "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
        "_project_conv": "conv_pwl", "_bn2": "bn3",
    }  # fmt: skip
    separable = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    named = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] in plain:
            new = ".".join([plain[parts[0]], *parts[1:]])
        elif parts[0] == "_blocks" and len(parts) == 4 and int(parts[1]) < len(blocks):
            stage, position = blocks[int(parts[1])]
            layers = inverted if f"_blocks.{parts[1]}._expand_conv.weight" in state else separable
            new = f"blocks.{stage}.{position}.{layers.get(parts[2], parts[2])}.{parts[3]}"
        else:
            continue
        if new in own and own[new].shape == value.shape:
            named[new] = value
    return named


def _download(architecture: str) -> dict[str, Tensor]:
    """Published ImageNet weights, through the library that the architecture comes from."""
    try:
        if architecture == "mobilenet-v2":
            from torchvision.models import MobileNet_V2_Weights

            return dict(MobileNet_V2_Weights.IMAGENET1K_V2.get_state_dict(progress=True, check_hash=True))
        if architecture in TIMM_NAMES:
            import timm

            return dict(timm.create_model(TIMM_NAMES[architecture], pretrained=True).state_dict())
        if architecture.startswith("efficientnet-b"):
            from efficientnet_pytorch import EfficientNet

            return dict(EfficientNet.from_pretrained(architecture).state_dict())
    except (OSError, RuntimeError, ValueError) as error:
        raise TrainingError(
            "The ImageNet weights could not be downloaded. Check the connection, or give a local file with "
            "--weights PATH, or start from nothing with --weights none."
        ) from error
    raise TrainingError(f"There are no ImageNet weights for {architecture}; use --weights none or --weights PATH.")
