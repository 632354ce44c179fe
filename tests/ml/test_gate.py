"""The gate: what it measures of pixels, and how it tells other pictures from those it was fitted on."""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import uniform_filter1d

from ml.data.drawn import draw_lesion
from ml.gate import KINDS, GateModel, Seen, fit_gate, neighbour_distance
from ml.gate_blocks import blockiness
from ml.gate_quality import BLOCKY, MOSTLY_HAIR, TINY, quality_limits, quality_scores
from ml.gate_texture import texture
from ml.screening import TIPS
from ml.training.negatives import generated
from ml.training.variations import as_jpeg, varied


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

    def pictures(count: int, axis: int = 0, shift: float = 0.0) -> Seen:
        values = random.normal(0, 1, (count, 30)).astype(np.float32)
        values[:, axis] += shift
        return Seen(values, random.normal(0, 1, (count, 4)).astype(np.float32))

    qualities = [
        {"short_side": 300.0, "brightness": b, "sharpness": s, "steadiness": s / 2, "yellowness": s}
        | {"blockiness": 0.05, "lesion": 0.2}
        for b, s in zip(random.normal(150, 10, 600), random.normal(0.3, 0.02, 600), strict=True)
    ]
    others = {"not_dermatoscopic": pictures(80, 0, 3), "not_skin": pictures(80, 1, -3)}
    arrays, card = fit_gate(pictures(400), pictures(200), qualities, others)
    return GateModel(arrays, card["limits"])


GOOD = {
    "short_side": 300.0,
    "brightness": 150.0,
    "contrast": 40.0,
    "sharpness": 0.3,
    "steadiness": 0.15,
    "yellowness": 0.3,
    "hair": 0.0,
    "blockiness": 0.05,
    "lesion": 0.2,
}


def seen(*shifts: tuple[int, float]) -> Seen:
    values = np.zeros((1, 30), np.float32)
    for position, shift in shifts:
        values[0, position] = shift
    return Seen(values, np.zeros((1, 4), np.float32))


@pytest.mark.parametrize(
    ("scores", "shown", "verdict", "reason"),
    [
        (GOOD, seen(), "usable", None),
        (GOOD, seen((0, 5.0)), "not_dermatoscopic", "not_dermatoscopic"),
        (GOOD, seen((1, -5.0)), "not_skin", "not_skin"),
        (GOOD | {"contrast": 1.0}, seen(), "not_skin", "low_contrast"),
        (GOOD | {"short_side": 60.0}, seen(), "poor_quality", "too_small"),
        (GOOD | {"brightness": 20.0}, seen(), "poor_quality", "too_dark"),
        (GOOD | {"brightness": 252.0}, seen(), "poor_quality", "too_bright"),
        (GOOD | {"sharpness": 0.02}, seen(), "poor_quality", "blur"),
        (GOOD | {"steadiness": 0.02}, seen(), "poor_quality", "motion"),
        (GOOD | {"sharpness": 2.0}, seen(), "poor_quality", "noise"),
        (GOOD | {"yellowness": 3.0}, seen(), "poor_quality", "yellow_light"),
        (GOOD | {"hair": 0.5}, seen(), "poor_quality", "hair"),
        (GOOD | {"blockiness": 0.5}, seen(), "poor_quality", "compressed"),
        (GOOD | {"lesion": 0.004}, seen(), "poor_quality", "too_far"),
        (GOOD | {"sharpness": 0.02}, seen((1, -5.0)), "not_skin", "not_skin"),
        (GOOD | {"brightness": 20.0}, seen((1, -5.0)), "not_skin", "not_skin"),
    ],
)
def test_verdicts(fitted: GateModel, scores: dict[str, float], shown: Seen, verdict: str, reason: str | None) -> None:
    gate = fitted.decide({**scores, **fitted.scores(shown)})
    assert (gate.verdict, gate.reason) == (verdict, reason)
    assert gate.tip == (TIPS[reason] if reason else None)
    assert set(GOOD) | {"novelty", *KINDS} == set(gate.scores)


@pytest.mark.parametrize("name", ["novelty", "usable", "sharpness", "hair"])
def test_what_could_not_be_measured_is_refused(fitted: GateModel, name: str) -> None:
    scores = {**GOOD, **fitted.scores(seen())}
    assert fitted.decide(scores).verdict == "usable"
    for value in (math.nan, math.inf, -math.inf):
        gate = fitted.decide(scores | {name: value})
        assert gate.verdict == "not_skin"
        assert name not in gate.scores
    blind = GateModel(fitted.arrays, {**fitted.limits, "usable": math.nan})
    assert blind.decide(scores).verdict != "usable"


def test_a_share_that_the_dark_hides_is_no_fault(fitted: GateModel) -> None:
    without = {name: value for name, value in GOOD.items() if name != "lesion"}
    assert fitted.decide({**without, **fitted.scores(seen())}).verdict == "usable"


