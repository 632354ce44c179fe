"""`flask evaluate`: how good a model is on a split it has not seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from ml.errors import MLError
from webapp.cli.bundles import MODEL_HELP, chosen_bundle

HEADLINES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "macro_auroc": "macro AUROC",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
    "malignant_auroc": "malignant: AUROC",
    "malignant_sensitivity": "malignant: sensitivity",
    "malignant_specificity": "malignant: specificity",
    "status_malignant_sensitivity": "status malignant: sensitivity",
    "status_malignant_specificity": "status malignant: specificity",
    "status_malignant_or_uncertain_sensitivity": "status malignant or uncertain: sensitivity",
}


@click.command("evaluate")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder made by `flask data prepare`.")
@click.option(
    "--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True, help="Images to answer."
)
@click.option("--model", metavar="BUNDLE", help=MODEL_HELP)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for report, figures and pictures.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True, help="Images held at a time.")
@click.option("--resamples", type=click.IntRange(1), default=1000, show_default=True, help="Bootstrap resamples.")
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
@with_appcontext
def evaluate_command(
    data: Path, split: str, model: str | None, out: Path, batch_size: int, resamples: int, seed: int
) -> None:
    """Measure a model on a split of prepared data, with intervals.

    Writes metrics.json, report.html, predictions.csv and the pictures of the report to --out.
    """
    from ml.evaluate import evaluate

    try:
        figures = evaluate(
            chosen_bundle(model), data, split, out, batch_size=batch_size, resamples=resamples, seed=seed
        )
    except MLError as error:
        raise click.ClickException(str(error)) from error
    for line in summary(figures):
        click.echo(line)
    if figures["overlap_with_training"]["verdict"] != "none":
        click.secho(f"Warning: {figures['overlap_with_training']['message']}", fg="yellow", err=True)
    click.echo(f"Report: {out / 'report.html'}")


def summary(figures: Mapping[str, Any]) -> list[str]:
    """The headline figures of `metrics.json` as lines of a table."""
    bundle = figures["bundle"]
    lines = [
        f"{bundle['name']}@{bundle['version']} on {figures['n_images']} {figures['split']} images "
        f"of {figures['n_lesions']} lesions; refused {figures['gate']['refused']}"
    ]
    for name, title in HEADLINES.items():
        if name not in figures["intervals"]:
            continue
        value, (low, high) = _value(figures, name), figures["intervals"][name]
        span = "" if low is None else f"[{low:.3f}, {high:.3f}]"
        lines.append(f"  {title:<44}{'not defined' if value is None else f'{value:.3f}':>7}  {span}")
    return lines


def _value(figures: Mapping[str, Any], name: str) -> float | None:
    for part in ("malignant", "status"):
        if name.startswith(f"{part}_"):
            value: float | None = figures[part][name.removeprefix(f"{part}_")]
            return value
    plain: float | None = figures[name]
    return plain
