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
from ml.metrics import ReliabilityBins, expected_calibration_error, reliability_bins, wilson_interval
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
RESAMPLES = 300
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
    known = [case for case in cases if case.label in taxonomy.codes and case.probabilities][-CALIBRATED:]
    if len(known) < ENOUGH:
        return None
    labels = np.array([taxonomy.codes.index(case.label or "") for case in known])
    probabilities = np.array([[(case.probabilities or {}).get(code, 0.0) for code in taxonomy.codes] for case in known])
    correct = probabilities.argmax(axis=1) == labels

    def figures(weights: Floats) -> dict[str, Floats]:
        return {"error": expected_calibration_error(labels, probabilities, BINS, weights)}

    error = bootstrap(figures, [str(place) for place in range(len(known))], resamples=RESAMPLES)["error"]
    return Calibrated(len(known), reliability_bins(probabilities.max(axis=1), correct, BINS), error)


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
