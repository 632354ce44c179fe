"""Measuring heatmaps, where the right answer is known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.bundle import Bundle
from ml.data.manifest import load_dataset
from ml.explain_measures import (
    ANSWERS_A_PICTURE,
    SHARES,
    deletion_and_insertion,
    enlarged,
    measure_explanations,
    random_map,
    sample,
)  # fmt: skip
from ml.metrics import Floats
from ml.predict import Classifier

SIDE = 64


def pattern_in_a_corner(pictures: Sequence[NDArray[np.uint8]]) -> Floats:
    """A network whose answer rests on the contrast in the upper left quarter, and on nothing else."""
    return np.array([picture[: SIDE // 2, : SIDE // 2].std() / 128 for picture in pictures])


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    """A chequered picture [S, S, 3]; its blurred copy is grey."""
    rows, columns = np.indices((SIDE, SIDE)) // 2
    return np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, axis=2)


def test_the_right_map_does_best(picture: NDArray[np.uint8]) -> None:
    right = np.zeros((SIDE, SIDE), np.float32)
    right[: SIDE // 2, : SIDE // 2] = 1
    random = enlarged(random_map(right[::4, ::4], np.random.default_rng(0)), SIDE)
    good, other, bad = deletion_and_insertion(pattern_in_a_corner, picture, [right, random, 1 - right])
    assert good[0] < other[0] < bad[0]
    assert good[1] > other[1] > bad[1]
    # All contrast of the quarter is gone, or there, once a quarter of the picture is replaced or shown.
    assert good[0] < 0.25
    assert good[1] > 0.75


def test_a_constant_answer_has_the_area_of_a_rectangle(picture: NDArray[np.uint8]) -> None:
    heat = np.zeros((SIDE, SIDE), np.float32)
    areas = deletion_and_insertion(lambda pictures: np.full(len(pictures), 0.3), picture, [heat])
    np.testing.assert_allclose(areas, 0.3)


def test_as_much_is_replaced_as_is_said(picture: NDArray[np.uint8]) -> None:
    seen: list[NDArray[np.uint8]] = []

    def look(pictures: Sequence[NDArray[np.uint8]]) -> Floats:
        seen.extend(pictures)
        return np.zeros(len(pictures))

    heat = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    deletion_and_insertion(look, picture, [heat])
    whole, nothing, *changed = seen
    np.testing.assert_array_equal(whole, picture)
    blurred = [float((one == nothing).all(axis=2).mean()) for one in changed]
    inner = SHARES[1:-1]
    np.testing.assert_allclose(blurred, [*inner, *(1 - share for share in inner)], atol=0.01)


def test_a_random_map_has_the_frequencies_of_the_heatmap() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.indices((32, 32)) / 32 - 0.5
    heatmap = np.exp(-20 * (rows**2 + columns**2)).astype(np.float32)
    first, second = random_map(heatmap, rng), random_map(heatmap, rng)
    power = [np.abs(np.fft.fft2(one))[1:, 1:] for one in (heatmap, first)]
    np.testing.assert_allclose(power[0], power[1], atol=1e-2)
    assert first.min() == 0
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.9
    assert abs(np.corrcoef(first.ravel(), heatmap.ravel())[0, 1]) < 0.9


def test_a_sample_is_even_over_classes_and_takes_a_lesion_once(drawn_data: Path) -> None:
    records = load_dataset(drawn_data).records
    chosen = sample(records, 14, seed=0)
    assert len({record.lesion_id for record in chosen}) == len(chosen) == 14
    assert {label: sum(r.label == label for r in chosen) for label in {r.label for r in chosen}} == dict.fromkeys(
        load_dataset(drawn_data).classes, 2
    )
    assert sample(records, 14, seed=0) == chosen
    assert sample(records, 14, seed=1) != chosen
    assert len(sample(records, 10_000, seed=0)) == len({record.lesion_id for record in records})


def test_figures_of_a_real_bundle(tiny_bundle: Bundle, drawn_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = load_dataset(drawn_data).split("val")
    answered = 0
    predict = Classifier.predict

    def count(self: Classifier, images: Sequence[NDArray[np.uint8]], *args: int, **options: bool) -> object:
        nonlocal answered
        answered += len(images)
        return predict(self, images, *args, **options)

    monkeypatch.setattr(Classifier, "predict", count)
    figures = measure_explanations(tiny_bundle, records, images=7, seed=3, resamples=50)
    assert figures["images"] == figures["lesions"] == 7
    assert answered == 7 * ANSWERS_A_PICTURE
    for name, sign in (("deletion", -1), ("insertion", 1)):
        part = figures[name]
        assert 0 <= part["heatmap"] <= 1
        assert part["gain"] == pytest.approx(sign * (part["heatmap"] - part["random"]))
        low, high = part["interval"]
        assert low <= part["gain"] <= high
    lesion = figures["lesion"]
    assert 0 < lesion["found"] <= 7
    assert sum(one["images"] for one in lesion["by_class"].values()) == lesion["found"]
    assert 0 < lesion["area"] < 1
    assert 0 < lesion["mass"] <= 1
    assert lesion["ratio"] == pytest.approx(lesion["mass"] / lesion["area"])
    again = measure_explanations(tiny_bundle, records, images=7, seed=3, resamples=50)
    assert again == figures


def test_heat_on_the_lesion_alone_is_all_inside(
    tiny_bundle: Bundle, drawn_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.zeros((32, 32), np.bool_)
    mask[8:24, 8:24] = True
    monkeypatch.setattr("ml.explain_measures.lesion_mask", lambda _: mask)
    monkeypatch.setattr("ml.explain_measures.enlarged", lambda *_: mask.astype(np.float32))
    lesion = measure_explanations(tiny_bundle, load_dataset(drawn_data).split("val"), images=3)["lesion"]
    assert (lesion["area"], lesion["mass"], lesion["ratio"]) == (0.25, 1, 4)
    assert lesion["interval"] == [4, 4]
    assert lesion["other_heatmaps"] == 1
