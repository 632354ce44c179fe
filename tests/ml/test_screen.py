"""The Screener: its contract, its decision about risk, and several photos of one lesion."""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.bundle import Bundle
from ml.errors import AnswerError
from ml.gate import GateModel
from ml.labels import Status
from ml.predict import HEATMAP_SIDE
from ml.runtime import Answers
from ml.screen import WORST_LAST, Screener
from ml.screening import USABLE, Gate, Screening

Draw = Callable[..., np.ndarray]
MALIGNANT = ("akiec", "bcc", "mel")


@pytest.fixture(scope="module")
def screener(tiny_bundle: Bundle) -> Screener:
    return Screener(tiny_bundle)


def with_card(bundle: Bundle, **changes: Any) -> Screener:
    """A screener for the same weights with another card."""
    return Screener(replace(bundle, card=replace(bundle.card, **changes)))


@pytest.fixture(scope="module")
def usable(screener: Screener, lesion: Draw) -> list[tuple[np.ndarray, Screening]]:
    """Drawn lesions that the gate lets pass, with their screenings."""
    photos = [lesion(code, seed) for code in screener.card.classes for seed in range(4)]
    answers = screener.screen_batch(photos)
    return [(p, a) for p, a in zip(photos, answers, strict=True) if a.gate.verdict == USABLE]


def test_most_drawn_lesions_are_usable(usable: list[tuple[np.ndarray, Screening]]) -> None:
    assert len(usable) >= 20


def test_an_answer_keeps_the_contract(usable: list[tuple[np.ndarray, Screening]]) -> None:
    for _, answer in usable:
        assert answer.probabilities is not None
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-4)
        risk = sum(answer.probabilities[code] for code in ("akiec", "bcc", "mel"))
        assert answer.malignant_risk == pytest.approx(risk, abs=1e-4)
        assert answer.predicted in answer.probabilities
        assert set(answer.seconds) == {"decode", "gate", "network"}
        assert Screening.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer


def test_status_follows_the_thresholds(tiny_bundle: Bundle) -> None:
    screener = with_card(tiny_bundle, thresholds={"malignant": 0.6, "uncertain": 0.2})
    gate, classes = Gate(USABLE), screener.card.classes

    def status(**given: float) -> Status:
        rest = (1 - sum(given.values())) / (len(classes) - len(given))
        return screener._answer(np.array([given.get(c, rest) for c in classes]), gate).status

    assert status(mel=0.7, bcc=0.0, akiec=0.0) is Status.MALIGNANT
    assert status(mel=0.25, bcc=0.25, akiec=0.2) is Status.MALIGNANT, "risk is a sum over classes"
    assert status(mel=0.3, bcc=0.0, akiec=0.0) is Status.UNCERTAIN
    assert status(nv=0.9) is Status.BENIGN


def test_a_class_named_malignant_is_never_called_benign(tiny_bundle: Bundle) -> None:
    screener = with_card(
        tiny_bundle,
        prior_power=1.0,
        class_priors=(0.01, 0.05, 0.1, 0.02, 0.05, 0.75, 0.02),
        thresholds={"malignant": 0.6, "uncertain": 0.3},
    )
    answer = screener._answer(np.array([0.0, 0.0, 0.0, 0.0, 0.2, 0.8, 0.0]), Gate(USABLE))
    assert (answer.predicted, answer.status) == ("mel", Status.UNCERTAIN)


