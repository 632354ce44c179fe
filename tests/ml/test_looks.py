"""Training pictures without hair and on other skin tones: as often as asked, the same each time, never elsewhere."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.numpy import load_file
from scipy.ndimage import binary_erosion

from ml.bundle import WEIGHTS
from ml.conditions import CONDITIONS, degrade
from ml.data.cache import NO_STEPS, decoded
from ml.data.drawn import draw_lesion
from ml.data.loader import AugmentedImages
from ml.data.looks import TONES, Look, Looks, looks_of
from ml.data.manifest import Dataset, load_dataset
from ml.errors import TrainingError
from ml.features import cielab, lesion_mask
from ml.labels import load_taxonomy
from ml.preprocess import HairRemoval, Preprocessing
from ml.train import make_run
from ml.training.config import TrainingConfig
from ml.transforms.serving import PREPROCESSING, square
from ml.transforms.training import STRENGTHS, training_transform
from tests.ml.tiny import TINY, run

BOTH = replace(TINY, epochs=2, hair_removed_copies=0.5, skin_tones=0.5)


@pytest.fixture
def dataset(drawn_data: Path, tmp_path: Path) -> Dataset:
    """The drawn data in a folder of the test's own, whose cache holds nothing yet."""
    shutil.copytree(drawn_data, tmp_path / "data", ignore=shutil.ignore_patterns("cache"))
    return load_dataset(tmp_path / "data")


def looks(dataset: Dataset, bare: float, toned: float, side: int = 100) -> tuple[NDArray[np.uint8], Looks]:
    """The training squares and their other looks."""
    records, cache = dataset.split("train"), dataset.folder / "cache"
    images = decoded(records, side, cache, False)
    found = looks_of(records, images, cache, NO_STEPS, bare, toned, False)
    assert found is not None
    return images, found


def test_pictures_are_shown_so_as_often_as_asked(dataset: Dataset) -> None:
    _, found = looks(dataset, 0.2, 0.6)
    drawn = [found.drawn(0, epoch, image) for epoch in range(40) for image in range(50)]
    assert np.mean([look.hair_free for look in drawn]) == pytest.approx(0.2, abs=0.03)
    tones = Counter(look.tone for look in drawn)
    assert tones.pop(None) / len(drawn) == pytest.approx(0.4, abs=0.03)
    assert set(tones) == set(TONES)
    assert max(tones.values()) < 1.4 * min(tones.values())


def test_seed_epoch_and_image_fix_the_look_and_nothing_else_does(dataset: Dataset) -> None:
    images, found = looks(dataset, 0.5, 0.5)
    labels = np.zeros(len(images), np.int64)
    transform = training_transform(TINY.augmentation, 80)
    whole = AugmentedImages(images, labels, transform, 3, found)
    again = AugmentedImages(images, labels, transform, 3, found)
    order = [(epoch, row) for epoch in (0, 1) for row in range(8)]
    first = {key: whole[key][0] for key in order}
    torch.manual_seed(99)
    for key in reversed(order):
        assert torch.equal(again[key][0], first[key])
    assert len({(look.hair_free, look.tone) for look in (found.drawn(3, epoch, 5) for epoch in range(12))}) > 3
    few = Looks(found.hair_free[6:8], found.lesions[6:8], 0.5, 0.5)  # type: ignore[index]
    part = AugmentedImages(images[6:8], labels[6:8], transform, 3, few, np.array([6, 7]))
    assert torch.equal(part[1, 1][0], first[1, 7])


def test_crops_and_colours_are_the_same_with_and_without(dataset: Dataset) -> None:
    """A picture that keeps its look in an epoch is augmented as it would be in a run without other looks."""
    images, found = looks(dataset, 0.5, 0.5)
    labels, transform = np.zeros(len(images), np.int64), training_transform(TINY.augmentation, 80)
    plain, varied = (AugmentedImages(images, labels, transform, 0, one) for one in (None, found))
    same = [row for row in range(len(images)) if found.drawn(0, 0, row) == Look()]
    other = [row for row in range(len(images)) if found.drawn(0, 0, row).tone]
    assert len(same) > 3
    assert all(torch.equal(plain[0, row][0], varied[0, row][0]) for row in same)
    assert not any(torch.equal(plain[0, row][0], varied[0, row][0]) for row in other)


