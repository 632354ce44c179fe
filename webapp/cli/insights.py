"""`flask insights`: counting what the page of figures shows."""

import click
from flask.cli import with_appcontext
from sqlalchemy import func, select

from webapp import clock
from webapp.extensions import db
from webapp.insights.counting import count_missing, uncounted
from webapp.models.screening import ScreeningRow


@click.command("insights")
@with_appcontext
def insights_command() -> None:
    """Count the figures of every day that are not counted yet, for /admin/insights.

    The page counts missing days itself, a second's worth at a time, and `flask screenings sweep` counts them too. Days
    are counted once: what is erased afterwards stays in their counts.
    """
    click.echo(f"{count_all()} days counted.")


def count_all() -> int:
    """Count every day that is not counted yet; returns how many these were."""
    oldest = db.session.scalar(select(func.min(ScreeningRow.finished_at)))
    if oldest is None:
        return 0
    today = clock.now().date()
    days = len(uncounted(oldest.date(), today))
    count_missing(oldest.date(), today)
    return days
