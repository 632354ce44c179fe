"""Loss, optimiser, schedule and the moving average of the weights."""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml.networks import Network, batch_norms
from ml.training.config import TrainingConfig


def class_weights(labels: NDArray[np.int64], classes: int, kind: str) -> Tensor:
    """Loss weights float32 [classes] by class index: inverse frequency, its square root, or all one.

    They are scaled so that the mean weight over the training images is one.
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    power = {"inverse": 1.0, "sqrt": 0.5, "none": 0.0}[kind]
    weights = (counts.sum() / np.maximum(counts, 1.0)) ** power
    return torch.tensor(weights / (weights * counts).sum() * counts.sum(), dtype=torch.float32)


def training_loss(config: TrainingConfig, weights: Tensor) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss of logits [B, C], labels [B] and, with a teacher, its logits [B, C].

    With a teacher: the usual cross-entropy mixed with the divergence from the teacher's softened probabilities
    (Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural network", section 2).
    """
    gamma = config.focal_gamma if config.loss == "focal" else 0.0
    hard = FocalLoss(weights, config.label_smoothing, gamma)
    temperature, share = config.distillation_temperature, config.distillation

    def loss(logits: Tensor, labels: Tensor, teacher: Tensor | None) -> Tensor:
        plain: Tensor = hard(logits, labels)
        if teacher is None:
            return plain
        soft = functional.kl_div(
            functional.log_softmax(logits / temperature, dim=1),
            functional.log_softmax(teacher / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - share) * plain + share * temperature**2 * soft

    return loss


class FocalLoss(nn.Module):
    """Cross-entropy times (1 - p)^gamma, p the probability of the true class, so that images that are told rightly
    already count for little (Lin, Goyal, Girshick, He, Dollar 2017, "Focal loss for dense object detection"). With
    gamma 0 it is torch's weighted cross-entropy with label smoothing: a mean weighted by class.
    """

    def __init__(self, weights: Tensor, label_smoothing: float, gamma: float):
        super().__init__()
        self.weights, self.gamma = weights, gamma
        self.plain = nn.CrossEntropyLoss(weight=weights, label_smoothing=label_smoothing)
        self.each = nn.CrossEntropyLoss(weight=weights, label_smoothing=label_smoothing, reduction="none")

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits [B, C] and labels [B] -> a scalar."""
        if self.gamma == 0:
            value: Tensor = self.plain(logits, labels)
            return value
        right = functional.softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
        losses = (1 - right) ** self.gamma * self.each(logits, labels)
        mean: Tensor = losses.sum() / self.weights[labels].sum()
        return mean


def make_optimiser(network: Network, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with one group per parameter: rates rise geometrically from the first layer to the backbone's last.

    Biases and normalisation parameters are not decayed.
    """
    backbone = list(network.backbone.parameters())
    steps = max(1, len(backbone) - 1)
    rates = [
        config.early_rate * (config.backbone_rate / config.early_rate) ** (position / steps)
        for position in range(len(backbone))
    ]
    rates += [config.head_rate] * len(list(network.head.parameters()))
    groups = [
        {"params": [p], "lr": rate, "initial_lr": rate, "weight_decay": config.weight_decay if p.ndim > 1 else 0.0}
        for p, rate in zip([*backbone, *network.head.parameters()], rates, strict=True)
    ]
    return torch.optim.AdamW(groups, lr=config.backbone_rate, foreach=True)


class Schedule:
    """The factor on every learning rate: a warm-up by step, then either a cosine or a cut on each plateau.

    The plateau rule is torch's ReduceLROnPlateau in its essentials (mode max): after `plateau_patience` epochs
    without a better validation figure the factor is multiplied by `plateau_factor`.
    """

    def __init__(self, config: TrainingConfig, steps_per_epoch: int):
        self.config, self.steps_per_epoch = config, steps_per_epoch
        self.factor, self.best, self.bad_epochs = 1.0, -math.inf, 0

    def at(self, step: int) -> float:
        """Factor for this optimiser step (counted from 0 over the whole run)."""
        warmup = self.config.warmup_epochs * self.steps_per_epoch
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.config.schedule == "plateau":
            return self.factor
        total = max(1.0, self.config.epochs * self.steps_per_epoch - warmup)
        return max(0.005, 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / total))))

    def epoch_ended(self, figure: float) -> None:
        """Tell the schedule the epoch's validation figure (higher is better)."""
        if figure > self.best:
            self.best, self.bad_epochs = figure, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.config.plateau_patience:
            self.factor, self.bad_epochs = self.factor * self.config.plateau_factor, 0

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"factor": self.factor, "best": self.best, "bad_epochs": self.bad_epochs}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from `state`."""
        self.factor, self.best, self.bad_epochs = state["factor"], state["best"], int(state["bad_epochs"])


class WeightAverage:
    """Exponential moving average of weights and statistics; early steps count more, so that it forgets its start."""

    def __init__(self, network: Network, decay: float):
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move towards the network's present weights."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        own, new = self.network.state_dict(), network.state_dict()
        floating = [name for name, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([own[n] for n in floating], [new[n] for n in floating], 1 - decay)


@torch.no_grad()
def reestimate_batch_norm(network: Network, batches: list[Tensor]) -> None:
    """Forget the running statistics of every batch normalisation and measure them on normalised images [B, 3, S, S].

    For weights whose statistics were measured on pictures of another kind.
    """
    momenta = [norm.momentum for norm in batch_norms(network)]
    for norm in batch_norms(network):
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    for batch in batches:
        network(batch)
    for norm, momentum in zip(batch_norms(network), momenta, strict=True):
        norm.momentum = momentum
