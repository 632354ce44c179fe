"""Promotion by numbers: what rules out a loss, what does not, and when a set is too small to tell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from ml.data.manifest import ImageRecord
from ml.labels import Status, load_taxonomy
from ml.predictions import Predictions
from ml.promotion import compare, exact_mcnemar, least_lesions, pair
from ml.screening import USABLE, Gate

TAXONOMY = load_taxonomy("ham10000")
PER_CLASS = 100


def record(code: str, number: int) -> ImageRecord:
    name = f"{code}_{number}"
    return ImageRecord(Path(f"{name}.jpg"), code, name, name, "promotion", name, 1, 1, "drawn")


def answers(sure: float = 0.9, right: float = 0.9, seed: int = 0) -> Predictions:
    """A model that names the true class of a share `right` of the images, and says so with probability `sure`."""
    records = tuple(record(code, number) for code in TAXONOMY.codes for number in range(PER_CLASS))
    rng = np.random.default_rng(seed)
    truth = np.array([TAXONOMY.index(r.label) for r in records])
    named = np.where(rng.random(len(truth)) < right, truth, (truth + rng.integers(1, 7, len(truth))) % 7)
    probabilities = np.full((len(truth), 7), (1 - sure) / 6)
    probabilities[np.arange(len(truth)), named] = sure
    malignant = np.isin(named, TAXONOMY.malignant)
    return Predictions(
        taxonomy=TAXONOMY,
        records=records,
        images=tuple(r.path.name for r in records),
        probabilities=probabilities,
        uncalibrated=probabilities,
        predicted=named,
        statuses=tuple(Status.MALIGNANT.value if one else Status.BENIGN.value for one in malignant),
        gates=(Gate(USABLE),) * len(records),
        features=np.zeros((len(records), 2), np.float32),
    )


def told(predictions: Predictions, chosen: NDArray[np.bool_], status: Status) -> Predictions:
    """The same answers with another status for some."""
    statuses = [status.value if one else old for one, old in zip(chosen, predictions.statuses, strict=True)]
    return replace(predictions, statuses=tuple(statuses))


def of(predictions: Predictions, *codes: str) -> NDArray[np.bool_]:
    return np.array([r.label in codes for r in predictions.records])


def test_the_same_answers_pass() -> None:
    verdict = compare(answers(), answers(), 0.08, resamples=200)
    assert verdict.passes
    assert verdict.figures["sensitivity"].lesions == 3 * PER_CLASS
    assert verdict.figures["melanoma"].difference == 0
    assert (verdict.figures["melanoma"].low or 0) < 0, "agreement on a hundred lesions is not certainty"


def test_one_that_misses_melanomas_alone_is_refused() -> None:
    champion = answers(sure=0.97, right=0.97)
    missed = of(champion, "mel") & (np.arange(len(champion.records)) % 5 == 0)
    verdict = compare(champion, told(champion, missed, Status.BENIGN), 0.08, resamples=200)
    assert not verdict.passes
    assert "melanoma_lower" in verdict.reasons
    melanoma = verdict.figures["melanoma"]
    assert melanoma.lost >= 15
    assert melanoma.gained == 0
    assert melanoma.difference is not None
    assert melanoma.low is not None
    assert melanoma.low < melanoma.difference < -0.1


def test_refusing_photos_is_missing_them() -> None:
    champion = answers(sure=0.97, right=0.97)
    refused = np.arange(len(champion.records)) % 6 == 0
    verdict = compare(champion, told(champion, refused, Status.REFUSED), 0.08, resamples=200)
    assert {"sensitivity_lower", "refuses_more"} <= set(verdict.reasons)


def test_one_that_calls_everything_malignant_is_refused() -> None:
    champion = answers(sure=0.97, right=0.97)
    verdict = compare(champion, told(champion, ~of(champion), Status.MALIGNANT), 0.08, resamples=200)
    assert verdict.reasons == ("alarms_more",)


@pytest.mark.parametrize("sure", [0.55, 0.9999])
def test_broken_calibration_is_refused(sure: float) -> None:
    good = answers(sure=0.8, right=0.8)
    verdict = compare(
        good, replace(good, probabilities=answers(sure=sure, right=0.8).probabilities), 0.08, resamples=200
    )
    assert verdict.reasons == ("calibration_broken",)
    assert (verdict.calibration["champion"] or 0) < 0.06


def test_worse_calibration_within_the_limit_is_refused_where_it_is_certain() -> None:
    good = answers(sure=0.8, right=0.8)
    worse = replace(good, probabilities=answers(sure=0.88, right=0.8).probabilities)
    verdict = compare(good, worse, 0.08, resamples=200)
    assert verdict.reasons == ("calibration_worse",)


def test_few_lesions_cannot_tell_and_say_how_many_could() -> None:
    few = answers().select(np.arange(7 * PER_CLASS) % 10 == 0)
    verdict = compare(few, few, 0.08, resamples=200)
    assert set(verdict.reasons) == {"sensitivity_too_few", "melanoma_too_few", "examined_too_few"}
    assert set(verdict.needed.values()) == {least_lesions(0.08)} == {45}
    unlike = compare(answers(right=0.75, seed=1), answers(right=0.75, seed=2), 0.05, resamples=200)
    assert not unlike.passes, "two models that err on different lesions need more of them"
    assert max(unlike.needed.values()) > 100


def test_least_lesions_are_those_without_a_loss_that_rule_one_out() -> None:
    for margin in (0.02, 0.05, 0.1, 0.3):
        least = least_lesions(margin)
        assert 1 - 0.025 ** (1 / least) <= margin < 1 - 0.025 ** (1 / (least - 1))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (3, 9), (10, 10), (0, 12)])
def test_mcnemar_is_the_binomial_test(gained: int, lost: int) -> None:
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert exact_mcnemar(gained, lost) == pytest.approx(expected)


def test_the_interval_covers_the_true_difference() -> None:
    """In nine of ten drawn sets or more; 95 of 100 on average."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(60):
        one, other = rng.random(120) < 0.9, rng.random(120) < 0.8
        found = pair(one, other, [str(n) for n in range(120)], resamples=200)
        held += (found.low or 0) <= -0.1 <= (found.high or 0)
    assert held >= 54


def test_contagious_classes_stand_in_where_nothing_is_malignant() -> None:
    assert compare(answers(), answers(), 0.08, resamples=50).serious == ("akiec", "bcc", "mel")
    from ml.promotion import serious_classes

    assert "monkeypox" in serious_classes(load_taxonomy("msid"))


def test_different_pictures_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different pictures"):
        compare(answers(), answers().select(of(answers(), "mel")), 0.08)
