"""The end of a screening's row: erased to a tombstone.

The row becomes a tombstone first, then its photos are removed, then their names are forgotten. A process may be killed
between any two of these: the next visit of the result page, or `flask screenings sweep`, completes it.
"""

import logging
from typing import Any

from flask import current_app
from sqlalchemy import delete, select, update

from webapp import audit, clock
from webapp.database import forget_deleted, write_transaction
from webapp.extensions import db
from webapp.models.review import Review
from webapp.models.screening import CaseStatus, PhotoRow, ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.shown_answer import ShownAnswer
from webapp.photos import get_photos
from webapp.reviews.copies import delete_copies

log = logging.getLogger(__name__)

# What a tombstone no longer holds.
ERASED: dict[str, Any] = {"review_status": CaseStatus.PENDING} | dict.fromkeys(
    (
        "predicted", "probabilities", "status", "malignant_risk", "thresholds", "gate", "first_look",
        "severity", "seconds", "sender", "reply_to", "uncertainty", "disagreement", "gate_verdict",
        "reviewed_class",
    )
)  # fmt: skip


def erase(screening_id: int, *, by_staff: bool = False) -> None:
    """Remove photos and answer for good; a tombstone stays. Completes an erasure that was cut short.

    `by_staff` writes into the audit log that somebody with an account has done it.
    """
    with write_transaction() as session:
        if by_staff:
            audit.record("screening.delete", f"screening:{screening_id}")
        session.execute(
            update(ScreeningRow)
            .where(ScreeningRow.id == screening_id, ScreeningRow.deleted_at.is_(None))
            .values(deleted_at=clock.now(), claim=None, **ERASED)
        )
        session.execute(
            update(PhotoRow)
            .where(PhotoRow.screening_id == screening_id)
            .values(answer=None, heatmap=None, features=None)
        )
        # That a review was made stays, as in every history that is only added to; what it said does not.
        session.execute(update(Review).where(Review.screening_id == screening_id).values(label=None, note=None))
        session.execute(delete(SecondAnswer).where(SecondAnswer.screening_id == screening_id))
        session.execute(delete(ShownAnswer).where(ShownAnswer.screening_id == screening_id))
    gone = delete_copies(current_app.config["LENS"].runs, screening_id)
    store = get_photos()
    names = db.session.scalars(select(PhotoRow.name).where(PhotoRow.screening_id == screening_id)).all()
    for name in names:
        store.delete(name)
    if gone:  # else the rows stay, by which `finish_erasures` finds what it has to try again
        with write_transaction() as session:
            for photo in session.scalars(select(PhotoRow).where(PhotoRow.screening_id == screening_id)):
                session.delete(photo)
    if not forget_deleted():
        log.info("screening %d: its older pages leave the write-ahead log with the next deletion", screening_id)
