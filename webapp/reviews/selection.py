"""The screenings that fit the history's filters, as an address carries them."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from sqlalchemy import func, select

from webapp.extensions import db
from webapp.history.filters import NEWEST, read_queue
from webapp.history.pages import Key, all_keys
from webapp.models.screening import CaseStatus, ScreeningRow

BATCH = 100


def newest(query: str, limit: int) -> list[int]:
    """Ids of the newest screenings that fit, at most so many."""
    filters, _sort = read_queue(query)
    return [key.id for key in islice(all_keys(filters, NEWEST, BATCH), limit)]


def batches(query: str, review: CaseStatus) -> Iterator[list[int]]:
    """Ids of all screenings that fit and whose review has come so far, `BATCH` at a time."""
    keys = _keys(query, review, BATCH)
    while ids := [key.id for key in islice(keys, BATCH)]:
        yield ids


def count_reviewed(query: str, most: int) -> tuple[int, int, bool]:
    """Of the screenings that fit: how many are reviewed and undisputed, of how many of these the people allow training,
    and whether these are all; counting ends after `most`."""
    ids = [key.id for key in islice(_keys(query, CaseStatus.SUBMITTED, most + 1), most + 1)]
    counted = select(func.count(ScreeningRow.training_consent_at)).where(ScreeningRow.id.in_(ids[:most]))
    return min(len(ids), most), db.session.scalar(counted) or 0, len(ids) <= most


def _keys(query: str, review: CaseStatus, at_once: int) -> Iterator[Key]:
    filters, sort = read_queue(query)
    if filters.review not in ("", review):
        return iter(())
    return all_keys(replace(filters, review=review.value), sort, at_once)
