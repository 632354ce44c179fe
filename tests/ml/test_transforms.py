"""The serving transform, and augmentation whose randomness is fixed by its seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml.data.drawn import draw_lesion
from ml.data.loader import AugmentedImages, EpochSampler
from ml.transforms.faults import PhoneFaults
from ml.transforms.serving import VIEWS, View, normalise, square, turned
from ml.transforms.training import STRENGTHS, Augmentation, RandomFrame, training_transform


def test_square_keeps_the_whole_of_a_dermatoscopic_frame() -> None:
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:, :40] = 255
    result = square(pixels, 100)
    assert result.shape == (100, 100, 3)
    assert result[50, 5].tolist() == [255, 255, 255]
    assert result[50, 20].tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(100, 1000, 3), (1000, 100, 3)])
def test_square_cuts_elongated_pictures_about_their_centre(shape: tuple[int, int, int]) -> None:
    pixels = np.zeros(shape, np.uint8)
    pixels[shape[0] // 2 - 20 : shape[0] // 2 + 20, shape[1] // 2 - 20 : shape[1] // 2 + 20] = 255
    result = square(pixels, 90)
    assert result[45, 45, 0] == 255
    assert 0.08 < (result[..., 0] > 127).mean() < 0.16  # 40 x 40 of 100 x 133


def test_normalise_is_the_formula() -> None:
    batch = np.full((1, 2, 2, 3), 51, np.uint8)
    result = normalise(batch, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    assert result.shape == (1, 3, 2, 2)
    assert result[0, :, 0, 0] == pytest.approx([(0.2 - 0.5) / 0.1, (0.2 - 0.4) / 0.2, (0.2 - 0.3) / 0.3], abs=1e-5)


def test_views_turn_and_mirror() -> None:
    batch = np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1)
    found = {view: turned(batch, view)[0, :, :, 0].tolist() for view in VIEWS["four"]}
    assert found == {
        View(): [[0, 1], [2, 3]],
        View(mirror=True): [[1, 0], [3, 2]],
        View(quarter_turn=True): [[1, 3], [0, 2]],
        View(quarter_turn=True, mirror=True): [[3, 1], [2, 0]],
    }


def test_zoom_shows_the_middle_larger() -> None:
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[100:200, 150:250] = 255
    shares = [(square(pixels, 120, zoom)[..., 0] > 127).mean() for zoom in (1.0, 0.5)]
    assert shares[0] == pytest.approx(1 / 12, abs=0.01)
    assert shares[1] == pytest.approx(4 / 12, abs=0.02)
    assert len(VIEWS["eight"]) == 8


def test_mixed_views_have_each_position_once_and_both_distances_twice() -> None:
    assert set(VIEWS["mixed"]) < set(VIEWS["eight"])
    assert len({(view.quarter_turn, view.mirror) for view in VIEWS["mixed"]}) == 4
    assert sorted(view.zoom for view in VIEWS["mixed"]) == [0.87, 0.87, 1.0, 1.0]
    assert VIEWS["mixed"][0] == View()  # the gate looks at the first, the picture as it is


@pytest.fixture
def augmented() -> AugmentedImages:
    images = np.random.default_rng(0).integers(0, 256, (6, 48, 48, 3), dtype=np.uint8)
    return AugmentedImages(images, np.arange(6), training_transform(Augmentation(), 40), seed=3)


def test_augmentation_depends_on_seed_epoch_and_image_alone(augmented: AugmentedImages) -> None:
    torch.manual_seed(1)
    first = augmented[0, 2][0]
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(first, augmented[0, 2][0])
    assert torch.equal(state, torch.get_rng_state()), "the global stream is left as it was"
    assert not torch.equal(first, augmented[1, 2][0])
    assert first.shape == (3, 40, 40)
    assert first.dtype == torch.uint8


def test_every_epoch_sees_every_image_once_in_a_new_order() -> None:
    sampler = EpochSampler(50, seed=1)
    first = [row for _, row in sampler]
    sampler.epoch = 1
    second = [row for _, row in sampler]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_weighted_sampling_balances_classes() -> None:
    labels = np.repeat([0, 1], [900, 100])
    weights = 1.0 / np.bincount(labels)[labels]
    drawn = [labels[row] for _, row in EpochSampler(1000, 0, weights)]
    assert 0.4 < np.mean(drawn) < 0.6


def drawn_tensor() -> torch.Tensor:
    return torch.from_numpy(draw_lesion("nv", np.random.default_rng(0), (96, 96))).permute(2, 0, 1).contiguous()


@pytest.mark.parametrize("name", ["kelvin", "stops", "blur", "motion", "noise", "jpeg"])
def test_each_fault_changes_the_picture_and_leaves_it_a_picture_of_the_same_lesion(name: str) -> None:
    torch.manual_seed(0)
    faults, image = PhoneFaults(1.0), drawn_tensor()
    params = dict.fromkeys(faults.make_params([]), None) | {name: faults.make_params([])[name]}
    result = faults.transform(image, params)
    assert result.shape == image.shape
    assert result.dtype == torch.uint8
    assert not torch.equal(result, image)
    pair = torch.stack([image.float().mean(0).flatten(), result.float().mean(0).flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.8


def test_faults_come_as_often_as_asked() -> None:
    torch.manual_seed(0)
    drawn = [PhoneFaults(0.2).make_params([]) for _ in range(500)]
    for name in drawn[0]:
        assert 0.14 < np.mean([params[name] is not None for params in drawn]) < 0.26
    assert torch.equal(PhoneFaults(0.0)(drawn_tensor()), drawn_tensor())


def test_a_crop_above_one_shows_the_picture_smaller() -> None:
    image = torch.zeros(3, 100, 100, dtype=torch.uint8)
    image[:, 40:60, 40:60] = 255
    small = RandomFrame(replace(STRENGTHS["none"], crop_min=1.96, crop_max=1.96), 100)(image)
    assert (small > 127).float().mean().item() == pytest.approx(0.04 / 1.96, abs=0.002)
