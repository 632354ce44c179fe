"""Heatmaps: the closed form against automatic differentiation, and their pictures."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ml.architectures import build_model
from ml.explain import COLOUR_STOPS, class_activation, head_gradient, lay_over
from ml.features import cielab
from ml.transforms.serving import seen_part


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


def heat(*hot: tuple[int, int]) -> NDArray[np.uint8]:
    """A heatmap [8, 8] that is full at some cells."""
    cells = np.zeros((8, 8), np.uint8)
    for cell in hot:
        cells[cell] = 255
    return cells


def test_the_picture_shows_heat_where_it_is_and_the_photo_elsewhere() -> None:
    photo = np.full((150, 200, 3), (200, 120, 90), np.uint8)
    picture = lay_over(photo, heat((1, 6))).astype(int)
    assert picture.shape == photo.shape
    cold, hot = picture[120, 20], picture[round(1.5 / 8 * 150), round(6.5 / 8 * 200)]
    assert len(set(cold)) == 1  # grey: colour means heat and nothing else
    np.testing.assert_allclose(hot, 0.3 * cold + 0.7 * np.array(COLOUR_STOPS[-1]), atol=2)


@pytest.mark.parametrize("size", [(100, 300), (300, 100)])
def test_what_the_network_does_not_see_is_darkened(size: tuple[int, int]) -> None:
    picture = lay_over(np.full((*size, 3), 200, np.uint8), np.full((8, 8), 255, np.uint8)).astype(int)
    rows, columns = seen_part(*size)
    outside = np.ones(size, np.bool_)
    outside[rows, columns] = False
    assert 0.4 < (~outside).mean() < 0.5  # 4 : 3 of 3 : 1
    assert np.ptp(picture[outside], axis=1).max() == 0
    assert picture[outside].max() <= 70
    assert np.ptp(picture[~outside], axis=1).min() > 50


def test_the_picture_is_small_enough_to_send() -> None:
    assert lay_over(np.zeros((1500, 2000, 3), np.uint8), heat()).shape == (600, 800, 3)


def test_the_colours_get_lighter_with_the_heat() -> None:
    """So that their order is seen in grey and by colour-blind people, too."""
    lightness = cielab(np.array([COLOUR_STOPS], np.uint8))[0, :, 0]
    assert (np.diff(lightness) > 5).all()
