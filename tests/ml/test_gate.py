"""The gate: what it measures of pixels, and how it tells other pictures from those it was fitted on."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ml.data.drawn import draw_lesion
from ml.gate import KINDS, GateModel, fit_gate, neighbour_distance
from ml.gate_quality import quality_scores
from ml.screening import TIPS
from ml.training.negatives import generated, varied


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return draw_lesion("nv", np.random.default_rng(4), (300, 400))


def test_sharpness_falls_with_every_step_of_blur(photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    sharpness = [
        quality_scores(np.asarray(image.filter(ImageFilter.GaussianBlur(radius))))["sharpness"]
        for radius in (0, 1, 2, 4, 8)
    ]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[-1] < 0.5 * sharpness[0]


def test_brightness_follows_exposure_and_sharpness_does_not(photo: np.ndarray) -> None:
    dark, light = (quality_scores((photo * factor).round().astype(np.uint8)) for factor in (0.6, 1.0))
    assert dark["brightness"] == pytest.approx(0.6 * light["brightness"], rel=0.02)
    assert dark["sharpness"] == pytest.approx(light["sharpness"], rel=0.2)


@pytest.fixture(scope="module")
def fitted() -> GateModel:
    random = np.random.default_rng(0)
    usable = random.normal(0, 1, (600, 30)).astype(np.float32)
    others = {
        "not_dermatoscopic": random.normal(0, 1, (80, 30)).astype(np.float32) + 3 * np.eye(30, dtype=np.float32)[0],
        "not_skin": random.normal(0, 1, (80, 30)).astype(np.float32) - 3 * np.eye(30, dtype=np.float32)[1],
    }
    qualities = [
        {"brightness": b, "sharpness": s}
        for b, s in zip(random.normal(150, 10, 600), random.normal(0.3, 0.02, 600), strict=True)
    ]
    arrays, card = fit_gate(usable[:400], usable[400:], qualities, others)
    return GateModel(arrays, card["limits"])


GOOD = {"short_side": 300.0, "brightness": 150.0, "contrast": 40.0, "sharpness": 0.3}


def features(*shifts: tuple[int, float]) -> np.ndarray:
    values = np.zeros(30, np.float32)
    for position, shift in shifts:
        values[position] = shift
    return values


@pytest.mark.parametrize(
    ("scores", "seen", "verdict", "reason"),
    [
        (GOOD, features(), "usable", None),
        (GOOD, features((0, 5.0)), "not_dermatoscopic", "not_dermatoscopic"),
        (GOOD, features((1, -5.0)), "not_skin", "not_skin"),
        (GOOD | {"contrast": 1.0}, features(), "not_skin", "low_contrast"),
        (GOOD | {"short_side": 60.0}, features(), "poor_quality", "too_small"),
        (GOOD | {"brightness": 20.0}, features(), "poor_quality", "too_dark"),
        (GOOD | {"brightness": 252.0}, features(), "poor_quality", "too_bright"),
        (GOOD | {"sharpness": 0.02}, features(), "poor_quality", "blur"),
        (GOOD | {"sharpness": 0.02}, features((1, -5.0)), "not_skin", "not_skin"),
        (GOOD | {"brightness": 20.0}, features((1, -5.0)), "not_skin", "not_skin"),
    ],
)
def test_verdicts(
    fitted: GateModel, scores: dict[str, float], seen: np.ndarray, verdict: str, reason: str | None
) -> None:
    gate = fitted.judge(scores, seen)
    assert (gate.verdict, gate.reason) == (verdict, reason)
    assert gate.tip == (TIPS[reason] if reason else None)
    assert set(GOOD) | {"novelty", *KINDS} == set(gate.scores)


def test_few_usable_pictures_are_refused(fitted: GateModel) -> None:
    fresh = np.random.default_rng(9).normal(0, 1, (500, 30)).astype(np.float32)
    refused = sum(fitted.judge(GOOD, f).verdict != "usable" for f in fresh)
    assert refused <= 25


def test_neighbour_distance_agrees_with_the_definition() -> None:
    random = np.random.default_rng(2)
    points, bank = random.normal(size=(5, 4)), random.normal(size=(40, 4)).astype(np.float32)
    direct = np.sort(np.linalg.norm(points[:, None] - bank, axis=2), axis=1)[:, :8].mean(axis=1)
    assert neighbour_distance(points, bank) == pytest.approx(direct)


def test_generated_and_varied_pictures_are_rgb(photo: np.ndarray) -> None:
    random = np.random.default_rng(0)
    for picture in [*generated(random, 12), *(varied(photo, random, crop=True) for _ in range(8))]:
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3
