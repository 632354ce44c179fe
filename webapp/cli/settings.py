"""`flask settings`: what can be configured."""

import click

from webapp.config import settings_table


@click.command("settings")
def settings() -> None:
    """Print every setting with its default and meaning, as a Markdown table."""
    click.echo(settings_table(), nl=False)
