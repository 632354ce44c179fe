"""Heatmaps: the closed form against automatic differentiation, and their pictures."""

import numpy as np
import pytest
import torch

from ml.architectures import build_model
from ml.explain import class_activation, head_gradient


@pytest.mark.parametrize(
    ("architecture", "side"), [("lenet", 44), ("mobilenet-v2", 64), ("efficientnet-b0", 64), ("efficientnet-lite2", 64)]
)
def test_closed_form_is_what_differentiation_gives(architecture: str, side: int) -> None:
    torch.manual_seed(0)
    network = build_model(architecture, classes=7, image_size=side).double().eval()
    images = torch.randn(3, 3, side, side, dtype=torch.float64)
    classes = np.array([0, 3, 6])

    maps = network.backbone(images).detach().requires_grad_()
    features = maps.mean(dim=(2, 3))
    logits = network.head(features)
    logits[torch.arange(3), torch.from_numpy(classes)].sum().backward()
    assert maps.grad is not None
    weights = maps.grad.mean(dim=(2, 3), keepdim=True)
    expected = torch.relu((weights * maps).sum(dim=1)).detach().numpy()

    head = {name: value.detach().float().numpy() for name, value in network.head.named_parameters()}
    pooled = features.detach().float().numpy()
    gradient = head_gradient(pooled, head["0.weight"], head["0.bias"], head["3.weight"], classes)
    found = class_activation(maps.detach().float().numpy(), gradient)
    assert found.shape == (3, *maps.shape[2:])
    assert found.shape[1] > 1
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))


def test_what_lowers_the_score_is_not_shown() -> None:
    maps = np.zeros((1, 2, 2, 2), dtype=np.float32)
    maps[0, 0, 0, 0], maps[0, 1, 1, 1] = 4, 4
    np.testing.assert_allclose(class_activation(maps, np.array([[2, -1]], dtype=np.float32)), [[[2, 0], [0, 0]]])
