"""Nothing reaches a model that it must not know: no test picture, no fact beside the pixels, no shuffled label."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from safetensors.numpy import load_file

from ml import metrics
from ml.bundle import GATE, WEIGHTS, Bundle
from ml.data.drawn import draw_lesion
from ml.data.loader import AugmentedImages
from ml.data.manifest import ImageRecord, load_dataset, write_dataset
from ml.images import decode
from ml.predict import Classifier
from ml.transforms.training import training_transform
from tests.ml.tiny import TINY, run

SHORT = replace(TINY, epochs=2, patience=2)


# What a network sees is a function of pixels alone.


def rewritten(data: Path, folder: Path, change: Callable[[list[ImageRecord]], list[ImageRecord]]) -> Path:
    """The prepared data set again, with other records."""
    dataset = load_dataset(data)
    write_dataset(folder, change(list(dataset.records)), dict(dataset.summary))
    return folder


def choices(bundle: Bundle) -> dict[str, Any]:
    """Everything of a card that was fitted or measured."""
    card = bundle.card.to_dict()
    names = ("calibration", "thresholds", "class_priors", "prior_power", "validation", "gate")
    return {name: card[name] for name in names}


def tensors(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """Weights and gate."""
    return {**load_file(bundle.path / WEIGHTS), **load_file(bundle.path / GATE)}


def assert_same_model(first: Bundle, second: Bundle) -> None:
    assert choices(first) == choices(second)
    one, other = tensors(first), tensors(second)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def baseline(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A short run on the drawn data as they are."""
    return run(SHORT, drawn_data, tmp_path_factory.mktemp("baseline"))


def test_no_fact_beside_the_pixels_changes_a_weight(baseline: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    """Diagnosis method, age, sex, site, source, size and names are given to other images, and files are renamed."""
    random = np.random.default_rng(0)

    def scramble(records: list[ImageRecord]) -> list[ImageRecord]:
        donors = [records[row] for row in random.permutation(len(records))]
        changed = []
        for number, (record, donor) in enumerate(zip(records, donors, strict=True)):
            place = tmp_path / f"{number:04d}-{donor.label}.jpeg"
            place.write_bytes(record.path.read_bytes())
            changed.append(
                replace(
                    record,
                    path=place,
                    lesion_id=donor.lesion_id,
                    width=donor.width + number,
                    height=donor.height,
                    source=donor.label,
                    age=donor.age,
                    sex=donor.sex,
                    localization=donor.localization,
                    diagnosis_method=f"{donor.diagnosis_method}-{record.label}",
                )
            )
        return changed

    assert_same_model(baseline, run(SHORT, rewritten(drawn_data, tmp_path / "data", scramble), tmp_path))


def test_a_training_item_is_a_picture_and_its_class() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (3, 40, 40, 3), dtype=np.uint8)
    items = AugmentedImages(pictures, np.array([2, 0, 1]), training_transform(SHORT.augmentation, 32), seed=0)
    for row, label in ((0, 2), (1, 0), (2, 1)):
        item = items[(0, row)]
        assert len(item) == 2
        assert isinstance(item[0], torch.Tensor)
        assert item[0].shape == (3, 32, 32)
        assert item[1] == label


