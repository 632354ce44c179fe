"""The demonstration's screenings: some months of uploads by several channels, with a change near the end."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ml.screen import Screener
from webapp.demo.answers import Answered, photo_row, vary
from webapp.demo.pictures import LESIONS
from webapp.models.screening import ScreeningRow, State, token_hash
from webapp.photos import PhotoStore
from webapp.screening.lifecycle import ERASED

DAYS = 120
A_DAY = 10.0
"""Screenings on a weekday, on average; there are fewer at the weekend."""
DIM_DAYS = 12
"""So many days ago a clinic got a weaker lamp: photos are darker and more of them are refused."""
SWITCHED_DAYS = 45
"""So many days ago the challenger took over."""
CHANNELS = {"web": 0.55, "telegram": 0.3, "api": 0.15}
UNFIT_WEIGHT = 0.15
"""How often a lesion is sent that the model refuses, or another thing that it answers, against those that it judges
right."""
ERASED_SHARE, FAILED_SHARE = 0.03, 0.005


@dataclass(frozen=True)
class Model:
    """A model with its own answers to all pictures."""

    screener: Screener
    answered: Sequence[Answered]


def make_rows(
    champion: Model, challenger: Model, now: datetime, store: PhotoStore, rng: np.random.Generator
) -> list[tuple[ScreeningRow, str]]:
    """All screenings, oldest first, each with the class that was drawn ('' for no lesion)."""
    moments: list[tuple[datetime, int]] = []
    for back in range(DAYS, -1, -1):
        day = now - timedelta(days=back)
        busy = 0.55 if day.weekday() > 4 else 1.0
        hours = rng.uniform(7, 21, rng.poisson(A_DAY * busy))
        times = [
            day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=float(hour)) for hour in hours
        ]
        moments += [(moment, back) for moment in sorted(times) if moment < now - timedelta(minutes=5)]
    codes, counts = list(LESIONS), np.array(list(LESIONS.values()), dtype=float)
    found = []
    for moment, back in moments:
        model = challenger if back < SWITCHED_DAYS else champion
        weak = back < DIM_DAYS
        code = str(rng.choice(codes, p=counts / counts.sum())) if rng.random() > (0.10 if weak else 0.05) else ""
        given = _choose(model.answered, code, dim=weak and rng.random() < 0.6, rng=rng)
        found.append((_row(given, model.screener, moment, store, rng), code))
    return found


def _choose(answered: Sequence[Answered], code: str, *, dim: bool, rng: np.random.Generator) -> Answered:
    fitting = [one for one in answered if one.picture.code == code and one.picture.dim == dim]
    fitting = fitting or [one for one in answered if one.picture.code == code]
    weights = np.array([1.0 if bool(one.answer.predicted) == bool(code) else UNFIT_WEIGHT for one in fitting])
    return fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))]


def _row(
    given: Answered, screener: Screener, moment: datetime, store: PhotoStore, rng: np.random.Generator
) -> ScreeningRow:
    answer = vary(given, screener, rng)
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
        for name in ("predicted", "probabilities", "status", "malignant_risk", "gate", "gate_verdict", "uncertainty"):
            setattr(row, name, None)
        row.photos = [photo_row(given, answer, store, rng)]
    else:
        row.photos = [photo_row(given, answer, store, rng)]
    return row
