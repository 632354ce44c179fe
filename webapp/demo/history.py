"""The demonstration's screenings: some months of uploads by several channels, with a change near the end."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ml.screening import Screening
from webapp.demo.answers import Answered, Model, photo_row, vary
from webapp.models.screening import ScreeningRow, State, token_hash
from webapp.photos import PhotoStore
from webapp.screening.erasing import ERASED

DAYS = 120
A_DAY = 10.0
"""Screenings on a weekday, on average; there are fewer at the weekend."""
DIM_DAYS = 12
"""So many days ago a clinic got a weaker lamp: photos are darker and more of them are refused."""
SWITCHED_DAYS = 45
"""So many days ago the challenger took over."""
SHADOW_DAYS = 80
"""So many days ago the challenger began to answer in the shadow."""
CHANNELS = {"web": 0.55, "telegram": 0.3, "api": 0.15}
UNFIT_WEIGHT = 0.15
"""How often a lesion is sent that the model refuses, or another thing that it answers, against those that it judges
right."""
ERASED_SHARE, FAILED_SHARE = 0.03, 0.005


@dataclass(frozen=True)
class Made:
    """A screening, the class that was drawn ('' for no lesion), whether its answer is `invented`, by varying the one
    that was given to its picture, and what a model in the shadow says."""

    row: ScreeningRow
    code: str
    invented: bool
    shadow: Screening | None


def make_rows(
    champion: Model, challenger: Model, lesions: Mapping[str, int], now: datetime, store: PhotoStore,
    rng: np.random.Generator,
) -> list[Made]:  # fmt: skip
    """All screenings, oldest first; `lesions` says how common each class is."""
    moments: list[tuple[datetime, int]] = []
    for back in range(DAYS, -1, -1):
        day = now - timedelta(days=back)
        busy = 0.55 if day.weekday() > 4 else 1.0
        hours = rng.uniform(7, 21, rng.poisson(A_DAY * busy))
        times = [
            day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=float(hour)) for hour in hours
        ]
        moments += [(moment, back) for moment in sorted(times) if moment < now - timedelta(minutes=5)]
    codes, counts = list(lesions), np.array(list(lesions.values()), dtype=float)
    found: list[Made] = []
    shown: set[tuple[str, str]] = set()
    for moment, back in moments:
        model = challenger if back < SWITCHED_DAYS else champion
        weak = back < DIM_DAYS
        code = str(rng.choice(codes, p=counts / counts.sum())) if rng.random() > (0.10 if weak else 0.05) else ""
        given = _choose(model.answered, code, dim=weak and rng.random() < 0.6, rng=rng)
        key = (model.card.name, given.name)
        invented = key in shown  # a picture that is shown again
        seed = int(rng.integers(2**32))
        answer = vary(given, model, np.random.default_rng(seed)) if invented else given.answer
        row = _row(given, answer, moment, store, rng, invented=invented)
        if row.deleted_at is None and row.status:
            shown.add(key)
        beside = None
        if SWITCHED_DAYS <= back < SHADOW_DAYS and row.deleted_at is None and row.status:
            other = next(one for one in challenger.answered if one.name == given.name)
            # Varied as the answer is, so that two invented ones differ only as far as the two models do.
            beside = vary(other, challenger, np.random.default_rng(seed)) if invented else other.answer
        found.append(Made(row, code, invented, beside))
    return found


def _choose(answered: Sequence[Answered], code: str, *, dim: bool, rng: np.random.Generator) -> Answered:
    fitting = [one for one in answered if one.picture.code == code and one.picture.dim == dim]
    fitting = fitting or [one for one in answered if one.picture.code == code]
    weights = np.array([1.0 if bool(one.answer.predicted) == bool(code) else UNFIT_WEIGHT for one in fitting])
    return fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))]


def _row(
    given: Answered, answer: Screening, moment: datetime, store: PhotoStore, rng: np.random.Generator, *, invented: bool
) -> ScreeningRow:
    channel = str(rng.choice(list(CHANNELS), p=list(CHANNELS.values())))
    row = ScreeningRow(
        token_hash=token_hash(secrets.token_urlsafe(32)),
        channel=channel,
        language=str(rng.choice(["en", "de"], p=[0.6, 0.4])),
        created_at=moment,
        finished_at=moment + timedelta(seconds=1 + sum(answer.seconds.values())),
        consent_at=moment if channel != "api" else None,
        attempts=1,
        asked_label_set=answer.label_set,
        state=State.DONE,
        **ScreeningRow.columns_of(answer),
    )
    chance = rng.random()
    if chance < ERASED_SHARE:
        row.deleted_at = moment + timedelta(hours=float(rng.uniform(0.1, 30)))
        for name, value in ERASED.items():
            setattr(row, name, value)
    elif chance < ERASED_SHARE + FAILED_SHARE:
        row.state, row.failure = State.FAILED, "no_answer"
        for name in ("predicted", "probabilities", "status", "malignant_risk", "gate", "gate_verdict", "uncertainty",
                     "first_look", "disagreement"):  # fmt: skip
            setattr(row, name, None)
        row.photos = [photo_row(given, answer, store, rng, invented=invented)]
    else:
        row.photos = [photo_row(given, answer, store, rng, invented=invented)]
    return row
