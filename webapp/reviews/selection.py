"""The screenings that fit the history's filters, as an address carries them."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from sqlalchemy import func, select

from webapp.extensions import db
from webapp.history.filters import NEWEST, read_queue
from webapp.history.pages import all_keys
from webapp.models.screening import CaseStatus, ScreeningRow

BATCH = 100


def newest(query: str, limit: int) -> list[int]:
    """Ids of the newest screenings that fit, at most so many."""
    filters, _sort = read_queue(query)
    return [key.id for key in islice(all_keys(filters, NEWEST, BATCH), limit)]


def batches(query: str, review: CaseStatus | None = None) -> Iterator[list[int]]:
    """Ids of all screenings that fit, `BATCH` at a time; with `review` only of those whose review has come so far."""
    filters, sort = read_queue(query)
    if review is not None:
        if filters.review not in ("", review):
            return
        filters = replace(filters, review=review.value)
    batch: list[int] = []
    for key in all_keys(filters, sort, BATCH):
        batch.append(key.id)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def count_reviewed(query: str, most: int) -> tuple[int, int, bool]:
    """Of the screenings that fit: how many are reviewed and undisputed, of how many of these the people allow training,
    and whether these are all; counting ends after `most`."""
    reviewed = allowed = 0
    for ids in batches(query, CaseStatus.SUBMITTED):
        counts = select(func.count(), func.count(ScreeningRow.training_consent_at))
        told, consented = db.session.execute(counts.where(ScreeningRow.id.in_(ids))).one()
        reviewed, allowed = reviewed + told, allowed + consented
        if reviewed >= most:
            return reviewed, allowed, False
    return reviewed, allowed, True