def test_limits_of_compression_and_distance_give_way_to_pictures_of_that_kind() -> None:
    """A model of strongly compressed photos, or of rashes of small spots, does not refuse what it learnt from."""
    usual = [GOOD] * 400
    found = quality_limits(usual)
    assert (found["blockiness"], found["lesion"]) == (BLOCKY, TINY)
    assert quality_limits([{**one, "blockiness": 0.8} for one in usual])["blockiness"] > 0.8
    assert quality_limits([{**one, "lesion": 0.006} for one in usual])["lesion"] <= 0.006
    assert quality_limits([{k: v for k, v in one.items() if k != "lesion"} for one in usual])["lesion"] == TINY


def test_few_usable_pictures_are_refused(fitted: GateModel) -> None:
    random = np.random.default_rng(9)
    drawn = [random.normal(0, 1, (1, 34)).astype(np.float32) for _ in range(500)]
    fresh = [Seen(values[:, :30], values[:, 30:]) for values in drawn]
    refused = sum(fitted.decide({**GOOD, **fitted.scores(one)}).verdict != "usable" for one in fresh)
    assert refused <= 25


def test_much_hair_is_a_hint_and_mostly_hair_a_refusal(fitted: GateModel) -> None:
    gates = [fitted.decide({**GOOD, **fitted.scores(seen()), "hair": share}) for share in (0.1, 0.2, 0.4)]
    assert [gate.verdict for gate in gates] == ["usable", "usable", "poor_quality"]
    assert [gate.tip for gate in gates] == [None, "part_the_hair", "part_the_hair"]
    assert gates[1].reason is None
    assert gates[2].limit == MOSTLY_HAIR


def sweep(fitted: GateModel, pictures: Iterable[np.ndarray]) -> list[str | None]:
    """The reasons for which ever worse versions of a lesion are refused, None for those that are answered."""
    gates = [fitted.decide({**quality_scores(picture), **fitted.scores(seen())}) for picture in pictures]
    for gate in gates:
        if gate.reason is not None:
            assert gate.limit is not None
    return [gate.reason for gate in gates]


def turns(reasons: list[str | None]) -> list[str | None]:
    """The reasons without repetitions: what a sweep passes through."""
    return [reason for number, reason in enumerate(reasons) if number == 0 or reason != reasons[number - 1]]


@pytest.fixture(scope="module")
def by_drawings() -> dict[str, float]:
    """Limits of quality that fit drawn lesions."""
    random = np.random.default_rng(1)
    return quality_limits([quality_scores(draw_lesion(code, random, (150, 200))) for code in ("nv", "mel", "bkl") * 8])


@pytest.mark.parametrize("code", ["nv", "mel", "bcc"])
def test_ever_more_blur_is_refused_from_some_step_on(
    fitted: GateModel, by_drawings: dict[str, float], code: str
) -> None:
    gate = replace(fitted, limits={**fitted.limits, **by_drawings})
    image = Image.fromarray(draw_lesion(code, np.random.default_rng(5), (300, 400)))
    blurred = (np.asarray(image.filter(ImageFilter.GaussianBlur(radius))) for radius in range(13))
    assert turns(sweep(gate, blurred)) == [None, "blur"]


@pytest.mark.parametrize("code", ["nv", "mel", "bcc"])
def test_ever_more_movement_grain_and_warm_light_are_refused_from_some_step_on(
    fitted: GateModel, by_drawings: dict[str, float], code: str
) -> None:
    gate = replace(fitted, limits={**fitted.limits, **by_drawings})
    photo = draw_lesion(code, np.random.default_rng(5), (300, 400))
    moved = (uniform_filter1d(photo, size, axis=1) for size in (1, 3, 6, 12, 24, 48))
    assert set(turns(sweep(gate, moved))[1:]) <= {"motion", "blur"}
    grain = np.random.default_rng(2).normal(0, 1, photo.shape)
    noisy = (np.clip(photo + sigma * grain, 0, 255).astype(np.uint8) for sigma in (0, 4, 16, 64, 128))
    assert turns(sweep(gate, noisy)) == [None, "noise"]
    warm = (np.clip(photo * (1, 1, blue), 0, 255).astype(np.uint8) for blue in (1, 0.9, 0.7, 0.5, 0.3, 0.2))
    assert turns(sweep(gate, warm))[:2] == [None, "yellow_light"]


def test_ever_less_light_is_refused_from_some_step_on(fitted: GateModel, by_drawings: dict[str, float]) -> None:
    gate = replace(fitted, limits={**fitted.limits, **by_drawings})
    photo = draw_lesion("nv", np.random.default_rng(5), (300, 400))
    darker = ((photo * exposure).astype(np.uint8) for exposure in np.geomspace(1, 0.01, 20))
    assert turns(sweep(gate, darker)) == [None, "too_dark", "low_contrast"]


