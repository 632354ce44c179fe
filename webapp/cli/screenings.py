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
from webapp.screening.lifecycle import answer, erase

screenings = AppGroup("screenings", help="Look after uploaded photos and their results.")


@screenings.command("sweep")
def sweep() -> None:
    """Answer what is pending, finish deletions that were cut short, and erase what is past its retention."""
    started = clock.now()
    erased = _erase_all()
    pending = db.session.scalars(
        select(ScreeningRow.id)
        .where(
            ScreeningRow.state == State.PENDING, ScreeningRow.deleted_at.is_(None), ScreeningRow.created_at <= started
        )
        .order_by(ScreeningRow.id)
    ).all()
    for screening_id in pending:
        try:
            answer(screening_id)
        except Busy:
            continue
        except MLError as error:
            raise click.ClickException(f"{error} {len(pending)} screenings wait for it.") from error
    answered = db.session.scalars(
        select(ScreeningRow.id).where(ScreeningRow.id.in_(pending), ScreeningRow.state != State.PENDING)
    ).all()
    click.echo(f"{len(answered)} of {len(pending)} pending screenings answered, {erased} erased.")


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
