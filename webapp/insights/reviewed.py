"""Reviewed cases: what people agreed on, beside what the model had answered."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Text, select, type_coerce

from ml.bootstrap import Interval, bootstrap
from ml.labels import Taxonomy
from ml.metrics import ReliabilityBins, calibration_error, reliability_bins, wilson_interval
from webapp.extensions import db
from webapp.insights.counting import midnight
from webapp.insights.selection import Selection
from webapp.models.review import Review, ReviewLabel, ReviewStatus
from webapp.models.screening import REVIEWED, ScreeningRow

Floats = NDArray[np.float64]

MOST_CASES = 20_000
"""Reviewed cases that one page reads: the newest of the period."""
ENOUGH = 100
"""Cases from which calibration is shown."""
CALIBRATED = 2000
"""Cases that calibration is measured on: the newest."""
ENOUGH_AT_ONCE = 30
"""Cases of one point in time from which its calibration error is shown."""
RESAMPLES = 300
RESAMPLES_AT_ONCE = 200
BINS = 10


@dataclass(frozen=True)
class Case:
    """One case on whose class reviewers agreed, or an adjudicator decided. `blind`: every review of it was made with
    the model's answer hidden. `label` is None where they said that it has no class of the label set."""

    day: date
    status: str
    predicted: str | None
    label: str | None
    blind: bool
    probabilities: dict[str, float] | None


@dataclass(frozen=True)
class Share:
    """`count` of `total`, with a Wilson interval at 95 %; None of nothing."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        """The share."""
        return self.count / self.total if self.total else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Lower and upper bound."""
        return wilson_interval(self.count, self.total) if self.total else None


def read_cases(selection: Selection) -> tuple[list[Case], bool]:
    """The reviewed cases of a selection, oldest first, and whether these are all: at most `MOST_CASES`, the newest."""
    conditions = conditions_of(selection)
    newest = (
        select(ScreeningRow.id)
        .where(*conditions, REVIEWED)
        .order_by(ScreeningRow.finished_at.desc())
        .limit(MOST_CASES)
        .subquery()
    )
    # Only the reviews of the cases that are read, found by their screenings: there may be very many more.
    seen = set(
        db.session.scalars(
            select(Review.screening_id).where(
                Review.screening_id.in_(select(newest.c.id)),
                Review.status == ReviewStatus.SUBMITTED,
                Review.blind.is_(False),
            )
        )
    )
    query = (
        select(
            ScreeningRow.id,
            ScreeningRow.finished_at,
            ScreeningRow.status,
            ScreeningRow.predicted,
            ScreeningRow.reviewed_class,
            type_coerce(ScreeningRow.probabilities, Text).label("probabilities"),
        )
        .where(*conditions, REVIEWED)
        .order_by(ScreeningRow.finished_at.desc())
        .limit(MOST_CASES + 1)
    )
    rows = db.session.execute(query).all()
    cases = [
        Case(row.finished_at.date(), row.status, row.predicted,
             None if row.reviewed_class in tuple(ReviewLabel) else row.reviewed_class, row.id not in seen,
             _read(row.probabilities))
        for row in rows[:MOST_CASES] if row.status
    ]  # fmt: skip
    return cases[::-1], len(rows) <= MOST_CASES


def agreement(cases: Sequence[Case]) -> Share:
    """How often the class that the model named is the one that reviewers agreed on."""
    known = [case for case in cases if case.label and case.predicted]
    return Share(sum(case.label == case.predicted for case in known), len(known))


def sensitivity(cases: Sequence[Case], malignant: set[str], statuses: set[str]) -> Share:
    """Of the cases that reviewers call malignant, how many the model gave one of `statuses`. A refused photo counts as
    not given one: a lesion that is not answered is not found."""
    known = [case for case in cases if case.label in malignant]
    return Share(sum(case.status in statuses for case in known), len(known))


def specificity(cases: Sequence[Case], malignant: set[str]) -> Share:
    """Of the answered cases that reviewers call harmless, how many the model did not give the status malignant."""
    known = [case for case in cases if case.label and case.label not in malignant and case.predicted]
    return Share(sum(case.status != "malignant" for case in known), len(known))


@dataclass(frozen=True)
class Calibrated:
    """How stated probabilities came true on N cases: bins of the most probable class, and the expected calibration
    error with its bootstrap interval."""

    cases: int
    bins: ReliabilityBins
    error: Interval


