"""`flask gate`: which photos a model answers."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from ml.errors import MLError
from webapp.cli.train import checked_name
from webapp.config import Config


@click.group("gate")
def gate_cli() -> None:
    """Which photos a model answers."""


@gate_cli.command("refit")
@click.argument("bundle")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The prepared data of the model.")
@click.option(
    "--gate-negatives",
    type=click.Path(path_type=Path),
    help="Folder with not_skin/ and clinical_photos/; for ordinary photos with not_skin/ and dermatoscopic/. "
    "[default: that of GATE_PICTURES]",
)
@click.option("--out", "name", callback=checked_name, help="Name of the new bundle. [default: the model's own]")
@click.option("--seed", default=0, show_default=True, help="Of the pictures drawn and varied for the fit.")
@click.option(
    "--network", type=click.IntRange(0), help="Of an ensemble: whose features it goes by. [default: as before]"
)
@with_appcontext
def refit_command(
    bundle: str, data: Path, gate_negatives: Path | None, name: str | None, seed: int, network: int | None
) -> None:
    """Fit the gate of a trained model anew and write it, with the same network, as a new version."""
    from ml.bundle import find_bundle, load_bundle
    from ml.train import new_version
    from ml.training.gate_refit import refit_gate

    config: Config = current_app.config["LENS"]
    models, negatives = config.models, gate_negatives or config.gate_folder
    try:
        found = load_bundle(find_bundle(bundle, models))
        folder = models / (name or found.card.name) / new_version()
        fitted = refit_gate(found, data, negatives, folder, seed=seed, network=network)
    except MLError as error:
        raise click.ClickException(str(error)) from error
    for kind, verdicts in fitted.card.gate["measured"].items():
        click.echo(f"{kind}, kept from the fit: " + ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items()))
    click.echo(f"{fitted.card.name}@{fitted.card.version}  {fitted.path}")