@pytest.mark.parametrize("part", ["logits", "features"])
def test_what_is_no_finite_number_is_no_answer(
    tiny_bundle: Bundle, usable: list[tuple[np.ndarray, Screening]], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    screener = Screener(tiny_bundle)
    engine = type(screener.classifier.runtimes[0])
    run = engine.run

    def broken(*given: Any, **how: Any) -> Answers:
        found = run(*given, **how)
        values = getattr(found, part).copy()
        values[0, 1] = np.nan
        return replace(found, **{part: values})

    monkeypatch.setattr(engine, "run", broken)
    with pytest.raises(AnswerError, match="no finite numbers"):
        screener.screen([usable[0][0]])


def test_a_refused_photo_has_no_class(screener: Screener) -> None:
    lesion, views, _ = screener.screen([np.full((300, 400, 3), 128, np.uint8)])
    assert lesion.status is Status.REFUSED
    assert (lesion.predicted, lesion.probabilities, lesion.malignant_risk) == (None, None, None)
    assert (lesion.gate.reason, lesion.gate.tip) == ("low_contrast", "photograph_the_lesion")
    assert views == (lesion,)


def test_several_photos_are_averaged_and_the_most_severe_status_stands(
    screener: Screener, usable: list[tuple[np.ndarray, Screening]]
) -> None:
    ranked = sorted(usable, key=lambda pair: WORST_LAST.index(pair[1].status))
    photos = [ranked[0][0], ranked[-1][0], np.zeros((300, 400, 3), np.uint8)]
    answer, views, evidence = screener.screen(photos)
    assert len(views) == 3
    first, last = (view.probabilities or {} for view in views[:2])
    assert answer.probabilities == pytest.approx({c: (first[c] + last[c]) / 2 for c in first}, abs=1e-5)
    assert WORST_LAST.index(answer.status) >= max(WORST_LAST.index(view.status) for view in views[:2])
    assert views[2].status is Status.REFUSED
    assert (evidence[2].heatmap, evidence[2].features) == (None, None)
    for found in evidence[:2]:
        assert found.heatmap is not None
        assert found.features is not None
        assert found.heatmap.shape == (HEATMAP_SIDE, HEATMAP_SIDE)
        assert found.heatmap.max() == 255


def two_harmless_and_one_risky(usable: list[tuple[np.ndarray, Screening]]) -> list[tuple[np.ndarray, float]]:
    """The two photos of least malignant risk whose top class is harmless, and the one of highest risk, with risks."""
    found = []
    for photo, answer in usable:
        probabilities = answer.probabilities or {}
        found.append(
            (photo, sum(probabilities[code] for code in MALIGNANT), max(probabilities, key=probabilities.__getitem__))
        )
    found.sort(key=lambda one: one[1])
    harmless = [one for one in found if one[2] not in MALIGNANT]
    return [(photo, risk) for photo, risk, _ in (*harmless[:2], found[-1])]


def test_one_malignant_view_stands_against_two_benign_ones(
    tiny_bundle: Bundle, usable: list[tuple[np.ndarray, Screening]]
) -> None:
    (first, low), (second, other), (third, high) = two_harmless_and_one_risky(usable)
    mean = (low + other + high) / 3
    assert max(low, other) < mean < high
    malignant = (mean + high) / 2
    levels = {"malignant": malignant, "uncertain": (mean + malignant) / 2}
    screener = with_card(tiny_bundle, thresholds=levels, prior_power=0.0)
    for photos in ([first, second, third], [third, first, second]):
        answer, views, _ = screener.screen(photos)
        assert sorted(view.status for view in views) == [Status.BENIGN, Status.BENIGN, Status.MALIGNANT]
        assert answer.status is Status.MALIGNANT
        assert answer.malignant_risk is not None
        assert answer.malignant_risk == pytest.approx(mean, abs=1e-3), "the number shown is that of the average"
        assert answer.malignant_risk < levels["uncertain"]
    benign, _, _ = screener.screen([first, second])
    assert benign.status is Status.BENIGN


def test_the_order_of_the_photos_changes_nothing(
    screener: Screener, usable: list[tuple[np.ndarray, Screening]]
) -> None:
    photos = [usable[0][0], usable[-1][0], np.full((300, 400, 3), 128, np.uint8)]
    answers = [screener.screen([photos[place] for place in order])[0] for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0))]
    for answer in answers[1:]:
        assert (answer.status, answer.predicted) == (answers[0].status, answers[0].predicted)
        assert answer.probabilities == pytest.approx(answers[0].probabilities, abs=1e-4)


