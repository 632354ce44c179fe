"""Every code that a result can carry has its sentence, and the sentences say what they must."""

from typing import get_args

import pytest
from flask import Flask

from ml.errors import ImageFault
from ml.labels import Label, Status
from ml.screening import TIPS
from webapp.history.filters import STATUSES
from webapp.screening import advice, status_reasons


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_words(status: Status) -> None:
    assert advice.status_word(status)
    assert advice.status_summary(status).endswith(".")
    found = advice.recommendation(status)
    assert found.points
    assert all(sentence.endswith(".") for sentence in (found.lead, *found.points))


def test_recommendations_say_what_matters() -> None:
    text = {status: " ".join([r.lead, *r.points]) for status in Status for r in [advice.recommendation(status)]}
    assert "dermatologist promptly" in text[Status.MALIGNANT]
    assert "Do not wait" in text[Status.MALIGNANT]
    assert "looked at" in text[Status.UNCERTAIN]
    for sign in ("new", "changing", "itching", "bleeding", "not healing"):
        assert sign in text[Status.BENIGN]
    assert "not an all-clear" in text[Status.BENIGN]
    assert "see a clinician" in text[Status.REFUSED]
    for words in ("Keep apart", "health service", "Do not scratch", "share towels", "not a diagnosis"):
        assert words in text[Status.INFECTIOUS]
    assert "fever" in text[Status.HEALTHY]


def test_a_status_beyond_the_named_class_is_explained() -> None:
    healthy, mole = (Label(status, status, status, status) for status in (Status.HEALTHY, Status.BENIGN))
    assert status_reasons.beyond_named("infectious", healthy, None)
    assert status_reasons.beyond_named("uncertain", healthy, None)
    assert status_reasons.beyond_named("infectious", mole, 0.01)
    assert not status_reasons.beyond_named("healthy", healthy, None)
    assert not status_reasons.beyond_named("malignant", mole, 0.5), "there the risk says why"
    assert not status_reasons.beyond_named("infectious", None, None)
    said = [status_reasons.beyond_named(status, healthy, None) for status in ("infectious", "uncertain", "benign")]
    assert ["contagious" in sentence for sentence in said] == [True, False, False]
    assert "not likely enough" in said[1]
    assert "One of the photos" in said[2], "all together were healthy"


def test_every_history_status_has_a_word() -> None:
    assert all(advice.status_word(status) for status in STATUSES)


@pytest.mark.parametrize("reason", get_args(ImageFault))
def test_every_image_fault_has_a_sentence(reason: ImageFault) -> None:
    assert advice.image_fault(reason).endswith(".")


def test_every_refusal_has_a_sentence_and_a_tip() -> None:
    refusals = {reason: advice.refusal(reason) for reason in TIPS}
    assert len(set(refusals.values())) == len(TIPS)
    assert all(advice.retake(tip).endswith(".") for tip in TIPS.values())
    assert advice.refusal("a reason of a later model").endswith(".")
    assert advice.retake("a tip of a later model").endswith(".")


def test_risk_sentence_follows_the_thresholds() -> None:
    levels = {"malignant": 0.3, "uncertain": 0.1}
    assert "possibly malignant" in status_reasons.risk_sentence(0.3, levels)
    assert "not below" in status_reasons.risk_sentence(0.1, levels)
    assert "probably benign" in status_reasons.risk_sentence(0.09, levels)
    assert status_reasons.risk_sentence(0.5, None)
    assert not status_reasons.is_more_cautious("benign", 0.05, levels)
    assert not status_reasons.is_more_cautious("uncertain", 0.2, levels)
    assert status_reasons.is_more_cautious("uncertain", 0.05, levels)
    assert status_reasons.is_more_cautious("malignant", 0.2, levels)


def test_a_class_named_for_its_rarity_is_noticed() -> None:
    assert status_reasons.is_named_for_rarity("mel", {"mel": 0.3, "nv": 0.7})
    assert not status_reasons.is_named_for_rarity("nv", {"mel": 0.3, "nv": 0.7})


def test_the_hint_about_hair_tells_its_share() -> None:
    gate = {"tip": "part_the_hair", "scores": {"hair": 0.22}}
    assert "22" in advice.hint_figure(gate)
    assert "15" in advice.hint_figure(gate)
    assert advice.hint_figure({"tip": None, "scores": {"hair": 0.02}}) == ""
    assert advice.hint_figure({"tip": "part_the_hair", "scores": {}}) == ""


def test_the_advice_on_contagious_diseases_is_whole_in_german_too(app: Flask) -> None:
    english = advice.recommendation(Status.INFECTIOUS)
    with app.test_request_context(headers={"Accept-Language": "de"}):
        german = advice.recommendation(Status.INFECTIOUS)
        healthy = advice.recommendation(Status.HEALTHY)
    assert not {english.lead, *english.points} & {german.lead, *german.points}
    text = " ".join([german.lead, *german.points])
    for words in ("Abstand zu anderen", "Gesundheitsdienst", "Kratzen Sie nicht", "Handtücher", "keine Diagnose"):
        assert words in text
    assert "Fieber" in " ".join(healthy.points)
