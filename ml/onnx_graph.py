"""What an exported file computes: every network of a bundle on one view, and the calibrated answer of them all."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ml.architectures import build_model
from ml.bundle import Bundle
from ml.card import Card
from ml.runtime import load_state

_SMALLEST = math.log(1e-12)
"""Probabilities below 1e-12 count as that, as in ml.predict.combined."""


class Graph(nn.Module):
    """Images [B, 3, S, S] for each network -> the logits [B, C] of each, then probabilities [B, C]."""

    def __init__(self, networks: Sequence[nn.Module], cards: Sequence[Card], whole: Card):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.own = nn.ModuleList([_Calibrated(card) for card in cards])
        self.whole = _Calibrated(whole)

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        logits = [network(given) for network, given in zip(self.networks, images, strict=True)]
        mean = logits[0]
        if len(logits) > 1:
            logs = [own(given).clamp(min=_SMALLEST) for own, given in zip(self.own, logits, strict=True)]
            mean = torch.stack(logs).mean(dim=0)
        return (*logits, self.whole(mean).exp())


class _Calibrated(nn.Module):
    """Logits [B, C] -> calibrated log-probabilities [B, C], as ml.calibration.Calibration has them."""

    def __init__(self, card: Card):
        super().__init__()
        self.temperature = float(card.calibration["temperature"])
        self.register_buffer("bias", torch.tensor(card.calibration["bias"], dtype=torch.float32))

    def forward(self, logits: Tensor) -> Tensor:
        return torch.log_softmax(logits / self.temperature + cast(Tensor, self.bias), dim=-1)


def build_graph(bundle: Bundle) -> Graph:
    """The bundle as such a module, ready to answer. Raises BundleError where weights are damaged."""
    members = bundle.networks()
    networks = []
    for member in members:
        network = build_model(member.card.architecture, len(member.card.classes), member.card.image_size)
        network.load_state_dict(load_state(member), strict=True)
        networks.append(network)
    return Graph(networks, [member.card for member in members], bundle.card).eval()
