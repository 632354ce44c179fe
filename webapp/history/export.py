"""The history as CSV or JSON lines, in the order of the screen, a batch at a time: memory does not grow with it."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from webapp.extensions import db
from webapp.history.filters import Filters, Sort
from webapp.history.pages import all_keys
from webapp.models.review import Review
from webapp.models.screening import ScreeningRow
from webapp.models.user import User
from webapp.reviews.rules import standing
from webapp.spreadsheets import cell

BATCH = 500
OWN = (
    "id", "created_at", "finished_at", "deleted_at", "channel", "language", "state", "asked_label_set",
)  # fmt: skip
ANSWER = (
    "label_set", "predicted", "probabilities", "status", "malignant_risk", "thresholds", "gate", "first_look",
    "severity", "model", "seconds", "uncertainty", "disagreement",
)  # fmt: skip
REVIEWED = ("review_status", "reviewed_class", "reviews", "reviewer", "reviewed_at", "review_label", "review_note")
COLUMNS = (*OWN, *ANSWER, *REVIEWED)
"""Own facts, the names of `ml.screening.Screening` with what follows from them, and the reviews': how many reviewers'
decisions count (not those undone, replaced, taken back, or from before the case was opened again), and the
adjudicator's, or else the newest of them."""


def records(filters: Filters, sort: Sort) -> Iterator[list[dict[str, Any]]]:
    """All screenings that fit, in order, in batches of dicts with the names in COLUMNS.

    Each batch is read in a transaction of its own, so that a slow reader keeps no writer's log from being emptied:
    what is added or changed meanwhile may or may not be in it, no screening comes twice, and none that was there and
    stayed as it was is left out.
    """
    batch: list[int] = []
    for key in all_keys(filters, sort, BATCH):
        batch.append(key.id)
        if len(batch) == BATCH:
            yield _read(batch)
            batch = []
    if batch:
        yield _read(batch)


def as_csv(filters: Filters, sort: Sort) -> Iterator[str]:
    """CSV with a header line; nested values as JSON. No cell begins with what a spreadsheet computes."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS)
    writer.writeheader()
    for batch in records(filters, sort):
        writer.writerows({name: _cell(value) for name, value in record.items()} for record in batch)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def as_json_lines(filters: Filters, sort: Sort) -> Iterator[str]:
    """One JSON object a line."""
    for batch in records(filters, sort):
        yield "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in batch)


FORMATS = {"csv": (as_csv, "text/csv"), "jsonl": (as_json_lines, "application/jsonl")}


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return cell(value)


def _read(ids: Sequence[int]) -> list[dict[str, Any]]:
    """The records with these ids, in this order; one that is gone meanwhile is left out."""
    row = ScreeningRow
    stored = [getattr(row, name) for name in (*OWN, *ANSWER, "review_status", "reviewed_class") if name != "model"]
    query = select(*stored, row.model_name, row.model_version).where(row.id.in_(ids))
    found = {one["id"]: dict(one) for one in db.session.execute(query).mappings()}
    reviews = _counting_reviews(ids)
    db.session.commit()
    records = []
    for number in ids:
        if number not in found:
            continue
        one = found[number]
        name, version = one.pop("model_name"), one.pop("model_version")
        one["model"] = {"name": name, "version": version} if name else None
        one |= reviews.get(number, {"reviews": 0})
        records.append({column: _plain(one.get(column)) for column in COLUMNS})
    return records


def _counting_reviews(ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Of each screening of which a decision counts: how many reviewers' do, and the adjudicator's, else the newest."""
    said: dict[int, list[Review]] = {}
    for review in db.session.scalars(select(Review).where(Review.screening_id.in_(ids)).order_by(Review.id)):
        said.setdefault(review.screening_id, []).append(review)
    by = {review.reviewer_id for reviews in said.values() for review in reviews}
    names = {user.id: user.name for user in db.session.execute(select(User.id, User.name).where(User.id.in_(by)))}
    found = {}
    for number, reviews in said.items():
        amounts_to = standing(reviews)
        if told := amounts_to.decision or max(amounts_to.opinions, key=lambda one: one.id, default=None):
            values = (len(amounts_to.opinions), names[told.reviewer_id], told.created_at, told.label, told.note)
            found[number] = dict(zip(REVIEWED[2:], values, strict=True))
    return found


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
