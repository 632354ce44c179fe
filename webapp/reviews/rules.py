"""What the reviews of one screening amount to. Pure functions of the reviews, oldest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.models.review import Review, ReviewStatus
from webapp.models.screening import CaseStatus as CaseStatus
from webapp.models.user import Role, User

DECIDED = (ReviewStatus.SUBMITTED, ReviewStatus.DISCARDED)


@dataclass(frozen=True)
class Standing:
    """What a screening's reviews amount to.

    `label` is what is agreed on or was decided, a class code or a `ReviewLabel`; None where nothing is. `opinions` are
    the newest decisions of each reviewer that count. `decision` is the adjudicator's, and `dissent` are opinions that
    came after it and differ: they are kept and shown, and change nothing until somebody decides anew. `sides` are the
    reviewers who took one since the case was last opened, also those who took it back or were undone.
    """

    status: CaseStatus
    label: str | None = None
    opinions: tuple[Review, ...] = ()
    decision: Review | None = None
    dissent: tuple[Review, ...] = ()
    sides: frozenset[int] = frozenset()


def counting(reviews: Sequence[Review]) -> list[Review]:
    """The reviews that still count: not undone, no undoing itself, and made since the case was last opened again."""
    undone = _undone(reviews)
    return [one for one in _since_opened(reviews) if one.undoes is None and one.id not in undone]


def _undone(reviews: Sequence[Review]) -> set[int]:
    return {review.undoes for review in reviews if review.undoes is not None}


def _since_opened(reviews: Sequence[Review]) -> Sequence[Review]:
    undone = _undone(reviews)
    opened = [
        at for at, one in enumerate(reviews)
        if one.adjudicates and one.status == ReviewStatus.PENDING and one.undoes is None and one.id not in undone
    ]  # fmt: skip
    return reviews[opened[-1] + 1 :] if opened else reviews


def standing(reviews: Sequence[Review]) -> Standing:
    """What these reviews of one screening, oldest first, amount to.

    The newest decision of each reviewer counts; a draft takes nothing back. Reviewers whose decisions differ, by class
    or because one discards what the other labels, make the case disputed. An adjudicator's decision ends that, and
    stands until the adjudicator takes it back, another decides anew, or the case is opened again.
    """
    newest: dict[int, Review] = {}
    drafts: set[int] = set()
    decision: Review | None = None
    for review in counting(reviews):
        if review.status == ReviewStatus.DRAFT:
            drafts.add(review.reviewer_id)
            continue
        drafts.discard(review.reviewer_id)
        newest[review.reviewer_id] = review
        if review.adjudicates:
            decision = review
        elif review.status == ReviewStatus.PENDING and decision and decision.reviewer_id == review.reviewer_id:
            decision = None
    opinions = tuple(review for review in newest.values() if review.status in DECIDED)
    sides = frozenset(
        one.reviewer_id for one in _since_opened(reviews) if one.status in DECIDED and not one.adjudicates
    )
    if decision is not None:
        later = (one for one in opinions if one.id > decision.id and _said(one) != _said(decision))
        return Standing(CaseStatus(decision.status), decision.label, opinions, decision, tuple(later), sides)
    said = {_said(review) for review in opinions}
    if len(said) > 1:
        return Standing(CaseStatus.DISPUTED, None, opinions, sides=sides)
    if said:
        status, label = said.pop()
        return Standing(CaseStatus(status), label, opinions, sides=sides)
    return Standing(CaseStatus.DRAFT if drafts else CaseStatus.PENDING)


def may_adjudicate(found: Standing, user: User) -> bool:
    """Whether this person may decide: an administrator, who decided before, or a reviewer who takes and took no side.

    Taking a review back makes nobody impartial.
    """
    if found.status != CaseStatus.DISPUTED and found.decision is None:
        return False
    if user.may(Role.ADMIN) or (found.decision is not None and found.decision.reviewer_id == user.id):
        return True
    return user.may(Role.REVIEWER) and user.id not in found.sides | {one.reviewer_id for one in found.opinions}


def _said(review: Review) -> tuple[str, str | None]:
    return review.status, review.label if review.status == ReviewStatus.SUBMITTED else None
