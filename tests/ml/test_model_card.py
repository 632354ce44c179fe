"""What a model card says of terms and limits, by the data that had a part in the weights and by the gate."""

from typing import Any

import pytest

from ml.labels import load_taxonomy
from ml.training import model_card
from ml.training.model_card import DERMATOSCOPIC_LIMIT, FAIR_SKIN_LIMIT, TERMS, UNTAUGHT_LIMITS, licence, limits

SPOTS, RASHES = load_taxonomy("ham10000"), load_taxonomy("msid")
TAUGHT = {"accepts": "dermatoscopic", "measured": {"not_skin": {"not_skin": 9}}}


def of(source: str) -> dict[str, Any]:
    return {"source_format": source}


@pytest.mark.parametrize("source", ["ham10000", "ham10000+reviewed"])
def test_reviewed_cases_take_no_terms_and_no_limits_away(source: str) -> None:
    assert licence(of(source)) == f"{model_card.LICENCE} {TERMS['ham10000']}"
    assert {DERMATOSCOPIC_LIMIT, FAIR_SKIN_LIMIT} < set(limits(of(source), SPOTS, TAUGHT))


def test_terms_of_everything_that_has_a_part_in_the_weights_are_told_once() -> None:
    told = licence(of("msid"), [of("ham10000"), of("ham10000+reviewed"), of("folders")])
    assert told == " ".join([model_card.LICENCE, TERMS["msid"], TERMS["ham10000"], model_card.MORE_TERMS])
    assert licence(of("folders")) == f"{model_card.LICENCE} {model_card.OTHER_TERMS}"
    assert licence({}) == licence(of("folders"))


@pytest.mark.parametrize(("taxonomy", "other"), [(SPOTS, "clinical"), (RASHES, "dermatoscopic")])
def test_a_gate_that_was_never_taught_the_other_kind_of_photos_is_not_said_to_refuse_them(
    taxonomy: Any, other: str
) -> None:
    for gate in ({}, {"accepts": "skin"}, {"accepts": other}):
        told = limits(of("ham10000"), taxonomy, gate)
        assert UNTAUGHT_LIMITS[taxonomy.photos] in told
        assert not {DERMATOSCOPIC_LIMIT, model_card.CLINICAL_LIMIT} & set(told)
        assert model_card.NOT_SKIN_LIMIT in told
