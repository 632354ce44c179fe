"""`flask trainer`: the process that trains what was started from the web."""

import logging
import signal
import threading
from types import FrameType

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.exc import OperationalError, ProgrammingError

from webapp.extensions import db
from webapp.models.training_run import TrainingRun
from webapp.training.trainer import Trainer


@click.command("trainer")
@with_appcontext
def trainer_command() -> None:
    """Train what admins have queued at /admin/training, one run at a time, until stopped.

    Ctrl-C or SIGTERM interrupts the run under way; the next start goes on with it from its last whole epoch. A second
    trainer on the same database does nothing until the first is gone. Once a night it does what `flask screenings
    sweep` does, where no timer has done it.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    try:
        db.session.execute(select(TrainingRun.id).limit(1))
    except (OperationalError, ProgrammingError):
        raise click.ClickException(
            "The database is not there or not up to date: run `flask db upgrade` first."
        ) from None
    db.session.remove()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s trainer: %(message)s", force=True)
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    click.echo("Waiting for runs from /admin/training. Stop with Ctrl-C.", err=True)
    Trainer(app, stop).serve()
    click.echo("Stopped.", err=True)