def calibration(cases: Sequence[Case], taxonomy: Taxonomy) -> Calibrated | None:
    """Calibration on the newest `CALIBRATED` cases; None for fewer than `ENOUGH`."""
    known = [case for case in cases if can_be_calibrated(case, taxonomy)][-CALIBRATED:]
    if len(known) < ENOUGH:
        return None
    confidence, correct = _stated(known, taxonomy)

    def figures(weights: Floats) -> dict[str, Floats]:
        return {"error": calibration_error(confidence, correct, BINS, weights)}

    error = bootstrap(figures, [str(place) for place in range(len(known))], resamples=RESAMPLES)["error"]
    return Calibrated(len(known), reliability_bins(confidence, correct, BINS), error)


def can_be_calibrated(case: Case, taxonomy: Taxonomy) -> bool:
    """Whether a case has a class of the label set, and the answer's probabilities."""
    return case.label in taxonomy.codes and bool(case.probabilities)


@dataclass(frozen=True)
class ErrorAtOnce:
    """The expected calibration error of one point in time, its bootstrap interval at 95 %, and what `chance` alone
    makes of as many cases where every stated probability is right."""

    value: float
    low: float
    high: float
    chance: float


def calibration_at_once(cases: Sequence[Case], taxonomy: Taxonomy) -> ErrorAtOnce | None:
    """The calibration error of the newest `CALIBRATED` cases of one point in time, each of which `can_be_calibrated`;
    None for fewer than `ENOUGH_AT_ONCE`.

    As `calibration` measures it, without tables of bins: a page may have hundreds of points in time.
    """
    if len(cases) < ENOUGH_AT_ONCE:
        return None
    confidence, correct = _stated(cases[-CALIBRATED:], taxonomy)
    count, rng = len(confidence), np.random.default_rng(0)
    places = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    drawn = rng.integers(0, count, (RESAMPLES_AT_ONCE, count))
    low, high = np.quantile(_errors((correct - confidence)[drawn], places[drawn]), (0.025, 0.975))
    right = rng.random((RESAMPLES_AT_ONCE, count)) < confidence
    chance = _errors(right - confidence, np.broadcast_to(places, right.shape)).mean()
    return ErrorAtOnce(float(_errors((correct - confidence)[None], places[None])[0]), float(low), float(high), chance)


def _errors(gaps: Floats, places: NDArray[np.int64]) -> Floats:
    """The calibration error [R] of R draws of N cases: gaps [R, N] between what came true and what was stated, and the
    bin of each [R, N]."""
    rows = np.arange(len(gaps))[:, None] * BINS
    sums = np.bincount((rows + places).ravel(), gaps.ravel(), len(gaps) * BINS).reshape(len(gaps), BINS)
    result: Floats = np.abs(sums).sum(axis=1) / gaps.shape[1]
    return result


def _stated(cases: Sequence[Case], taxonomy: Taxonomy) -> tuple[Floats, NDArray[np.bool_]]:
    """The probability [N] of the most probable class, and whether it is the one that reviewers agreed on [N]."""
    labels = np.array([taxonomy.codes.index(case.label or "") for case in cases])
    probabilities = np.array([[(case.probabilities or {}).get(code, 0.0) for code in taxonomy.codes] for case in cases])
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def conditions_of(selection: Selection) -> list[ColumnElement[bool]]:
    """What a screening must be to belong to a selection; deleted ones do not."""
    found: list[ColumnElement[bool]] = [
        ScreeningRow.finished_at >= midnight(selection.first),
        ScreeningRow.finished_at < midnight(selection.last + timedelta(days=1)),
        ScreeningRow.deleted_at.is_(None),
    ]
    if selection.label_set:
        found.append(ScreeningRow.label_set == selection.label_set)
    if selection.model:
        name, _at, version = selection.model.partition("@")
        found += [ScreeningRow.model_name == name, ScreeningRow.model_version == version]
    if selection.channel:
        found.append(ScreeningRow.channel == selection.channel)
    return found


def _read(text: str | dict[str, Any] | None) -> dict[str, float] | None:
    """A JSON column: text from SQLite, an object from drivers that read it themselves."""
    found: dict[str, float] | None = json.loads(text) if isinstance(text, str) else text
    return found
