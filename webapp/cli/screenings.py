"""`flask screenings`: looking after what was uploaded."""

from typing import TextIO

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import select

from ml.errors import MLError
from webapp import audit, clock
from webapp.cli.insights import count_all
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.history.export import FORMATS
from webapp.history.filters import read_queue, recorded
from webapp.inference import Busy
from webapp.models.screening import ScreeningRow, State
from webapp.screening.lifecycle import answer
from webapp.screening.upkeep import TooManyStrays, delete_strays, erase_expired, finish_erasures
from webapp.training.nightly import note_sweep

screenings = AppGroup("screenings", help="Look after uploaded photos and their results.")


@screenings.command("sweep")
@click.option("--all", "whatever", is_flag=True, help="Delete files without a screening even where they are the most.")
@click.option("--nightly", is_flag=True, hidden=True, help="As the trainer says where it sweeps by itself.")
def sweep(whatever: bool, nightly: bool) -> None:
    """Answer what is pending, finish deletions that were cut short, and erase what is past its retention.

    Photo files older than a day that no screening names, as a process that was killed may leave them, are deleted too:
    the photo folder must belong to this database alone. Where most of its files, or all, have no screening, they are
    kept without --all, and everything else is done.
    """
    started = clock.now()
    with write_transaction():
        audit.record_repeats()
    count_all()  # before anything of it is erased
    erased = finish_erasures() + erase_expired()
    problems: dict[str, int] = {}
    strays, refusal = 0, ""
    try:
        strays = delete_strays(whatever=whatever)
    except TooManyStrays as error:
        refusal = str(error)
    note_sweep(current_app.config["LENS"].instance, own=nightly)
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
        except MLError as error:  # the next one may be for another model
            problems[str(error)] = problems.get(str(error), 0) + 1
    answered = db.session.scalars(
        select(ScreeningRow.id).where(ScreeningRow.id.in_(pending), ScreeningRow.state != State.PENDING)
    ).all()
    click.echo(
        f"{len(answered)} of {len(pending)} pending screenings answered, {erased} erased, {strays} stray files deleted."
    )
    told = [f"{problem} {number} screenings wait for it." for problem, number in problems.items()]
    if told or refusal:
        raise click.ClickException(" ".join([*told, refusal]).strip())


@screenings.command("export")
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), default="csv", show_default=True)
@click.option("--query", default="", help="Filters and sort as in the address of /admin/history: 'status=refused'.")
@click.option("--out", type=click.File("w", encoding="utf-8", atomic=True), default="-", help="A file to write.")
def export(kind: str, query: str, out: TextIO) -> None:
    """Write the history as CSV or JSON lines, with the filters and the sort of the history page."""
    filters, sort = read_queue(query)
    with write_transaction():
        audit.record(f"export.{kind}", "history", **recorded(query))
    write, _mimetype = FORMATS[kind]
    for text in write(filters, sort):
        out.write(text)
