"""`flask demo`: an empty database filled with a believable history, to see the application at work."""

import click
from flask.cli import with_appcontext
from flask_migrate import upgrade
from sqlalchemy import inspect

from webapp.cli.insights import count_all
from webapp.demo.entries import demo_size
from webapp.demo.removing import remove
from webapp.demo.sizes import FULL, SMALL
from webapp.extensions import db

HOW_TO_GET_ONE = (
    "There are accounts or screenings in this database, and demonstration data must not be mixed with them. Use a "
    "folder of its own: INSTANCE=instance/demo flask demo, and then INSTANCE=instance/demo make run."
)


@click.command("demo")
@click.option("--remove", "removing", is_flag=True, help="Remove the demonstration again, and nothing else.")
@click.option("--small", is_flag=True, help="Draw and train as little as will do: sooner done, less to see.")
@with_appcontext
def demo_command(removing: bool, small: bool) -> None:
    """Fill an EMPTY database with some months of drawn pictures, answers and reviews.

    No picture shows a person. Two tiny models are trained, compared, and answer each picture; the history shows each
    picture several times, with answers varied from those. Every page says so. Takes about a minute on two cores.
    """
    # Imported here: the web application must start without loading numerical libraries.
    from webapp.demo.filling import NotEmpty, fill

    if not inspect(db.engine).has_table("demo_entries"):
        upgrade()
    if removing:
        if not demo_size():
            raise click.ClickException("There is no demonstration data in this database.")
        click.echo(f"Removed the demonstration: {remove()} screenings, their accounts, photos and models.")
        return
    try:
        passwords = fill(click.echo, SMALL if small else FULL)
    except NotEmpty as error:
        raise click.ClickException(HOW_TO_GET_ONE) from error
    click.echo(f"{count_all()} days counted.")
    click.echo("Accounts, with passwords that are shown this once:")
    for name, password in passwords.items():
        click.echo(f"  {name}  {password}")
    click.echo("Start it with make run, or flask run. flask demo --remove takes it away again.")
