"""The Screener: its contract, its decision about risk, and several photos of one lesion."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.bundle import Bundle
from ml.labels import Status
from ml.predict import HEATMAP_SIDE
from ml.screen import SEVERITY, Screener
from ml.screening import USABLE, Gate, Screening

Draw = Callable[..., np.ndarray]


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


def test_a_refused_photo_has_no_class(screener: Screener) -> None:
    lesion, views, _ = screener.screen([np.full((300, 400, 3), 128, np.uint8)])
    assert lesion.status is Status.REFUSED
    assert (lesion.predicted, lesion.probabilities, lesion.malignant_risk) == (None, None, None)
    assert (lesion.gate.reason, lesion.gate.tip) == ("low_contrast", "photograph_the_lesion")
    assert views == (lesion,)


def test_several_photos_are_averaged_and_the_most_severe_status_stands(
    screener: Screener, usable: list[tuple[np.ndarray, Screening]]
) -> None:
    ranked = sorted(usable, key=lambda pair: SEVERITY.index(pair[1].status))
    photos = [ranked[0][0], ranked[-1][0], np.zeros((300, 400, 3), np.uint8)]
    answer, views, evidence = screener.screen(photos)
    assert len(views) == 3
    first, last = (view.probabilities or {} for view in views[:2])
    assert answer.probabilities == pytest.approx({c: (first[c] + last[c]) / 2 for c in first}, abs=1e-5)
    assert SEVERITY.index(answer.status) >= max(SEVERITY.index(view.status) for view in views[:2])
    assert views[2].status is Status.REFUSED
    assert (evidence[2].heatmap, evidence[2].features) == (None, None)
    for found in evidence[:2]:
        assert found.heatmap is not None
        assert found.features is not None
        assert found.heatmap.shape == (HEATMAP_SIDE, HEATMAP_SIDE)
        assert found.heatmap.max() == 255


def test_a_batch_answers_as_single_photos_do(screener: Screener, usable: list[tuple[np.ndarray, Screening]]) -> None:
    alone, _, _ = screener.screen([usable[0][0]])
    assert alone.probabilities == pytest.approx(usable[0][1].probabilities, abs=1e-4)


def test_photos_that_are_not_dermatoscopic_are_answered_only_on_request(tiny_bundle: Bundle) -> None:
    gate = Gate.refused("not_dermatoscopic", "not_dermatoscopic", {})
    probabilities = np.full(7, 1 / 7)
    assert Screener(tiny_bundle)._answer(probabilities, gate).status is Status.REFUSED
    answer = Screener(tiny_bundle, answer_not_dermatoscopic=True)._answer(probabilities, gate)
    assert answer.predicted is not None
    assert answer.gate == gate, "the caution stays"


@pytest.mark.parametrize("count", [0, 4])
def test_only_one_to_three_photos(screener: Screener, count: int) -> None:
    with pytest.raises(ValueError, match="one to 3"):
        screener.screen([np.zeros((200, 200, 3), np.uint8)] * count)
