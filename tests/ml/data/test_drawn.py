"""Drawn lesions: repeatable, different by class, and laid out like the real collection."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.data.drawn import draw_lesion
from ml.errors import DatasetError
from ml.labels import load_taxonomy

CODES = load_taxonomy("ham10000").codes


@pytest.mark.parametrize("code", CODES)
def test_draws_every_class_repeatably(code: str) -> None:
    one = draw_lesion(code, np.random.default_rng(1), (60, 80))
    assert one.shape == (60, 80, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, draw_lesion(code, np.random.default_rng(1), (60, 80)))
    assert not np.array_equal(one, draw_lesion(code, np.random.default_rng(2), (60, 80)))


def test_unknown_class_is_an_error() -> None:
    with pytest.raises(DatasetError, match="No drawing for class 'wart'"):
        draw_lesion("wart", np.random.default_rng(0))


def test_classes_can_be_told_apart_by_colour() -> None:
    """The nearest class mean of a coarse colour grid is right far more often than the one in seven of guessing."""

    def describe(code: str, seed: int) -> NDArray[np.float64]:
        pixels = draw_lesion(code, np.random.default_rng([seed, CODES.index(code)]), (60, 80)).astype(float)
        return np.asarray(pixels[15:45, 20:60].reshape(3, 10, 4, 10, 3).mean((1, 3)).ravel())

    means = np.array([np.mean([describe(code, seed) for seed in range(8)], axis=0) for code in CODES])
    right = [
        int(np.linalg.norm(means - describe(code, seed), axis=1).argmin()) == number
        for number, code in enumerate(CODES)
        for seed in range(100, 104)
    ]
    assert np.mean(right) > 0.5


def test_source_has_several_pictures_a_lesion(drawn_source: Path) -> None:
    with (drawn_source / "HAM10000_metadata.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert Counter(row["dx"] for row in rows) == dict.fromkeys(CODES, 8)
    assert max(Counter(row["lesion_id"] for row in rows).values()) > 1
    assert all(len({row["dx"] for row in rows if row["lesion_id"] == lesion["lesion_id"]}) == 1 for lesion in rows)
    stems = {path.stem for path in drawn_source.glob("HAM10000_images_part_*/*.jpg")}
    assert stems == {row["image_id"] for row in rows}
