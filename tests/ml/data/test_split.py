"""Splits: groups stay whole, classes get their shares, and nothing but seed and names decides."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data.split import FRACTIONS, split_groups
from ml.errors import DatasetError


def collection(seed: int = 0) -> tuple[list[str], list[str]]:
    """Classes of very different sizes with groups of one to six images."""
    draw = random.Random(seed)
    labels, groups = [], []
    for label, lesions in (("nv", 900), ("mel", 200), ("df", 40)):
        for lesion in range(lesions):
            size = draw.choice((1, 1, 1, 2, 2, 6))
            labels += [label] * size
            groups += [f"{label}{lesion}"] * size
    return labels, groups


def test_groups_stay_whole_and_classes_get_their_share() -> None:
    labels, groups = collection()
    splits = split_groups(labels, groups)
    assert all(
        len(set(pair[1] for pair in zip(groups, splits, strict=True) if pair[0] == g)) == 1 for g in groups[::50]
    )
    for label, total in Counter(labels).items():
        for name, fraction in FRACTIONS.items():
            count = sum(a == label and b == name for a, b in zip(labels, splits, strict=True))
            assert abs(count / total - fraction) < 0.02


def test_large_groups_are_shared_out_too() -> None:
    labels, groups = collection()
    sizes = Counter(groups)
    splits = dict(zip(groups, split_groups(labels, groups), strict=True))
    large = Counter(splits[group] for group, size in sizes.items() if size == 6)
    assert large["test"] / large.total() == pytest.approx(0.15, abs=0.03)


def test_neither_order_nor_run_changes_the_split() -> None:
    labels, groups = collection()
    first = dict(zip(groups, split_groups(labels, groups, seed=3), strict=True))
    shuffled = list(zip(labels, groups, strict=True))
    random.Random(1).shuffle(shuffled)
    labels, groups = [label for label, _ in shuffled], [group for _, group in shuffled]
    assert dict(zip(groups, split_groups(labels, groups, seed=3), strict=True)) == first
    assert dict(zip(groups, split_groups(labels, groups, seed=4), strict=True)) != first


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=12), st.integers(0, 5))
def test_every_class_is_in_every_split(sizes: list[int], seed: int) -> None:
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    assert set(split_groups(["df"] * len(groups), groups, seed=seed)) == set(FRACTIONS)


def test_a_group_of_two_classes_stays_whole() -> None:
    labels = ["mel", "mel", "nv", *["mel"] * 9, *["nv"] * 9]
    groups = ["both"] * 3 + [f"g{number}" for number in range(18)]
    assert len(set(split_groups(labels, groups)[:3])) == 1


def test_too_few_lesions_is_an_error() -> None:
    with pytest.raises(DatasetError, match="Class 'df' has 2 separate lesion"):
        split_groups(["df"] * 5, ["a", "a", "a", "b", "b"])


@pytest.mark.parametrize("fractions", [{}, {"train": 0.5}, {"train": 0.5, "holdout": 0.5}])
def test_unusable_fractions_are_an_error(fractions: dict[str, float]) -> None:
    with pytest.raises(DatasetError, match="Split fractions"):
        split_groups(["df"] * 5, list("abcde"), fractions=fractions)