def test_answers_depend_on_pixels_alone(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """The same pixels in files of other formats, sizes in bytes, names and with other metadata get the same logits."""
    classifier = Classifier(tiny_bundle)
    picture = draw_lesion("mel", np.random.default_rng(3), (150, 200))
    told = PngImagePlugin.PngInfo()
    told.add_text("Description", "melanoma, histo, 70 years, male, back")
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "melanoma", "histo"
    ways: dict[str, dict[str, Any]] = {
        "plain.png": {},
        "melanoma-histo.png": {"pnginfo": told, "exif": exif, "compress_level": 0},
        "nv_follow_up.webp": {"lossless": True, "exif": exif},
    }
    decoded = []
    for name, options in ways.items():
        Image.fromarray(picture).save(tmp_path / name, **options)
        decoded.append(decode((tmp_path / name).read_bytes()))
    assert len({(tmp_path / name).stat().st_size for name in ways}) == 3
    expected = classifier.predict([picture])
    for pixels in decoded:
        found = classifier.predict([pixels])
        assert np.array_equal(found.logits, expected.logits)
        assert np.array_equal(found.features, expected.features)


# Choices are made on validation: test decides nothing, validation does.


def relabelled(split: str, seed: int = 0) -> Callable[[list[ImageRecord]], list[ImageRecord]]:
    """The labels of a split's records, dealt out anew."""

    def change(records: list[ImageRecord]) -> list[ImageRecord]:
        rows = [row for row, record in enumerate(records) if record.split == split]
        dealt = [records[rows[place]].label for place in np.random.default_rng(seed).permutation(len(rows))]
        changed = list(records)
        for row, label in zip(rows, dealt, strict=True):
            changed[row] = replace(records[row], label=label)
        return changed

    return change


def test_the_test_split_decides_nothing(baseline: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    """With every test picture gone and every test label another's, the same model comes out."""

    def wreck(records: list[ImageRecord]) -> list[ImageRecord]:
        return [
            replace(record, path=tmp_path / "gone.jpg", sha256="0" * 64) if record.split == "test" else record
            for record in relabelled("test")(records)
        ]

    wrecked = run(SHORT, rewritten(drawn_data, tmp_path / "data", wreck), tmp_path)
    assert_same_model(baseline, wrecked)
    assert baseline.card.data["split_digests"]["val"] == wrecked.card.data["split_digests"]["val"]
    assert baseline.card.data["split_digests"]["test"] != wrecked.card.data["split_digests"]["test"]


def test_the_promotion_split_decides_nothing(drawn_data: Path, tmp_path: Path) -> None:
    """With every picture of the promotion split gone and its labels dealt out anew, the same model comes out."""

    def hold_out(records: list[ImageRecord]) -> list[ImageRecord]:
        held = {record.group for record in records if record.split == "train" and record.label in ("mel", "nv")}
        chosen = sorted(held)[::3]
        return [replace(record, split="promotion") if record.group in chosen else record for record in records]

    def wreck(records: list[ImageRecord]) -> list[ImageRecord]:
        return [
            replace(record, path=tmp_path / "gone.jpg", sha256="0" * 64) if record.split == "promotion" else record
            for record in relabelled("promotion")(hold_out(records))
        ]

    sound = run(SHORT, rewritten(drawn_data, tmp_path / "data", hold_out), tmp_path / "one")
    wrecked = run(SHORT, rewritten(drawn_data, tmp_path / "wrecked", wreck), tmp_path / "other")
    assert_same_model(sound, wrecked)
    assert sound.card.data["promotion_digest"] != wrecked.card.data["promotion_digest"]


def test_the_validation_split_decides(baseline: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    other = run(SHORT, rewritten(drawn_data, tmp_path / "data", relabelled("val")), tmp_path)
    before, after = choices(baseline), choices(other)
    for name in ("calibration", "thresholds", "validation"):
        assert before[name] != after[name], name
    assert before["class_priors"] == after["class_priors"], "priors are those of the training labels"


# A network cannot tell what its labels do not say.


def test_shuffled_labels_train_to_chance(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    """Macro AUROC on fresh pictures of known class, held against what the same answers reach by chance.

    Every class has as many pictures as any other, so that after shuffling no output has to do with one class more than
    with another: each of the 5,040 ways to pair the seven outputs with the seven classes was as likely. They give the
    band of chance, of which the middle 99 % counts. A network that learnt from true labels must lie above its own band.
    """
    codes = tiny_bundle.card.classes
    labels = np.repeat(np.arange(len(codes)), 8)
    pictures = [
        draw_lesion(codes[label], np.random.default_rng([99, number]), (150, 200))
        for number, label in enumerate(labels.tolist())
    ]

    def shuffle(records: list[ImageRecord]) -> list[ImageRecord]:
        return relabelled("val")(relabelled("train")(records))

    def measured(bundle: Bundle) -> tuple[float, float, float]:
        """Macro AUROC, and the limits of its band of chance."""
        answers = Classifier(bundle).predict(pictures).probabilities
        pairs = np.array(
            [[float(metrics.auroc(labels == c, column)) for c in range(len(codes))] for column in answers.T]
        )
        found = [pairs[range(len(codes)), order].mean() for order in itertools.permutations(range(len(codes)))]
        low, high = np.quantile(found, [0.005, 0.995])
        assert float(np.mean(found)) == pytest.approx(0.5, abs=1e-9)
        assert float(metrics.macro_auroc(labels, answers)) == pytest.approx(found[0])
        return float(found[0]), float(low), float(high)

    config = replace(TINY, epochs=6, patience=6, head_epochs=0, test_time_views="four")
    auroc, low, high = measured(run(config, rewritten(drawn_data, tmp_path / "data", shuffle), tmp_path))
    assert low <= auroc <= high
    learnt, _, chance = measured(tiny_bundle)
    assert learnt > chance
    assert learnt > high
    assert learnt > 0.8
