"""`flask photos`: looking after the photo files."""

import click
from flask.cli import AppGroup

from webapp.screening.upkeep import TooManyStrays, delete_strays, erase_expired, finish_erasures

photos = AppGroup("photos", help="Look after the photo files.")


@photos.command("sweep")
@click.option("--all", "whatever", is_flag=True, help="Delete files without a screening even where they are the most.")
def sweep(whatever: bool) -> None:
    """Delete photo files older than a day that no screening names, and finish deletions that were cut short.

    A process that is killed may leave such files. The photo folder must belong to this database alone; where most of
    its files, or all, have no screening, nothing is deleted without --all.
    `flask screenings sweep` does this too, and answers what is pending.
    """
    erased = finish_erasures()
    try:
        strays = delete_strays(whatever=whatever)
    except TooManyStrays as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{strays} stray files deleted, {erased} deletions finished.")


@photos.command("purge")
def purge() -> None:
    """Erase the photos and results that are older than PHOTO_RETENTION_DAYS; what was asked and when remains."""
    click.echo(f"{erase_expired()} screenings erased.")
