"""One decision about many screenings, in one transaction, and taking it back."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from sqlalchemy import func, select

from webapp import audit
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.review import Review, ReviewStatus
from webapp.models.screening import ScreeningRow
from webapp.models.user import Role, User
from webapp.reviews.writing import Draft, ReviewRefused, append, check_reviewable

MOST = 500
"""Screenings that one bulk action may touch."""
PART = 200
"""Screenings whose reviews are read together."""
T = TypeVar("T")
ACTIONS = ("confirm", "discard", "pending")
Action = Literal["confirm", "discard", "pending"]


@dataclass(frozen=True)
class Plan:
    """What a bulk action would do: to which screenings, how many it passes over, and the newest review known to it."""

    action: Action
    ids: tuple[int, ...]
    unfit: int
    seen: int


@dataclass(frozen=True)
class Done:
    """A bulk action that was done: by whom, when, to how many, and of these how many are undone."""

    bulk: str
    reviewer: str
    reviewer_id: int
    at: datetime
    status: str
    count: int
    undone: int


def plan(action: Action, ids: Iterable[int]) -> Plan:
    """Which of these screenings the action fits: answered and not deleted, and with a class where it is to confirm."""
    fit, unfit = [], 0
    for row in _rows(sorted(set(ids))[:MOST]):
        if _fits(action, row):
            fit.append(row.id)
        else:
            unfit += 1
    return Plan(action, tuple(fit), unfit, db.session.scalar(select(func.max(Review.id))) or 0)


def apply(planned: Plan, reviewer: User) -> tuple[str, int, int]:
    """Do it; returns the bulk's id, how many screenings it changed, and how many somebody else reviewed meanwhile.

    Those are passed over: what is done is what the person was shown. Nothing is done where an error is raised.
    """
    bulk, changed, overtaken = secrets.token_hex(8), 0, 0
    reviewer_id, reopens = reviewer.id, reviewer.may(Role.ADMIN)
    with write_transaction() as session:
        for part in _parts(planned.ids):
            reviews = _reviews(part)
            for row in _rows(part, locked=True):
                said = reviews.get(row.id, [])
                if said and said[-1].id > planned.seen:
                    overtaken += 1
                elif _fits(planned.action, row):
                    append(session, row, said, reviewer_id, _draft(planned.action, row, reopens=reopens), bulk=bulk)
                    changed += 1
        audit.record("review.bulk", f"bulk:{bulk}", what=planned.action, count=changed, overtaken=overtaken)
    return bulk, changed, overtaken


def undo(bulk: str, reviewer: User) -> int:
    """Add to each review of a bulk action, where that is not done yet, one that cancels it; returns how many.

    What was decided before counts again, and what was decided since goes on counting.
    """
    count, reviewer_id = 0, reviewer.id
    with write_transaction() as session:
        made = session.execute(
            select(Review.screening_id, Review.id).where(Review.bulk == bulk, Review.undoes.is_(None))
        ).all()
        for part in _parts(made):
            reviews = _reviews([one.screening_id for one in part])
            rows = {row.id: row for row in _rows([one.screening_id for one in part], locked=True)}
            for screening_id, review_id in part:
                said, row = reviews[screening_id], rows[screening_id]
                if row.deleted_at is None and not any(one.undoes == review_id for one in said):
                    draft = Draft(ReviewStatus.PENDING)
                    append(session, row, said, reviewer_id, draft, bulk=bulk, undoes=review_id)
                    count += 1
        audit.record("review.bulk_undo", f"bulk:{bulk}", count=count)
    return count


def bulks(limit: int = 20, bulk: str | None = None) -> list[Done]:
    """The newest bulk actions, or the one of this id."""
    chosen = _newest(limit) if bulk is None else [bulk]
    made = (
        select(
            Review.bulk,
            func.min(Review.created_at).label("at"),
            func.min(Review.status).label("status"),
            func.min(Review.reviewer_id).label("reviewer_id"),
            func.count().label("made"),
            func.min(Review.id).label("first"),
        )
        .where(Review.bulk.in_(chosen), Review.undoes.is_(None))
        .group_by(Review.bulk)
        .order_by(func.min(Review.id).desc())
    )
    found = db.session.execute(made).all()
    reviewers = select(User).where(User.id.in_({one.reviewer_id for one in found}))
    names = {user.id: user.name for user in db.session.scalars(reviewers)}
    counted = db.session.execute(
        select(Review.bulk, func.count())
        .where(Review.bulk.in_([one.bulk for one in found]), Review.undoes.is_not(None))
        .group_by(Review.bulk)
    )
    undone = {one[0]: one[1] for one in counted}
    return [
        Done(one.bulk, names[one.reviewer_id], one.reviewer_id, one.at, one.status, one.made, undone.get(one.bulk, 0))
        for one in found
    ]


def _newest(limit: int) -> list[str]:
    """The newest bulk actions. Each has `MOST` reviews at the most, so no more than the newest few are looked at."""
    newest = (
        select(Review.id, Review.bulk)
        .where(Review.bulk.is_not(None), Review.undoes.is_(None))
        .with_hint(Review, "INDEXED BY ix_reviews_newest_bulk", "sqlite")
        .order_by(Review.id.desc())
        .limit(limit * MOST)
        .subquery()
    )
    query = select(newest.c.bulk).group_by(newest.c.bulk).order_by(func.max(newest.c.id).desc()).limit(limit)
    return list(db.session.scalars(query))


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + PART] for start in range(0, len(items), PART))


def _fits(action: Action, row: ScreeningRow) -> bool:
    try:
        check_reviewable(row)
    except ReviewRefused:
        return False
    return action != "confirm" or row.predicted is not None


def _draft(action: Action, row: ScreeningRow, *, reopens: bool) -> Draft:
    if action == "confirm":
        return Draft(ReviewStatus.SUBMITTED, row.predicted)
    if action == "discard":
        return Draft(ReviewStatus.DISCARDED)
    return Draft(ReviewStatus.PENDING, adjudicates=reopens)


def _rows(ids: Sequence[int], *, locked: bool = False) -> list[ScreeningRow]:
    query = select(ScreeningRow).where(ScreeningRow.id.in_(ids)).order_by(ScreeningRow.id)
    query = query.execution_options(populate_existing=True)
    return list(db.session.scalars(query.with_for_update() if locked else query))


def _reviews(ids: Sequence[int]) -> dict[int, list[Review]]:
    found: dict[int, list[Review]] = {number: [] for number in ids}
    for review in db.session.scalars(select(Review).where(Review.screening_id.in_(ids)).order_by(Review.id)):
        found[review.screening_id].append(review)
    return found