def test_a_refused_view_has_no_say(screener: Screener, usable: list[tuple[np.ndarray, Screening]]) -> None:
    grey = np.full((300, 400, 3), 128, np.uint8)
    photo, alone = usable[0]
    answer, views, _ = screener.screen([grey, photo, grey])
    assert [view.status for view in views] == [Status.REFUSED, alone.status, Status.REFUSED]
    assert (answer.status, answer.predicted, answer.gate.verdict) == (alone.status, alone.predicted, USABLE)
    assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
    refused, _, _ = screener.screen([grey, np.zeros((60, 60, 3), np.uint8)])
    assert (refused.status, refused.probabilities) == (Status.REFUSED, None)
    assert refused.gate.reason == "low_contrast"


def test_an_average_that_is_named_malignant_is_uncertain_though_every_view_is_benign(
    tiny_bundle: Bundle, usable: list[tuple[np.ndarray, Screening]]
) -> None:
    """Two views that each name another harmless class, and a malignant class that is second in both."""
    codes, calibration = tiny_bundle.card.classes, tiny_bundle.card.calibration
    # A higher temperature, so that answers are not all but certain and two views have a second class in common.
    soft = {**calibration, "temperature": 5 * calibration["temperature"]}
    photos = [photo for photo, _ in usable]
    answers = with_card(tiny_bundle, calibration=soft).screen_batch(photos)
    rows = [np.array([(answer.probabilities or {})[code] for code in codes]) for answer in answers]
    malignant = [codes.index(code) for code in MALIGNANT]
    harmless = [index for index in range(len(codes)) if index not in malignant]

    def room(first: int, second: int, index: int) -> tuple[float, float]:
        """The weight of a class must lie between these, for the average to name it and for neither view to do so."""
        p, q = rows[first] + 1e-6, rows[second] + 1e-6
        views = min(p[harmless].max() / p[index], q[harmless].max() / q[index])
        return float((p + q)[harmless].max() / (p + q)[index]), float(views)

    choices = ((*pair, index) for pair in itertools.combinations(range(len(photos)), 2) for index in malignant)
    first, second, index = max(choices, key=lambda one: room(*one)[1] / room(*one)[0])
    low, high = room(first, second, index)
    assert high > 1.1 * low
    # A small prior raises a class; the other malignant classes are kept from being named.
    priors = [1e6 if place in malignant else 1.0 for place in range(len(codes))]
    priors[index] = 1 / np.sqrt(low * high)
    levels = {"malignant": 0.9999, "uncertain": 0.999}
    screener = with_card(
        tiny_bundle, calibration=soft, thresholds=levels, prior_power=1.0, class_priors=tuple(map(float, priors))
    )
    answer, views, _ = screener.screen([photos[first], photos[second]])
    assert [view.status for view in views] == [Status.BENIGN, Status.BENIGN]
    assert answer.predicted == codes[index]
    assert answer.malignant_risk is not None
    assert answer.malignant_risk < levels["uncertain"]
    assert answer.status is Status.UNCERTAIN


