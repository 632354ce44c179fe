"""What is measured of a lesion, on shapes and colours that are known."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml.data.drawn import draw_lesion
from ml.features import cielab, find_lesion
from ml.features_colour import colour_variety, kinds_of_colour, main_colours
from ml.features_list import FEATURES, measure
from ml.features_shape import asymmetry, border_irregularity, diameter, principal_axes
from ml.features_texture import binary_patterns, cooccurrence_features

CODES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
SKIN = cielab(np.array([[[224, 180, 160]]], np.uint8))[0, 0]
ALWAYS_STEADY = ("area", "elongation", "diameter_share", "darkness", "colour_spread", "mean_a", "mean_b", "contrast_1")


def ellipse(long: float, short: float, degrees: float = 0.0) -> NDArray[np.bool_]:
    """A mask [120, 160] of an ellipse with these half axes in its middle."""
    canvas = np.zeros((120, 160), np.uint8)
    cv2.ellipse(canvas, (80, 60), (round(long), round(short)), degrees, 0, 360, (1,), -1)
    return canvas > 0


def test_a_disc_is_regular_and_symmetrical() -> None:
    disc = ellipse(40, 40)
    assert border_irregularity(disc) == pytest.approx(1.0, abs=0.02)
    assert max(asymmetry(disc)) < 0.02
    assert diameter(disc) == pytest.approx(81, abs=2)


def test_an_ellipse_has_its_known_irregularity_and_axes() -> None:
    mask = ellipse(50, 25, degrees=30)
    # Ramanujan's perimeter of an ellipse with half axes 2 and 1 is 9.688.
    assert border_irregularity(mask) == pytest.approx(9.688**2 / (4 * np.pi * 2 * np.pi), rel=0.03)
    axes = principal_axes(mask)
    assert axes.long / axes.short == pytest.approx(2, rel=0.03)
    assert abs(axes.major @ (np.cos(np.pi / 6), np.sin(np.pi / 6))) > 0.999
    assert max(asymmetry(mask)) < 0.05


def test_notches_make_a_border_irregular_and_a_bulge_an_outline_asymmetrical() -> None:
    smooth = ellipse(40, 40)
    rows, columns = np.indices(smooth.shape)
    angle, radius = np.arctan2(rows - 60, columns - 80), np.hypot(rows - 60, columns - 80)
    notched = radius < 38 + 8 * np.cos(9 * angle)
    assert border_irregularity(notched) > 2 * border_irregularity(smooth)
    bulge = smooth | (np.hypot(rows - 35, columns - 112) < 18)
    assert asymmetry(bulge)[0] > 0.05 > 0.02 > asymmetry(smooth)[0]


def test_three_flat_colours_are_found_with_their_shares() -> None:
    flat = np.array([(60, 40, 30), (150, 100, 70), (200, 60, 70)], np.uint8)
    pixels = np.repeat(flat, (100, 300, 600), axis=0)
    found = main_colours(cielab(pixels[None])[0], pixels)
    assert [colour.share for colour in found] == [0.1, 0.6, 0.3]  # the darkest first
    assert [tuple(colour.rgb) for colour in found] == [(60, 40, 30), (200, 60, 70), (150, 100, 70)]


def test_one_flat_colour_is_one_colour() -> None:
    pixels = np.full((50, 3), (120, 80, 60), np.uint8)
    colours = cielab(pixels[None])[0]
    assert max(colour.share for colour in main_colours(colours, pixels)) == 1.0
    assert colour_variety(colours, SKIN) == 1


@pytest.mark.parametrize(
    ("rgb", "kind"),
    [
        ((250, 245, 240), "white"), ((200, 60, 60), "red"), ((170, 120, 80), "light_brown"),
        ((95, 60, 35), "dark_brown"), ((110, 115, 135), "blue_grey"), ((25, 20, 20), "black"),
    ],
)  # fmt: skip
def test_kinds_of_colour(rgb: tuple[int, int, int], kind: str) -> None:
    shares = kinds_of_colour(cielab(np.full((1, 9, 3), rgb, np.uint8))[0], SKIN)
    assert shares[kind] == 1.0
    assert sum(shares.values()) == pytest.approx(1.0)


def test_cooccurrence_of_a_chequerboard_and_of_a_plain() -> None:
    mask = np.ones((20, 20), np.bool_)
    board = (100 * (np.indices((20, 20)).sum(axis=0) % 2)).astype(np.float32)
    chequered, plain = (cooccurrence_features(p, mask, 1) for p in (board, np.zeros_like(board)))
    # Neighbours along rows and columns differ by 15 levels, those along diagonals not at all.
    assert chequered["contrast"] == pytest.approx(15**2 / 2)
    assert plain["contrast"] == 0
    assert plain["homogeneity"] == plain["energy"] == pytest.approx(1)


def test_binary_patterns_of_a_single_light_pixel() -> None:
    plane = np.zeros((5, 5), np.float32)
    plane[2, 2] = 1
    shares = binary_patterns(plane, np.ones((5, 5), np.bool_))
    assert shares[1] == pytest.approx(8 / 25)  # its eight neighbours have one lighter neighbour each
    assert shares[0] == pytest.approx(17 / 25)


@settings(max_examples=25, deadline=None)
@given(
    code=st.sampled_from(CODES),
    seed=st.integers(0, 10_000),
    turns=st.integers(0, 3),
    mirror=st.booleans(),
)
def test_features_hardly_change_when_a_photo_is_turned_or_mirrored(
    code: str, seed: int, turns: int, mirror: bool
) -> None:
    pixels = draw_lesion(code, np.random.default_rng(seed))
    other = np.rot90(pixels, turns)
    other = np.ascontiguousarray(other[:, ::-1] if mirror else other)
    one, two = measure(pixels), measure(other)
    if one is None or two is None:
        assert one is two
        return
    steady = [FEATURES.index(name) for name in ALWAYS_STEADY]
    np.testing.assert_allclose(two.values[steady], one.values[steady], rtol=0.1, atol=0.6)
    # A threshold may fall on one side or the other for single numbers, not for many.
    close = np.isclose(two.values, one.values, rtol=0.1, atol=0.1)
    assert close.mean() > 0.8


@pytest.mark.parametrize("code", CODES)
def test_what_is_measured_is_finite_and_within_its_range(code: str) -> None:
    measured = measure(draw_lesion(code, np.random.default_rng(3), (150, 200)))
    assert measured is not None
    assert measured.values.shape == (len(FEATURES),) == (len(set(FEATURES)),)
    assert np.isfinite(measured.values).all()
    assert 0 < measured["area"] <= 0.9
    assert 0 <= measured["asymmetry_least"] <= measured["asymmetry"] <= 1
    assert 1 <= measured["border_irregularity"] <= 100
    assert 1 <= measured["colour_variety"] <= 6


def test_a_larger_photo_of_the_same_lesion_has_the_same_shape_and_a_larger_diameter() -> None:
    small = draw_lesion("nv", np.random.default_rng(5), (300, 400))
    large = np.asarray(cv2.resize(small, (1600, 1200), interpolation=cv2.INTER_CUBIC), np.uint8)
    one, two = measure(small), measure(large)
    assert one is not None
    assert two is not None
    assert two["diameter"] == pytest.approx(4 * one["diameter"], rel=0.05)
    assert two["area"] == pytest.approx(one["area"], rel=0.05)


@pytest.mark.parametrize("side", [16, 40])
def test_a_tiny_or_empty_picture_does_no_harm(side: int, lesion: Callable[..., NDArray[np.uint8]]) -> None:
    assert measure(np.full((side, side, 3), 180, np.uint8)) is None
    tiny = np.asarray(cv2.resize(lesion("mel", 1), (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    measured = measure(tiny)
    assert measured is None or np.isfinite(measured.values).all()


def test_a_light_middle_between_dark_corners_is_no_lesion() -> None:
    rows, columns = np.indices((120, 160))
    radius = np.hypot(rows - 60, columns - 80)
    pixels = np.array((222, 184, 168)) * (1 - 0.000025 * radius**2)[..., None]
    pixels[np.hypot(rows - 85, columns - 50) < 14] = (150, 95, 80)
    found = find_lesion(np.rint(pixels).astype(np.uint8))
    assert found is not None
    assert found.mask[85, 50]
    assert not found.mask[60, 100]
