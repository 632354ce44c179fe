"""`flask photos`: looking after the photo files."""

import click
from flask.cli import AppGroup

from webapp.screening.upkeep import delete_strays, erase_expired, finish_erasures

photos = AppGroup("photos", help="Look after the photo files.")


@photos.command("sweep")
def sweep() -> None:
    """Delete photo files older than a day that no screening names, and finish deletions that were cut short.

    A process that is killed may leave such files. The photo folder must belong to this database alone.
    `flask screenings sweep` does this too, and answers what is pending.
    """
    erased = finish_erasures()
    click.echo(f"{delete_strays()} stray files deleted, {erased} deletions finished.")


@photos.command("purge")
def purge() -> None:
    """Erase the photos and results that are older than PHOTO_RETENTION_DAYS; what was asked and when remains."""
    click.echo(f"{erase_expired()} screenings erased.")
