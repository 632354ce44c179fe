"""From the loader's bytes to what a network takes, on the device."""

import torch
from torch import Tensor


class Normaliser:
    """uint8 [B, 3, S, S] -> normalised float32 on the device, channels last."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device):
        self.device = device
        self.scale = (1 / (255 * torch.tensor(std))).view(1, 3, 1, 1).to(device)
        self.offset = (torch.tensor(mean) / torch.tensor(std)).view(1, 3, 1, 1).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        moved = images.to(self.device, non_blocking=True).float() * self.scale - self.offset
        return moved.contiguous(memory_format=torch.channels_last)
