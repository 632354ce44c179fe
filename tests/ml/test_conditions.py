"""Faults of photos as functions of pixels: each does what it says, more at every step, and nothing at step 0."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import laplace

from ml.conditions import CONDITIONS, Condition, degrade
from ml.conditions_colour import from_lab, from_linear, temperature_gains, to_linear
from ml.conditions_faults import SKIN_TONES, exposure, rotation, temperature
from ml.data.drawn import draw_lesion
from ml.features import cielab

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

BY_NAME = {condition.name: condition for condition in CONDITIONS}


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return draw_lesion("nv", np.random.default_rng(6), (150, 200))


@pytest.fixture(scope="module")
def mask(photo: Pixels) -> Mask:
    """The middle of the picture, where the lesion was drawn."""
    rows, columns = np.ogrid[-1 : 1 : photo.shape[0] * 1j, -1 : 1 : photo.shape[1] * 1j]
    middle: Mask = rows**2 + columns**2 < 0.4
    return middle


def sharpness(pixels: Pixels) -> float:
    return float(laplace(pixels.mean(axis=2)).std())


def change(pixels: Pixels, other: Pixels) -> float:
    return float(np.abs(pixels.astype(float) - other).mean())


def channel(pixels: Pixels, index: int) -> float:
    """Share of a channel in the linear light."""
    light = to_linear(pixels).mean(axis=(0, 1))
    return float(light[index] / light.sum())


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_every_step_is_a_picture_of_the_same_shape_and_repeats(condition: Condition, photo: Pixels, mask: Mask) -> None:
    before = photo.copy()
    assert len(condition.steps) == len(condition.values) == (6 if condition.name == "skin_tone" else 5)
    assert np.array_equal(degrade(photo, condition, 0, mask), photo)
    unchanged = 0
    for step in range(1, len(condition.values) + 1):
        degraded = degrade(photo, condition, step, mask, seed=1)
        assert degraded.shape == photo.shape
        assert degraded.dtype == np.uint8
        unchanged += np.array_equal(degraded, photo)
        assert np.array_equal(degraded, degrade(photo, condition, step, mask, seed=1))
    assert unchanged <= (condition.name == "skin_tone"), "only skin may have a step's tone to begin with"
    assert np.array_equal(photo, before), "the picture itself is left alone"
    for step in (-1, len(condition.values) + 1):
        with pytest.raises(ValueError, match="steps 0 to"):
            degrade(photo, condition, step, mask)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_without_a_lesion_and_on_blank_or_black_pictures(condition: Condition, photo: Pixels) -> None:
    for picture in (photo, np.zeros((40, 30, 3), np.uint8), np.full((31, 47, 3), 255, np.uint8)):
        for step in (1, len(condition.values)):
            assert degrade(picture, condition, step, None).shape == picture.shape


@pytest.mark.parametrize(
    ("name", "effect", "rising"),
    [
        ("blur", sharpness, False),
        ("motion", sharpness, False),
        ("noise", sharpness, True),
        ("dark", lambda pixels: float(pixels.mean()), False),
        ("bright", lambda pixels: float(pixels.mean()), True),
        ("warm", lambda pixels: channel(pixels, 0), True),
        ("warm", lambda pixels: channel(pixels, 2), False),
        ("cold", lambda pixels: channel(pixels, 2), True),
        ("green", lambda pixels: channel(pixels, 1), True),
    ],
)
def test_each_step_goes_further(
    name: str, effect: Callable[[Pixels], float], rising: bool, photo: Pixels, mask: Mask
) -> None:
    condition = BY_NAME[name]
    effects = [effect(degrade(photo, condition, step, mask)) for step in range(len(condition.values) + 1)]
    assert all(b > a for a, b in pairwise(effects)) == rising
    assert all(b < a for a, b in pairwise(effects)) != rising


def test_lower_jpeg_quality_is_farther_from_the_picture(photo: Pixels, mask: Mask) -> None:
    changes = [change(photo, degrade(photo, BY_NAME["jpeg"], step, mask)) for step in range(6)]
    assert changes == sorted(changes)


def test_noise_has_the_stated_deviation_at_mid_grey() -> None:
    grey = np.full((300, 300, 3), 128, np.uint8)
    for step, deviation in enumerate((4, 8, 16), start=1):
        noisy = degrade(grey, BY_NAME["noise"], step, None).astype(float)
        assert noisy.std() == pytest.approx(deviation, rel=0.03)


def test_noise_grows_with_the_light() -> None:
    spreads = [degrade(np.full((200, 200, 3), v, np.uint8), BY_NAME["noise"], 2, None).std() for v in (40, 120, 200)]
    assert spreads == sorted(spreads)


def test_blur_has_the_stated_radius() -> None:
    edge = np.zeros((100, 400, 3), np.uint8)
    edge[:, 200:] = 255
    slope = np.gradient(degrade(edge, BY_NAME["blur"], 4, None)[50, :, 0].astype(float))
    at = np.arange(400)
    centre = (slope * at).sum() / slope.sum()
    deviation = np.sqrt((slope * (at - centre) ** 2).sum() / slope.sum())
    assert deviation == pytest.approx(0.016 * 400, rel=0.1)


def test_a_stop_doubles_the_light() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    assert to_linear(exposure(grey, 1)).mean() == pytest.approx(2 * to_linear(grey).mean(), rel=0.01)
    assert to_linear(exposure(grey, -1)).mean() == pytest.approx(to_linear(grey).mean() / 2, rel=0.02)


def test_light_of_daylight_changes_nothing(photo: Pixels) -> None:
    assert np.allclose(temperature_gains(6504), 1)
    assert np.array_equal(temperature(photo, 6504), photo)
    with pytest.raises(ValueError, match="1667"):
        temperature_gains(1000)


def test_a_black_body_has_the_chromaticity_of_the_tables() -> None:
    # Illuminant A, 2856 K: x = 0.4476, y = 0.4074 (CIE 15).
    gains = temperature_gains(2856) * np.linalg.solve(XYZ, [0.3135 / 0.3236, 1, 0.3629 / 0.3236])
    x, y, z = XYZ @ gains
    assert x / (x + y + z) == pytest.approx(0.4476, abs=0.002)
    assert y / (x + y + z) == pytest.approx(0.4074, abs=0.002)


XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def test_colours_come_back_from_lab_and_from_linear_light() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    assert np.abs(from_lab(cielab(pixels)).astype(int) - pixels).max() <= 1
    assert np.array_equal(from_linear(to_linear(pixels)), pixels)


@pytest.mark.parametrize("factor", [0.8, 0.5, 0.25])
def test_zooming_out_makes_one_smaller_lesion(factor: float) -> None:
    picture = np.full((200, 200, 3), 200, np.uint8)
    picture[60:140, 60:140] = 60
    step = 1 + BY_NAME["far"].values.index(factor)
    seen = degrade(picture, BY_NAME["far"], step, picture[..., 0] < 100)[..., 0] < 130
    assert seen.sum() == pytest.approx((80 * factor) ** 2, rel=0.1)


def test_zooming_in_makes_the_lesion_larger() -> None:
    picture = np.full((200, 200, 3), 200, np.uint8)
    picture[90:110, 90:110] = 60
    areas = [(degrade(picture, BY_NAME["near"], step, None)[..., 0] < 130).sum() for step in range(6)]
    assert areas == pytest.approx([400 * float(factor) ** 2 for factor in (1, *BY_NAME["near"].values)], rel=0.1)


@pytest.mark.parametrize("degrees", [10, 45, 90, 135])
def test_a_picture_is_turned_by_the_stated_angle(degrees: float) -> None:
    picture = np.full((200, 300, 3), 200, np.uint8)
    picture[95:105, 200:210] = 0
    rows, columns = np.nonzero(rotation(picture, degrees)[..., 0] < 100)
    angle = np.degrees(np.arctan2(-(rows.mean() - 99.5), columns.mean() - 149.5))
    assert angle == pytest.approx(degrees, abs=1)


def test_a_quarter_turn_twice_is_a_half_turn() -> None:
    square = draw_lesion("mel", np.random.default_rng(0), (120, 120))
    assert change(rotation(rotation(square, 90), 90), square[::-1, ::-1]) < 1


def test_skin_takes_the_tone_and_the_lesion_keeps_its_colours(photo: Pixels, mask: Mask) -> None:
    inner = np.ogrid[: photo.shape[0], : photo.shape[1]]
    lesion = np.hypot((inner[0] - 75) / 75, (inner[1] - 100) / 100) < 0.5
    skin = ~mask & (np.hypot((inner[0] - 75) / 75, (inner[1] - 100) / 100) > 0.8)
    lightness = []
    for step, tone in enumerate(SKIN_TONES, start=1):
        changed = degrade(photo, BY_NAME["skin_tone"], step, mask)
        assert np.array_equal(changed[lesion], photo[lesion])
        lightness.append(float(np.median(cielab(changed)[..., 0][skin])))
        assert lightness[-1] == pytest.approx(SKIN_TONES[tone][0], abs=3)
    assert lightness == sorted(lightness, reverse=True)


def test_cloth_and_walls_keep_their_colours_when_the_skin_changes(photo: Pixels, mask: Mask) -> None:
    beside = np.zeros_like(photo)
    beside[:75], beside[75:] = (40, 70, 150), (190, 190, 188)  # blue cloth, a grey wall
    whole, around = np.hstack([photo, beside]), np.hstack([mask, np.zeros_like(mask)])
    changed = degrade(whole, BY_NAME["skin_tone"], len(SKIN_TONES), around)
    assert np.array_equal(changed[:, 230:], whole[:, 230:])
    alone = degrade(photo, BY_NAME["skin_tone"], len(SKIN_TONES), mask)
    assert change(changed[:, :150], photo[:, :150]) == pytest.approx(change(alone[:, :150], photo[:, :150]), rel=0.1)


def typology_angle(lightness: float, yellowness: float) -> float:
    """Individual typology angle in degrees, of L* and b*: over 55 is very light skin, below -30 dark.

    (Chardon, Cretois, Hourseau 1991, "Skin colour typology and suntanning pathways".)
    """
    return float(np.degrees(np.arctan2(lightness - 50, yellowness)))


def test_tones_lie_in_the_six_groups_of_the_typology_angle() -> None:
    groups = [np.digitize(-typology_angle(*tone), [-55, -41, -28, -10, 30]) for tone in SKIN_TONES.values()]
    assert groups == [0, 1, 2, 3, 4, 5]