def test_views_with_a_caution_count_only_where_none_is_clear(
    tiny_bundle: Bundle, usable: list[tuple[np.ndarray, Screening]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clear, doubtful = usable[0][0], usable[-1][0][:-8]

    def judge(self: GateModel, photo: np.ndarray, features: np.ndarray, quality: Mapping[str, float]) -> Gate:
        caution = Gate.refused("not_dermatoscopic", "not_dermatoscopic", usable[0][1].gate.scores)
        return caution if photo.shape == doubtful.shape else Gate(USABLE)

    monkeypatch.setattr(GateModel, "judge", judge)
    screener = Screener(tiny_bundle, answer_not_dermatoscopic=True)
    answer, views, _ = screener.screen([doubtful, clear])
    assert answer.gate.verdict == USABLE
    assert answer.probabilities == views[1].probabilities
    assert answer.status is views[1].status
    answer, views, _ = screener.screen([doubtful, doubtful])
    assert answer.gate.verdict == "not_dermatoscopic"
    assert answer.probabilities == pytest.approx(views[0].probabilities, abs=1e-5)


def test_every_answered_status_has_its_rank() -> None:
    assert set(WORST_LAST) == set(Status) - {Status.REFUSED}
    assert WORST_LAST[-1] is Status.MALIGNANT


def test_a_batch_answers_as_single_photos_do(screener: Screener, usable: list[tuple[np.ndarray, Screening]]) -> None:
    alone, _, _ = screener.screen([usable[0][0]])
    assert alone.probabilities == pytest.approx(usable[0][1].probabilities, abs=1e-4)


def test_photos_that_are_not_dermatoscopic_are_answered_only_on_request(
    tiny_bundle: Bundle, usable: list[tuple[np.ndarray, Screening]]
) -> None:
    scores = usable[0][1].gate.scores
    gate = Gate.refused("not_dermatoscopic", "not_dermatoscopic", scores)
    probabilities = np.full(7, 1 / 7)
    assert Screener(tiny_bundle)._answer(probabilities, gate).status is Status.REFUSED
    asked = Screener(tiny_bundle, answer_not_dermatoscopic=True)
    dark = replace(gate, scores={**scores, "brightness": 0.0})
    assert asked._answer(probabilities, dark).status is Status.REFUSED, "its quality counts all the same"
    doubtful = replace(gate, scores={**scores, "not_skin": 0.3})
    assert asked._answer(probabilities, doubtful).status is Status.REFUSED, "what may be no skin is not answered"
    answer = asked._answer(probabilities, gate)
    assert answer.predicted is not None
    assert answer.gate == gate, "the caution stays"


@pytest.mark.parametrize("count", [0, 4])
def test_only_one_to_three_photos(screener: Screener, count: int) -> None:
    with pytest.raises(ValueError, match="one to 3"):
        screener.screen([np.zeros((200, 200, 3), np.uint8)] * count)


def test_no_network_looks_at_a_photo_that_its_pixels_refuse(
    screener: Screener, lesion: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blank and tiny photos get the very refusal they would get after the network, and leave other answers alone."""
    blank = np.full((300, 400, 3), 120, np.uint8)
    tiny = lesion("mel", 1)[100:180, 100:220]
    photos = [blank, lesion("mel", 1), tiny]
    after = screener.judge(photos, screener.classifier.predict(photos))
    looked_at: list[int] = []
    predict = screener.classifier.predict

    def counted(given: Any, **options: Any) -> Any:
        looked_at.append(len(given))
        return predict(given, **options)

    monkeypatch.setattr(screener.classifier, "predict", counted)
    lesion_answer, views, evidence = screener.screen(photos)
    assert looked_at == [1]
    for before, now in zip(after, views, strict=True):
        assert (now.status, now.predicted, now.gate.verdict) == (before.status, before.predicted, before.gate.verdict)
        assert (now.gate.reason, now.gate.tip, now.gate.limit) == (
            before.gate.reason,
            before.gate.tip,
            before.gate.limit,
        )
        assert now.gate.scores.items() <= before.gate.scores.items()
    assert views[1].probabilities == pytest.approx(after[1].probabilities, abs=1e-5)
    assert [view.gate.reason for view in (views[0], views[2])] == ["low_contrast", "too_small"]
    assert [view.seconds["network"] for view in (views[0], views[2])] == [0.0, 0.0]
    assert [found.heatmap is None for found in evidence] == [True, False, True]
    assert lesion_answer.predicted == views[1].predicted
    screener.screen_batch([blank, tiny])
    assert looked_at == [1]
