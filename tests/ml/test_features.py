"""Finding the lesion in a photo, on drawings whose lesion is known."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.data.canvas import Canvas, Colour, step
from ml.data.drawn import draw_lesion
from ml.features import MIN_AREA, cielab, find_lesion, lesion_mask, otsu_threshold, seek_lesion
from ml.features_picture import AXES, DIAMETER, OUTLINE, OUTSIDE, REGIONS, draw_measures

Scene = tuple[NDArray[np.uint8], NDArray[np.bool_]]


@dataclass
class Traps:
    """What a drawing has beside skin and lesion."""

    frame: bool = False  # the round dark edge of a dermatoscope's view
    hairs: bool = False
    satellite: bool = False  # a second, smaller spot near the rim
    hole: bool = False  # a scar-like centre in the colour of the skin
    uneven: bool = False  # light that falls off to one side


def draw(traps: Traps, seed: int, size: tuple[int, int] = (300, 400), colour: Colour = (0.45, 0.28, 0.20)) -> Scene:
    """A photo [H, W, 3] and where its lesion is [H, W]."""
    height, width = size
    half = min(size) / 2
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    x, y = (columns - width / 2) / half, (rows - height / 2) / half
    rng = np.random.default_rng(seed)
    canvas = Canvas(np.ones((height, width, 3)) * (0.84, 0.66, 0.60), x, y, rng)
    canvas.pixels *= (1 + 0.02 * canvas.noise(0.1) + 0.015 * canvas.noise(0.01))[..., None]
    shape = canvas.blob(rng.uniform(0.35, 0.55), roughness=0.15, centre=(0.1, -0.05), stretch=1.3)
    cover = step(shape, 0.15)
    if traps.hole:
        cover = cover * (1 - step(shape - 0.6, 0.1))
    canvas.blend(np.asarray(colour) * (1 + 0.08 * canvas.noise(0.05))[..., None], cover)
    if traps.satellite:
        canvas.blend(colour, step(canvas.blob(0.12, roughness=0.1, centre=(-1.05, 0.75)), 0.2))
    if traps.hairs:
        lines = [([(-1.4, k), (0.0, k + 0.25), (1.4, k - 0.2)], 0.018) for k in np.linspace(-0.8, 0.8, 7)]
        canvas.blend((0.15, 0.10, 0.08), canvas.strokes(lines))
    if traps.uneven:
        canvas.pixels *= (1 - 0.08 * x)[..., None]
    if traps.frame:
        canvas.blend((0.02, 0.02, 0.02), step(np.hypot(x, y) - 1.05, 0.08))
    return np.rint(np.clip(canvas.pixels, 0, 1) * 255).astype(np.uint8), shape > 0


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((found & true).sum() / (found | true).sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "traps",
    [
        Traps(),
        Traps(frame=True),
        Traps(hairs=True),
        Traps(satellite=True),
        Traps(hole=True),
        Traps(uneven=True),
        Traps(frame=True, hairs=True, satellite=True, hole=True, uneven=True),
    ],
    ids=str,
)
def test_finds_the_drawn_lesion(traps: Traps, seed: int) -> None:
    pixels, true = draw(traps, seed)
    found = lesion_mask(pixels)
    assert found is not None
    assert found.shape == true.shape
    assert overlap(found, true) > 0.85


@pytest.mark.parametrize("colour", [(0.86, 0.45, 0.45), (0.55, 0.10, 0.30), (0.35, 0.36, 0.42), (0.62, 0.42, 0.32)])
def test_finds_lesions_of_any_colour(colour: Colour) -> None:
    pixels, true = draw(Traps(), 0, colour=colour)
    found = lesion_mask(pixels)
    assert found is not None
    assert overlap(found, true) > 0.85


@pytest.mark.parametrize("size", [(60, 80), (700, 500), (1200, 1600)])
def test_size_makes_no_difference(size: tuple[int, int]) -> None:
    pixels, true = draw(Traps(), 1, size)
    found = lesion_mask(pixels)
    assert found is not None
    assert overlap(found, true) > 0.85


def test_says_when_there_is_nothing() -> None:
    rng = np.random.default_rng(0)
    skin = np.clip(rng.normal((214, 168, 153), 4, (300, 400, 3)), 0, 255).astype(np.uint8)
    assert lesion_mask(skin) is None
    assert lesion_mask(np.zeros((300, 400, 3), np.uint8)) is None
    assert lesion_mask(np.full((300, 400, 3), 255, np.uint8)) is None
    hairs_only = skin.copy()
    hairs_only[:, 50::60] = hairs_only[:, 51::60] = 30
    assert lesion_mask(hairs_only) is None


def test_the_black_heart_of_a_lesion_is_not_all_of_it() -> None:
    pixels, true = draw(Traps(), 2)
    rows, columns = np.nonzero(true)
    distance = np.hypot(*(np.indices(true.shape) - [[[rows.mean()]], [[columns.mean()]]]))
    pixels[distance < 30] = (20, 16, 16)
    found = lesion_mask(pixels)
    assert found is not None
    assert overlap(found, true) > 0.85


@pytest.mark.parametrize("code", ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"])
def test_drawn_classes_are_found_about_the_middle(code: str) -> None:
    for seed in range(3):
        found = lesion_mask(draw_lesion(code, np.random.default_rng(seed)))
        assert found is not None
        rows, columns = np.nonzero(found)
        assert 100 < rows.mean() < 200
        assert 130 < columns.mean() < 270
        assert 0.02 < found.mean() < 0.6


def test_otsu_parts_two_heaps() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(2, 0.5, 900), rng.normal(10, 0.5, 100)]).astype(np.float32)
    assert 3.5 < otsu_threshold(values) < 8.5


def test_cielab_of_known_colours() -> None:
    # Lindbloom's calculator, sRGB and D65: white, black, middle grey, and the three primaries.
    colours = np.array([[255, 255, 255], [0, 0, 0], [119, 119, 119], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    expected = np.array([
        [100, 0, 0], [0, 0, 0], [50.03, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86],
    ])  # fmt: skip
    np.testing.assert_allclose(cielab(colours[None])[0], expected, atol=0.15)


def test_the_share_of_what_is_too_small_to_measure_is_told_too() -> None:
    shares = []
    rows, columns = np.mgrid[:300, :400]
    for radius in (60, 10, 0):
        spot = np.hypot(rows - 150, columns - 200) < radius
        sought = seek_lesion(np.where(spot[..., None], (110, 80, 60), (190, 150, 130)).astype(np.uint8))
        assert (sought.lesion is not None) == (radius == 60)
        shares.append(sought.share or 0.0)
    assert shares[0] == pytest.approx(np.pi * 60**2 / rows.size, rel=0.1)
    assert 0 < shares[1] < MIN_AREA
    assert shares[2] == 0
    assert seek_lesion(np.zeros((300, 400, 3), np.uint8)).share is None


@pytest.mark.parametrize("size", [(300, 400), (60, 80), (1500, 900)])
def test_the_drawing_has_mask_axes_border_colours_and_diameter(size: tuple[int, int]) -> None:
    photo = draw_lesion("mel", np.random.default_rng(1), size)
    lesion = find_lesion(photo)
    assert lesion is not None
    drawn = draw_measures(photo, lesion)
    assert max(drawn.shape[:2]) == min(800, max(size))
    for ink in (AXES, OUTLINE, DIAMETER, *REGIONS):
        assert (np.abs(drawn.astype(int) - ink).max(axis=2) < 60).any(), ink
    if drawn.shape == photo.shape:
        outside = ~np.asarray(lesion_mask(photo))
        dimmed = np.abs(drawn.astype(float) - OUTSIDE * photo).max(axis=2) < 2
        assert dimmed[outside].mean() > 0.8
        assert np.array_equal(draw_measures(photo, lesion), drawn)
