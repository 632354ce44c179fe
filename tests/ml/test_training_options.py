"""Focal loss, mixup and cutmix, and the sets of augmentation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ml.training.mixing import mixed
from ml.training.optimisation import training_loss
from ml.transforms.training import STRENGTHS, training_transform
from tests.ml.tiny import TINY, run

LOGITS, LABELS = torch.tensor([[3.0, 0.0, -1.0], [0.2, 0.1, 0.0]]), torch.tensor([0, 2])
WEIGHTS = torch.tensor([0.5, 1.0, 3.0])


def test_focal_loss_with_gamma_zero_is_cross_entropy() -> None:
    plain = training_loss(replace(TINY, label_smoothing=0.1), WEIGHTS)(LOGITS, LABELS, None)
    config = replace(TINY, label_smoothing=0.1, loss="focal", focal_gamma=1e-9)
    assert training_loss(config, WEIGHTS)(LOGITS, LABELS, None).item() == pytest.approx(plain.item(), abs=1e-5)


def test_focal_loss_is_the_formula() -> None:
    config = replace(TINY, label_smoothing=0.0, loss="focal", focal_gamma=2.0)
    right = functional.softmax(LOGITS, dim=1)[[0, 1], LABELS]
    expected = (WEIGHTS[LABELS] * (1 - right) ** 2 * -right.log()).sum() / WEIGHTS[LABELS].sum()
    assert training_loss(config, WEIGHTS)(LOGITS, LABELS, None).item() == pytest.approx(expected.item(), abs=1e-6)


def images() -> Tensor:
    """Eight images, each of its own brightness."""
    return torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 20, 24).contiguous()


def test_nothing_is_mixed_unless_asked() -> None:
    batch, partner, share = mixed(images(), np.random.default_rng(0), 0.0, 0.0)
    assert torch.equal(batch, images())
    assert partner.tolist() == list(range(8))
    assert share == 1


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_keeps_as_much_of_an_image_as_it_says(seed: int) -> None:
    torch.manual_seed(seed)
    batch, partner, share = mixed(images(), np.random.default_rng(seed), 0.0, 1.0)
    assert 0 <= share <= 1
    for row in range(8):
        own = (batch[row, 0] == row).float().mean().item()
        theirs = (batch[row, 0] == int(partner[row])).float().mean().item()
        assert own == pytest.approx(1.0 if partner[row] == row else share)
        assert own + theirs == pytest.approx(2.0 if partner[row] == row else 1.0)


def test_mixup_blends() -> None:
    batch, partner, share = mixed(images(), np.random.default_rng(2), 0.4, 0.0)
    expected = share * torch.arange(8.0) + (1 - share) * partner
    assert batch[:, 0, 3, 3].tolist() == pytest.approx(expected.tolist())
    assert torch.equal(batch.amax((1, 2, 3)), batch.amin((1, 2, 3)))


def test_both_take_turns() -> None:
    random = np.random.default_rng(0)
    batches = [mixed(images(), random, 1.0, 1.0)[0] for _ in range(30)]
    kinds = {bool((batch.amax((1, 2, 3)) > batch.amin((1, 2, 3))).any()) for batch in batches}
    assert kinds == {True, False}


def test_basic_augmentation_mirrors_and_does_nothing_else() -> None:
    picture = torch.randint(0, 256, (3, 30, 30), dtype=torch.uint8)
    mirrored = [picture, picture.flip(2), picture.flip(1), picture.flip(1, 2)]
    transform, seen = training_transform(STRENGTHS["basic"], 30), set[int]()
    for seed in range(30):
        torch.manual_seed(seed)
        found = transform(picture)
        seen.add(next(number for number, one in enumerate(mirrored) if torch.equal(found, one)))
    assert seen == {0, 1, 2, 3}
    assert torch.equal(training_transform(STRENGTHS["none"], 30)(picture), picture)


def test_a_run_takes_them_all(drawn_data: Path, tmp_path: Path) -> None:
    config = replace(TINY, epochs=2, loss="focal", mixup=0.2, cutmix=1.0, augmentation=STRENGTHS["strong"])
    assert run(config, drawn_data, tmp_path).card.training["config"]["cutmix"] == 1.0
