"""Whether photos may still be trained with: their person can take that back, or delete them, at any moment."""

from collections.abc import Collection

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.screening import ScreeningRow

AT_ONCE = 500
"""Screenings asked about in one query."""


def may_be_trained_with(ids: Collection[int]) -> set[int]:
    """Which of these screenings are not deleted and have their person's consent to training, at this moment.

    Asked by a connection of its own: a transaction that has begun to read would not see what was changed since.
    """
    found: set[int] = set()
    wanted = sorted(ids)
    with db.engine.connect() as connection:
        for start in range(0, len(wanted), AT_ONCE):
            found |= set(
                connection.scalars(
                    select(ScreeningRow.id).where(
                        ScreeningRow.id.in_(wanted[start : start + AT_ONCE]),
                        ScreeningRow.deleted_at.is_(None),
                        ScreeningRow.training_consent_at.is_not(None),
                    )
                )
            )
    return found