def test_the_tone_is_that_of_the_study_and_the_lesion_stays(dataset: Dataset) -> None:
    images, found = looks(dataset, 0.0, 1.0)
    (study,) = (condition for condition in CONDITIONS if condition.name == "skin_tone")
    for row in range(6):
        mask = lesion_mask(images[row])
        lightness = []
        for step, tone in enumerate(TONES, start=1):
            shown = found.shown(images[row], row, Look(tone=tone))
            assert np.array_equal(shown, degrade(images[row], study, step, mask))
            lightness.append(float(np.median(cielab(shown)[:8, :, 0])))
            if mask is not None:
                inner = binary_erosion(mask, iterations=8)
                assert np.array_equal(shown[inner], images[row][inner])
        assert lightness == sorted(lightness, reverse=True)


def test_hair_is_gone_from_hair_free_copies(dataset: Dataset) -> None:
    record = dataset.split("train")[0]
    clean = draw_lesion("nv", np.random.default_rng(1), (300, 400))
    picture = Image.fromarray(clean)
    for x in range(40, 400, 60):
        ImageDraw.Draw(picture).line([(x, 0), (x - 60, 300)], (20, 15, 12), 3)
    picture.save(record.path.with_suffix(".png"))
    hairy = replace(record, path=record.path.with_suffix(".png"), sha256="0" * 64)
    images, found = looks(replace(dataset, records=(hairy,)), 1.0, 0.0, 200)
    bare = found.shown(images[0], 0, found.drawn(0, 0, 0))
    before, after = (np.abs(pixels.astype(int) - square(clean, 200)).mean() for pixels in (images[0], bare))
    assert before > 2
    assert after < 0.3 * before


def test_validation_test_and_serving_never_see_them(dataset: Dataset, drawn_data: Path, tmp_path: Path) -> None:
    """Of a run with both: the same validation pictures, nothing made of other splits, nothing left for serving."""
    taxonomy = load_taxonomy(dataset.label_set)
    every = replace(BOTH, hair_removed_copies=1.0, skin_tones=1.0, augmentation=STRENGTHS["none"])
    plain, varied = (
        make_run(config, dataset, taxonomy, tmp_path / "run", progress_bar=False)
        for config in (replace(TINY, augmentation=STRENGTHS["none"]), every)
    )
    assert np.array_equal(plain.validation.images, varied.validation.images)
    assert not any(torch.equal(plain.training[0, row][0], varied.training[0, row][0]) for row in range(10))
    made = [len(np.load(path, mmap_mode="r")) for path in (dataset.folder / "cache").glob("*.npy")]
    train, val = len(dataset.split("train")), len(dataset.split("val"))
    assert sorted(made) == sorted([train, train, train, val]), "squares, hair-free squares, masks; validation squares"
    card = run(BOTH, drawn_data, tmp_path).card
    assert card.preprocessing == PREPROCESSING
    assert card.training["config"]["hair_removed_copies"] == 0.5
    assert card.training["config"]["skin_tones"] == 0.5


def test_a_resumed_run_ends_in_the_same_weights(drawn_data: Path, tmp_path: Path) -> None:
    unbroken = run(BOTH, drawn_data, tmp_path / "a")
    run(replace(BOTH, epochs=1), drawn_data, tmp_path / "b")
    resumed = run(BOTH, drawn_data, tmp_path / "b", "2", resume=True)
    one, other = (load_file(bundle.path / WEIGHTS) for bundle in (unbroken, resumed))
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "config",
    [
        replace(TINY, skin_tones=1.5),
        replace(TINY, hair_removed_copies=-0.1),
        replace(TINY, hair_removed_copies=0.5, preprocessing=Preprocessing(hair_removal=HairRemoval())),
    ],
)
def test_shares_that_make_no_sense_are_refused(config: TrainingConfig) -> None:
    with pytest.raises(TrainingError):
        config.check()
