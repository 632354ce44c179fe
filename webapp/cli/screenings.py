"""`flask screenings`: looking after what was uploaded."""

from datetime import timedelta

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import select

from ml.errors import MLError
from webapp import clock
from webapp.extensions import db
from webapp.inference import Busy
from webapp.models.screening import PhotoRow, ScreeningRow, State
from webapp.photos import get_photos
from webapp.screening.lifecycle import answer, erase

# Photos are on the disk before their row is committed: a younger file may belong to an upload that is under way.
STRAY_AFTER = timedelta(days=1)

screenings = AppGroup("screenings", help="Look after uploaded photos and their results.")


@screenings.command("sweep")
def sweep() -> None:
    """Answer what is pending, finish deletions that were cut short, and erase what is past its retention.

    Photo files older than a day that no screening names, as a process that was killed may leave them, are deleted too:
    the photo folder must belong to this database alone.
    """
    started = clock.now()
    erased = _erase_all()
    strays = _delete_strays()
    pending = db.session.scalars(
        select(ScreeningRow.id)
        .where(
            ScreeningRow.state == State.PENDING, ScreeningRow.deleted_at.is_(None), ScreeningRow.created_at <= started
        )
        .order_by(ScreeningRow.id)
    ).all()
    problems: dict[str, int] = {}
    for screening_id in pending:
        try:
            answer(screening_id)
        except Busy:
            continue
        except MLError as error:  # the next one may be for another model
            problems[str(error)] = problems.get(str(error), 0) + 1
    answered = db.session.scalars(
        select(ScreeningRow.id).where(ScreeningRow.id.in_(pending), ScreeningRow.state != State.PENDING)
    ).all()
    click.echo(
        f"{len(answered)} of {len(pending)} pending screenings answered, {erased} erased, {strays} stray files deleted."
    )
    if problems:
        raise click.ClickException(
            " ".join(f"{problem} {number} screenings wait for it." for problem, number in problems.items())
        )


def _erase_all() -> int:
    unfinished = select(PhotoRow.screening_id).join(ScreeningRow).where(ScreeningRow.deleted_at.is_not(None))
    ids = set(db.session.scalars(unfinished))
    days = current_app.config["LENS"].photo_retention_days
    if days:
        limit = clock.now() - timedelta(days=days)
        expired = select(ScreeningRow.id).where(ScreeningRow.created_at < limit, ScreeningRow.deleted_at.is_(None))
        ids |= set(db.session.scalars(expired))
    for screening_id in ids:
        erase(screening_id)
    return len(ids)


def _delete_strays() -> int:
    found = list(get_photos().written_before(clock.now() - STRAY_AFTER))
    named = set(db.session.scalars(select(PhotoRow.name)))  # read after the files, so that no row can be missed
    strays = [path for name, path in found if name not in named or path.suffix == ".part"]
    for path in strays:
        path.unlink(missing_ok=True)
    return len(strays)
