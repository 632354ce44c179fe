"""Ninety days of answered screenings, for tests of the figures over time."""

import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

TODAY = date(2026, 3, 1)
DAYS, A_DAY = 90, 20
DRIFTED_DAYS = 7


def screening(moment: datetime, rng: np.random.Generator, *, refused: float = 0.1, dark: float = 0.0) -> dict[str, Any]:
    """The columns of an answered screening that was finished at a moment."""
    turned_away = bool(rng.random() < refused)
    scores = {"brightness": float(rng.normal(150 - dark, 10)), "novelty": float(rng.uniform(10, 20))}
    return {
        "token_hash": secrets.token_hex(32),
        "state": "done",
        "channel": str(rng.choice(["web", "telegram"])),
        "language": "en",
        "created_at": moment,
        "finished_at": moment,
        "label_set": "ham10000",
        "predicted": None if turned_away else str(rng.choice(["nv", "mel"], p=[0.8, 0.2])),
        "status": "refused" if turned_away else str(rng.choice(["benign", "malignant"], p=[0.7, 0.3])),
        "gate": {"verdict": "poor_quality" if turned_away else "usable", "scores": scores},
        "model_name": "m",
        "model_version": "1",
        "seconds": {"decode": 0.1, "gate": 0.1, "network": float(rng.uniform(0.2, 0.6))},
    }


def ninety_days(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Twenty screenings on each of the ninety days until noon of TODAY; the last week's photos are darker, and more of
    them are refused."""
    found = []
    for back in range(DAYS):
        drifted = 0 < back <= DRIFTED_DAYS
        for number in range(A_DAY):
            moment = datetime(2026, 3, 1, 1, tzinfo=UTC) - timedelta(days=back) + timedelta(minutes=number)
            found.append(screening(moment, rng, refused=0.7 if drifted else 0.1, dark=20 if drifted else 0))
    return found
