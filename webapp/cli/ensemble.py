"""`flask ensemble`: several trained models as one."""

import sys
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from ml.errors import MLError
from webapp.cli.operating_points import operating_point_options
from webapp.cli.train import checked_name


@click.command("ensemble")
@click.argument("members", nargs=-1, required=True, metavar="BUNDLE BUNDLE...")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The prepared data of all the members.")
@click.option("--out", "name", required=True, callback=checked_name, help="Name of the new bundle.")
@operating_point_options
@with_appcontext
def ensemble_command(members: tuple[str, ...], data: Path, name: str, sensitivity: float, missed: float) -> None:
    """Average the answers of trained models in one new bundle, served like any other.

    All must have been trained on the same prepared data. Calibration and thresholds are fitted anew on its validation
    split; gate, features and confirmed cases are those of the first.
    """
    from ml.bundle import find_bundle, load_bundle
    from ml.train import new_version
    from ml.training.config import OperatingPoints
    from ml.training.ensemble import make_ensemble

    models = current_app.config["LENS"].models
    try:
        bundle = make_ensemble(
            [load_bundle(find_bundle(reference, models)) for reference in members],
            data,
            models / name / new_version(),
            OperatingPoints(sensitivity, missed),
            progress=sys.stderr.isatty(),
        )
    except MLError as error:
        raise click.ClickException(str(error)) from error
    figures = bundle.card.validation
    click.echo(
        f"validation: balanced accuracy {figures['balanced_accuracy']:.3f}, macro AUROC {figures['macro_auroc']:.3f}"
    )
    click.echo(f"{bundle.card.name}@{bundle.card.version}  {bundle.path}")
