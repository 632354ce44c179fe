"""What keeps rows and photo files in step over time: stray files, deletions that were cut short, and retention."""

from datetime import timedelta

from flask import current_app
from sqlalchemy import select

from webapp import clock
from webapp.config import Config
from webapp.database import forget_deleted
from webapp.extensions import db
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.photos import get_photos
from webapp.screening.lifecycle import erase

STRAY_AFTER = timedelta(days=1)
"""Photos are on the disk before their row is committed: a younger file may belong to an upload that is under way."""


def finish_erasures() -> int:
    """Complete the deletions that a killed process left half done; returns how many there were."""
    unfinished = select(PhotoRow.screening_id).join(ScreeningRow).where(ScreeningRow.deleted_at.is_not(None))
    return _erase(set(db.session.scalars(unfinished)))


def erase_expired() -> int:
    """Erase the screenings that are older than PHOTO_RETENTION_DAYS (0: none is); returns how many there were."""
    config: Config = current_app.config["LENS"]
    if not config.photo_retention_days:
        return 0
    limit = clock.now() - timedelta(days=config.photo_retention_days)
    expired = select(ScreeningRow.id).where(ScreeningRow.created_at < limit, ScreeningRow.deleted_at.is_(None))
    return _erase(set(db.session.scalars(expired)))


def delete_strays() -> int:
    """Delete photo files older than `STRAY_AFTER` that no row names; returns how many files there were."""
    found = list(get_photos().written_before(clock.now() - STRAY_AFTER))
    named = set(db.session.scalars(select(PhotoRow.name)))  # read after the files, so that no row can be missed
    strays = [path for name, path in found if name not in named or path.suffix == ".part"]
    for path in strays:
        path.unlink(missing_ok=True)
    return len(strays)


def _erase(ids: set[int]) -> int:
    db.session.commit()  # the transaction that read them
    for screening_id in sorted(ids):
        erase(screening_id)
    forget_deleted()  # what a deletion of the day could not
    return len(ids)