def test_ever_more_light_is_refused_from_some_step_on(fitted: GateModel, by_drawings: dict[str, float]) -> None:
    """What is washed out has lost its fine structure first, so that it may be called blurred before too bright."""
    gate = replace(fitted, limits={**fitted.limits, **by_drawings})
    photo = draw_lesion("nv", np.random.default_rng(5), (300, 400))
    brighter = (np.clip(photo * exposure, 0, 255).astype(np.uint8) for exposure in np.geomspace(1, 20, 20))
    assert turns(sweep(gate, brighter)) in ([None, "too_bright"], [None, "blur", "too_bright"])


def test_small_and_flat_photos_are_refused_from_some_step_on(fitted: GateModel, by_drawings: dict[str, float]) -> None:
    gate = replace(fitted, limits={**fitted.limits, **by_drawings})
    photo = draw_lesion("nv", np.random.default_rng(5), (300, 400))
    image = Image.fromarray(photo)
    small = (np.asarray(image.resize((4 * side // 3, side))) for side in (300, 200, 150, 99, 60))
    assert turns(sweep(gate, small)) in ([None, "too_small"], [None, "blur", "too_small"])
    grey = photo.mean(axis=(0, 1))
    flat = ((grey + (photo - grey) * share).round().astype(np.uint8) for share in (1, 0.6, 0.3, 0.05, 0))
    assert turns(sweep(gate, flat))[0] is None
    assert turns(sweep(gate, [np.full_like(photo, 128)])) == ["low_contrast"]


@pytest.mark.parametrize("code", ["nv", "mel", "bcc"])
def test_ever_more_compression_is_refused_from_some_step_on(
    fitted: GateModel, by_drawings: dict[str, float], code: str
) -> None:
    """As it comes, and with a part cut off; what is compressed beyond measure has lost its sharpness, too."""
    gate = replace(fitted, limits={**fitted.limits, **by_drawings})
    image = Image.fromarray(draw_lesion(code, np.random.default_rng(5), (300, 400)))
    packed = [as_jpeg(image, quality) for quality in (95, 70, 12, 8, 4)]
    for pictures in (packed, [picture[3:, 5:] for picture in packed]):
        reasons = sweep(gate, pictures)
        assert (reasons[0], reasons[-1]) == (None, "compressed")
        assert set(reasons) <= {None, "blur", "compressed"}
    enlarged = [image.resize((600, 450)) for image in (image, Image.fromarray(as_jpeg(image, 4)))]
    assert blockiness(np.asarray(enlarged[1])) > 3 * blockiness(np.asarray(enlarged[0]))


def test_blocks_too_small_for_the_network_to_see_are_no_fault() -> None:
    large = Image.fromarray(draw_lesion("mel", np.random.default_rng(5), (300, 400))).resize((2000, 1500))
    assert blockiness(as_jpeg(large, 10)) < BLOCKY / 2


def test_marks_in_one_direction_are_no_blocks(photo: np.ndarray) -> None:
    ruler = photo.copy()
    ruler[250:, ::8] = 20
    assert blockiness(ruler) < BLOCKY / 2
    assert blockiness(np.zeros((20, 20, 3), np.uint8)) == 0.0


def test_an_ever_smaller_lesion_is_refused_from_some_step_on(fitted: GateModel, by_drawings: dict[str, float]) -> None:
    gate = replace(fitted, limits={**fitted.limits, **by_drawings, "noise": 9.0})
    skin = np.random.default_rng(3).normal((190, 150, 130), 2, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    rows, columns = np.mgrid[:300, :400]
    far = []
    for radius in (90, 60, 40, 17, 15, 13, 10, 6, 3, 0):
        spot = np.hypot(rows - 150, columns - 200) < radius
        far.append(np.where(spot[..., None], np.array([110, 80, 60], np.uint8), skin))
    assert turns(sweep(gate, far)) == [None, "too_far", "low_contrast"]


def test_texture_is_the_same_for_a_turned_or_mirrored_picture() -> None:
    photo = draw_lesion("mel", np.random.default_rng(2), (256, 256))
    for other in (photo[:, ::-1], np.rot90(photo)):
        assert texture(np.ascontiguousarray(other)) == pytest.approx(texture(photo), abs=0.05)


def test_neighbour_distance_agrees_with_the_definition() -> None:
    random = np.random.default_rng(2)
    points, bank = random.normal(size=(5, 4)), random.normal(size=(40, 4)).astype(np.float32)
    direct = np.sort(np.linalg.norm(points[:, None] - bank, axis=2), axis=1)[:, :8].mean(axis=1)
    assert neighbour_distance(points, bank) == pytest.approx(direct)
    few = np.linalg.norm(points[:, None] - bank[:3], axis=2).mean(axis=1)
    assert neighbour_distance(points, bank[:3]) == pytest.approx(few), "where there are fewer, all of them count"


def test_generated_and_varied_pictures_are_rgb(photo: np.ndarray) -> None:
    random = np.random.default_rng(0)
    for picture in [*generated(random, 12), *(varied(photo, random, 0.4) for _ in range(8))]:
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3
