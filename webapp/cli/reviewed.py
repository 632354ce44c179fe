"""`flask data export-reviewed`: what reviewers agree on, as a folder that `flask data prepare` reads."""

import json
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from ml.files import write_bytes
from webapp.cli.label_sets import known_label_set
from webapp.database import write_transaction
from webapp.reviews.training_set import CARD, Wanted, is_plain, left_out_lines, training_set


@click.command("export-reviewed")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--label-set", help="Only this label set. [default: all, each in a folder of its own]")
@click.option("--min-reviewers", type=click.IntRange(1), default=1, show_default=True,
              help="How many reviewers must agree.")  # fmt: skip
@click.option("--blind-only", is_flag=True, help="Count only reviewers who chose before they saw the model's answer.")
@click.option("--filters", default="", help="The history page's query string, such as 'channel=api&from=2026-01-01'.")
@with_appcontext
def export_reviewed_command(
    folder: Path, label_set: str | None, min_reviewers: int, blind_only: bool, filters: str
) -> None:
    """Write the reviewed cases to FOLDER: photos by class, a manifest, and a card that says what is in it.

    Only undisputed cases with a class of their label set, of people who allowed training. Prepare a label set of it
    with `flask data prepare --source FOLDER/NAME --format folders --label-set NAME`, or add it to a training run with
    `flask train --include-reviewed`.
    """
    known = known_label_set(label_set) if label_set else None
    card = export_reviewed(folder, Wanted(known, min_reviewers, blind_only, filters))
    click.echo(f"{card['images']} photos of {card['lesions']} screenings: {folder}")
    for name, counts in card["images_per_class"].items():
        click.echo(f"{name}: {', '.join(f'{label} {count}' for label, count in counts.items())}")
    for line in left_out_lines(card):
        click.echo(f"{line.capitalize()}.")


def export_reviewed(folder: Path, wanted: Wanted) -> dict[str, Any]:
    """Write the export to a folder and return its card. Raises ClickException where there is something in it."""
    if folder.exists() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} is not empty. Give a new folder.")
    with write_transaction():
        wanted.record()  # before anything is handed out: an export that is cut short has handed out some of it
    try:
        for name, content in training_set(wanted, lambda name: (folder / name).unlink(missing_ok=True)):
            if is_plain(name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                write_bytes(folder / name, content)
    except OSError as error:
        raise click.ClickException(f"Cannot write to {folder}: {error.strerror}.") from error
    card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return card
