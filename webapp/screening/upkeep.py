"""What keeps rows and photo files in step over time: stray files, deletions that were cut short, and retention."""

from datetime import timedelta

from flask import current_app
from sqlalchemy import func, select

from webapp import audit, clock
from webapp.config import Config
from webapp.database import forget_deleted, write_transaction
from webapp.extensions import db
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.photos import get_photos
from webapp.reviews.consent import may_be_trained_with
from webapp.reviews.copies import copied, delete_copies
from webapp.screening.erasing import erase

STRAY_AFTER = timedelta(days=1)
"""Photos are on the disk before their row is committed: a younger file may belong to an upload that is under way."""
FEW_STRAYS = 20
"""More files than this are no leftovers of killed processes where they are also most of the photo folder."""


class TooManyStrays(Exception):
    """Photos that no row names, in a number that speaks of another database; the message says so and what to do."""


def finish_erasures() -> int:
    """Complete the deletions that a killed process left half done, or that could not remove everything; returns how
    many there were. Copies of runs whose person has taken back the consent to training are removed too."""
    delete_forbidden_copies()
    unfinished = select(PhotoRow.screening_id).join(ScreeningRow).where(ScreeningRow.deleted_at.is_not(None))
    return _erase(set(db.session.scalars(unfinished)), "screening.finish_deletion")


def delete_forbidden_copies() -> None:
    """Remove the reviewed cases of each run that has photos of a screening that may not be trained with any more."""
    runs = current_app.config["LENS"].runs
    found = copied(runs)
    for screening_id in sorted(found - may_be_trained_with(found)):
        delete_copies(runs, screening_id)


def erase_expired() -> int:
    """Erase the screenings that are older than PHOTO_RETENTION_DAYS (0: none is); returns how many there were."""
    config: Config = current_app.config["LENS"]
    if not config.photo_retention_days:
        return 0
    limit = clock.now() - timedelta(days=config.photo_retention_days)
    expired = select(ScreeningRow.id).where(ScreeningRow.created_at < limit, ScreeningRow.deleted_at.is_(None))
    return _erase(set(db.session.scalars(expired)), "screening.expire")


def delete_strays(*, whatever: bool = False) -> int:
    """Delete photo files older than `STRAY_AFTER` that no row names; returns how many files there were.

    Raises TooManyStrays, and deletes no photo, where the database has no screening at all or most of the photos are
    strays: such a database is another one, or an empty one in the place of one that was lost. `whatever` deletes them.
    """
    store = get_photos()
    found = list(store.written_before(clock.now() - STRAY_AFTER))
    named = set(db.session.scalars(select(PhotoRow.name)))  # read after the files, so that no row can be missed
    halves = [path for _, path in found if path.suffix == ".part"]
    strays = [path for name, path in found if name not in named and path.suffix != ".part"]
    for path in halves:
        path.unlink(missing_ok=True)
    if strays and not whatever:
        rows = db.session.scalar(select(func.count(ScreeningRow.id)))
        many = len(strays) > FEW_STRAYS and 2 * len(strays) > store.count_files()
        if not rows or many:
            raise TooManyStrays(
                f"{len(strays)} photo files belong to no screening of this database, which has {rows} screenings. "
                "Nothing of them was deleted: the database may be another one than theirs, or an empty one. Look at "
                "DATABASE_URL, PHOTO_STORE and INSTANCE, or restore a backup; if they are to go, say --all."
            )
    for path in strays:
        path.unlink(missing_ok=True)
    _record("photo.sweep", "photos", len(halves) + len(strays))
    return len(halves) + len(strays)


def _erase(ids: set[int], action: str) -> int:
    db.session.commit()  # the transaction that read them
    erased = 0
    try:
        for screening_id in sorted(ids):
            erase(screening_id)
            erased += 1
    finally:
        _record(action, "screenings", erased)
    forget_deleted()  # what a deletion of the day could not
    return len(ids)


def _record(action: str, subject: str, count: int) -> None:
    """Add to the audit log how many were removed, where any was: a nightly command that finds nothing says nothing."""
    if count:
        with write_transaction():
            audit.record(action, subject, count=count)
