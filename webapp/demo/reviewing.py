"""The demonstration's reviewers: they mostly see what was drawn, agree most of the time, and sometimes dispute."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from webapp.models.review import Review, ReviewLabel, ReviewStatus
from webapp.models.screening import ScreeningRow
from webapp.models.user import User
from webapp.reviews.rules import CaseStatus, standing

SKILL = 0.9
"""How often a reviewer names the class that was drawn."""
LOOKALIKES = {"nv": "mel", "mel": "nv", "bkl": "mel", "bcc": "akiec", "akiec": "bkl", "df": "nv", "vasc": "bcc"}
NOTES = (
    "Irregular pigment network.",
    "Regular, symmetrical.",
    "Compare with earlier photos.",
    "Border is hard to see.",
)


def review_all(
    rows: Sequence[tuple[ScreeningRow, str]], first: User, second: User, admin: User, now: datetime,
    rng: np.random.Generator,
) -> list[Review]:  # fmt: skip
    """Reviews of some of the answered rows, malignant and uncertain ones sooner; sets the rows' review columns.

    The rows and accounts must have their ids.
    """
    made: list[Review] = []
    for row, code in rows:
        urgent = row.status in ("malignant", "uncertain")
        if row.deleted_at or not row.status or row.status == "refused" or rng.random() > (0.6 if urgent else 0.2):
            continue
        moment = row.created_at + timedelta(hours=float(rng.uniform(2, 60)))
        if moment > now:
            continue
        made += _review(row, code, (first, second, admin), moment, now, rng)
    return made


def _review(
    row: ScreeningRow, code: str, people: tuple[User, User, User], moment: datetime, now: datetime,
    rng: np.random.Generator,
) -> list[Review]:  # fmt: skip
    first, second, admin = people
    if rng.random() < 0.04:
        reviews = [_said(row, first, ReviewStatus.DRAFT, _label(code, rng), moment, rng)]
    else:
        reviews = [_said(row, first, ReviewStatus.SUBMITTED, _label(code, rng), moment, rng)]
        if rng.random() < 0.3:
            moment = min(moment + timedelta(hours=float(rng.uniform(1, 40))), now)
            reviews.append(_said(row, second, ReviewStatus.SUBMITTED, _label(code, rng), moment, rng))
    for number, review in enumerate(reviews, 1):
        review.id = number  # only for the rules, which go by order; the database gives them their own
    found = standing(reviews)
    if found.status == CaseStatus.DISPUTED and rng.random() < 0.7:
        moment = min(moment + timedelta(hours=float(rng.uniform(4, 70))), now)
        decision = _said(row, admin, ReviewStatus.SUBMITTED, code or ReviewLabel.NO_LESION, moment, rng)
        decision.adjudicates, decision.id = True, len(reviews) + 1
        reviews.append(decision)
        found = standing(reviews)
    row.review_status = found.status
    row.reviewed_class = found.label
    for review in reviews:
        review.id = None  # type: ignore[assignment]
    return reviews


def _label(code: str, rng: np.random.Generator) -> str:
    if not code:
        return ReviewLabel.NO_LESION
    return code if rng.random() < SKILL else LOOKALIKES[code]


def _said(
    row: ScreeningRow, user: User, status: ReviewStatus, label: str, moment: datetime, rng: np.random.Generator
) -> Review:
    return Review(
        screening_id=row.id,
        reviewer_id=user.id,
        status=status,
        label=label,
        note=str(rng.choice(NOTES)) if rng.random() < 0.2 else None,
        blind=bool(rng.random() < 0.4),
        adjudicates=False,
        created_at=moment,
    )
