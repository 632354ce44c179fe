"""Adding reviews: checked, in step with the screening's own columns and the audit log, and never lost to another's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flask_sqlalchemy.session import Session
from sqlalchemy import select
from sqlalchemy.orm import scoped_session

from ml.labels import find_taxonomy
from webapp import audit, clock
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.review import NOTE_LENGTH, Review, ReviewLabel, ReviewStatus
from webapp.models.screening import ScreeningRow, State
from webapp.models.user import Role, User
from webapp.reviews.rules import may_adjudicate, standing

VERBS = {
    ReviewStatus.PENDING: "withdraw",
    ReviewStatus.DRAFT: "draft",
    ReviewStatus.SUBMITTED: "submit",
    ReviewStatus.DISCARDED: "discard",
}
Fault = Literal["deleted", "unanswered", "no_label", "unknown_label", "too_long", "may_not_decide", "may_not_reopen"]


class ReviewRefused(Exception):
    """The review cannot be added as it is; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class Overtaken(Exception):
    """Somebody else reviewed the screening since its page was shown; nothing was written."""


@dataclass(frozen=True)
class Draft:
    """What a reviewer wants to say. `label` as in `Review`; it is kept with submitted reviews and drafts alone."""

    status: ReviewStatus
    label: str | None = None
    note: str = ""
    blind: bool = False
    adjudicates: bool = False


def reviews_of(screening_id: int) -> Sequence[Review]:
    """The reviews of a screening, oldest first."""
    return db.session.scalars(select(Review).where(Review.screening_id == screening_id).order_by(Review.id)).all()


def known_labels(row: ScreeningRow) -> tuple[str, ...]:
    """The labels that a review of this screening may name: the classes of its label set, then the others."""
    taxonomy = find_taxonomy(row.label_set) if row.label_set else None
    return (*(taxonomy.codes if taxonomy else ()), *ReviewLabel)


def add_review(screening_id: int, reviewer: User, draft: Draft, *, seen: int) -> Review:
    """Add a review, bring the screening's columns in step and write the audit log, all in one transaction.

    `seen` is the id of the newest review that the reviewer was shown, 0 for none. Raises Overtaken where there is a
    newer one, ReviewRefused where it cannot be added, and LookupError where there is no such screening.
    """
    reviewer_id, role = reviewer.id, Role(reviewer.role)
    with write_transaction() as session:
        row = session.get(ScreeningRow, screening_id, populate_existing=True, with_for_update=True)
        if row is None:
            raise LookupError(screening_id)
        check_reviewable(row)
        reviews = list(reviews_of(screening_id))
        if (reviews[-1].id if reviews else 0) != seen:
            raise Overtaken
        check(draft, row, role)
        if (
            draft.adjudicates
            and draft.status != ReviewStatus.PENDING
            and not may_adjudicate(standing(reviews), reviewer)
        ):
            raise ReviewRefused("may_not_decide")
        return append(session, row, reviews, reviewer_id, draft)


def check_reviewable(row: ScreeningRow) -> None:
    """Raises ReviewRefused for a screening that was deleted or has no answer."""
    if row.deleted_at is not None:
        raise ReviewRefused("deleted")
    if row.state != State.DONE or row.label_set is None:
        raise ReviewRefused("unanswered")


def check(draft: Draft, row: ScreeningRow, role: Role) -> None:
    """Raises ReviewRefused for what cannot be said about this screening, or not by this person."""
    if draft.status == ReviewStatus.SUBMITTED and not draft.label:
        raise ReviewRefused("no_label")
    if draft.label and draft.label not in known_labels(row):
        raise ReviewRefused("unknown_label")
    if len(draft.note) > NOTE_LENGTH:
        raise ReviewRefused("too_long")
    if draft.adjudicates and draft.status == ReviewStatus.PENDING and role != Role.ADMIN:
        raise ReviewRefused("may_not_reopen")


def append(
    session: scoped_session[Session],
    row: ScreeningRow,
    reviews: list[Review],
    reviewer_id: int,
    draft: Draft,
    *,
    bulk: str | None = None,
    undoes: int | None = None,
) -> Review:
    """Add a review to `reviews`, all of this row's, and set the row's columns; the caller's transaction writes it.

    The audit log is told that it happened and not what was said, since it outlives a person's deletion.
    """
    previous = [one.id for one in reviews if one.reviewer_id == reviewer_id]
    names_class = draft.status in (ReviewStatus.SUBMITTED, ReviewStatus.DRAFT)
    review = Review(
        screening_id=row.id,
        reviewer_id=reviewer_id,
        status=draft.status,
        label=(draft.label or None) if names_class else None,
        note=draft.note.strip() or None,
        blind=draft.blind,
        adjudicates=draft.adjudicates,
        supersedes=previous[-1] if previous else None,
        undoes=undoes,
        bulk=bulk,
        created_at=clock.now(),
    )
    session.add(review)
    session.flush()
    reviews.append(review)
    found = standing(reviews)
    row.review_status = found.status
    row.reviewed_class = found.label
    what = {"undoes": undoes} if undoes else {}
    verb = "undo" if undoes else ("reopen" if draft.status == ReviewStatus.PENDING else "decide")
    if not undoes and not draft.adjudicates:
        verb = VERBS[draft.status]
    audit.record(
        f"review.{verb}",
        f"screening:{row.id}",
        review=review.id,
        case=found.status.value,
        blind=draft.blind,
        adjudicates=draft.adjudicates,
        **({"bulk": bulk} if bulk else {}),
        **what,
    )
    return review
