"""A history for tests: rows with codes and numbers that collide often, and what filters and sorts make of them."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from webapp.history.filters import Filters, Sort
from webapp.models.screening import ScreeningRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RISKS = (None, 0.0, 0.1, 0.5, 0.5, 0.9, 1.0)


def random_row(draw: random.Random, number: int) -> ScreeningRow:
    """One row; few values for each column, so that ties are the rule."""
    state = draw.choice(("done", "done", "done", "done", "pending", "failed"))
    done = state == "done"
    deleted = done and draw.random() < 0.1
    answered = done and not deleted
    return ScreeningRow(
        token_hash=f"{number:064d}",
        state=state,
        channel=draw.choice(("web", "telegram")),
        language=draw.choice(("en", "de")),
        created_at=NOON + timedelta(days=draw.randrange(4), minutes=draw.randrange(3)),
        deleted_at=NOON if deleted else None,
        label_set=draw.choice(("ham10000", "msid")) if done else None,
        status=draw.choice(("benign", "malignant", "uncertain")) if answered else None,
        predicted=draw.choice(("nv", "mel")) if answered else None,
        malignant_risk=draw.choice(RISKS) if answered else None,
        uncertainty=draw.choice(RISKS) if answered else None,
        disagreement=draw.choice(RISKS) if answered else None,
        gate_verdict=draw.choice(("usable", "poor_quality")) if answered else None,
        review_status=draw.choice(("pending", "submitted", "disputed")) if answered else "pending",
        reviewed_class=draw.choice((None, "nv", "mel", "_other")) if answered else None,
        model_name="tiny" if done else None,
        model_version=draw.choice(("1", "2")) if done else None,
    )


def random_filters(draw: random.Random) -> Filters:
    """Filters of which some are on."""
    options: dict[str, Sequence[Any]] = {
        "status": ("benign", "malignant", "pending", "failed", "deleted"),
        "predicted": ("nv", "mel"),
        "gate": ("usable", "poor_quality"),
        "review": ("pending", "submitted", "disputed"),
        "reviewed": ("nv", "mel", "_other", "_no_lesion"),
        "label_set": ("ham10000", "msid"),
        "channel": ("web", "telegram"),
        "language": ("en", "de"),
        "model": ("tiny@1", "tiny", "other"),
        "first": (date(2026, 3, 1), date(2026, 3, 3)),
        "last": (date(2026, 3, 2), date(2026, 3, 4)),
        "risk_from": (0.1, 0.5),
        "risk_to": (0.5, 0.9),
        "uncertainty_from": (0.1,),
        "uncertainty_to": (0.9,),
    }
    return Filters(**{name: draw.choice(values) for name, values in options.items() if draw.random() < 0.2})


def fits(row: ScreeningRow, filters: Filters) -> bool:
    """Whether a row should be in the history with these filters, said another way than in SQL."""
    shown = "deleted" if row.deleted_at else row.status if row.state == "done" else row.state
    name, _at, version = filters.model.partition("@")
    review = None if row.deleted_at else row.review_status
    same = (
        (filters.status, shown), (filters.predicted, row.predicted), (filters.gate, row.gate_verdict),
        (filters.review, review), (filters.reviewed, row.reviewed_class), (filters.label_set, row.label_set),
        (filters.channel, row.channel), (filters.language, row.language), (name, row.model_name),
        (version, row.model_version),
    )  # fmt: skip
    day = row.created_at.date()
    within = (
        (filters.first, day, filters.last), (filters.risk_from, row.malignant_risk, filters.risk_to),
        (filters.uncertainty_from, row.uncertainty, filters.uncertainty_to),
    )  # fmt: skip
    return all(not asked or asked == value for asked, value in same) and all(
        (low is None and high is None)
        or (value is not None and (low is None or value >= low) and (high is None or value <= high))  # type: ignore[operator]
        for low, value, high in within
    )


def rank(sort: Sort) -> Callable[[ScreeningRow], Any]:
    """The key that sorts rows as the history does, with `reverse=sort.descending`: none counts as less than any."""
    name = {"risk_order": "malignant_risk"}.get(sort.column, sort.column.removesuffix("_order"))

    def key(row: ScreeningRow) -> Any:
        value = getattr(row, name)
        return (-1.0 if value is None else value, row.id)

    return key
