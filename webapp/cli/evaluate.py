"""`flask evaluate`: how good a model is on a split it has not seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask.cli import with_appcontext

from ml.errors import MLError
from ml.files import write_bytes
from webapp.cli.bundles import MODEL_HELP, chosen_bundle
from webapp.cli.first_looks import evaluate_preliminary
from webapp.cli.folds import ALL, checked_fold, fold_bundles, fold_lines
from webapp.cli.headlines import HEADLINES

if TYPE_CHECKING:
    from ml.card import Card

KEPT_IN, KEPT = "evaluation", ("predictions.csv", "metrics.json")
# What thresholds are asked for where the card of the model does not say.
SENSITIVITY, MISSED = 0.90, 0.02


@click.command("evaluate")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder made by `flask data prepare`.")
@click.option(
    "--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True, help="Images to answer."
)
@click.option(
    "--fold",
    callback=checked_fold,
    help="Of data with folds: a number from 1, or 'all' with --model NAME for NAME-fold-1 and so on.",
)
@click.option("--model", metavar="BUNDLE", help=MODEL_HELP)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for report, figures and pictures.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True, help="Images held at a time.")
@click.option("--member", type=click.IntRange(0), help="One network of an ensemble by itself, counted from 0.")
@click.option(
    "--sensitivity",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Also fix thresholds anew on validation: lower bound asked of the malignant one. [default: the model's]",
)
@click.option(
    "--missed",
    type=click.FloatRange(0, 1, max_open=True),
    help="As --sensitivity: share of malignant lesions that benign may miss. [default: the model's]",
)
@click.option(
    "--malignant-threshold",
    type=click.FloatRange(0, 1),
    help="Also try this threshold on malignant risk, with the next one.",
)
@click.option(
    "--uncertain-threshold", type=click.FloatRange(0, 1), help="As --malignant-threshold: benign lies below it."
)
@click.option(
    "--gate-pictures",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    help="Folder of pictures for the gate: not_skin/ and clinical_photos/, or types of photos of skin. Repeatable.",
)
@click.option(
    "--explain",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Measure heatmaps on so many images; each takes about 22 answers.",
)
@click.option(
    "--first-look",
    is_flag=True,
    help="Measure the first look for the data's label set instead; of the other options only --split, --out, "
    "--resamples and --seed count.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Keep figures and answers beside the model too, where its pages show them. Of the whole test split only.",
)
@click.option("--resamples", type=click.IntRange(1), default=1000, show_default=True, help="Bootstrap resamples.")
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
@with_appcontext
def evaluate_command(
    data: Path,
    split: str,
    fold: str | None,
    model: str | None,
    out: Path,
    batch_size: int,
    member: int | None,
    sensitivity: float | None,
    missed: float | None,
    malignant_threshold: float | None,
    uncertain_threshold: float | None,
    gate_pictures: tuple[Path, ...],
    explain: int,
    first_look: bool,
    keep: bool,
    resamples: int,
    seed: int,
) -> None:
    """Measure a model on a split of prepared data, with intervals.

    Writes metrics.json, report.html, predictions.csv and the pictures of the report to --out; with --fold all, to a
    folder for each fold there, and mean and deviation of each figure to folds.json.
    """
    if keep and (split != "test" or fold == ALL or member is not None or first_look):
        raise click.UsageError("--keep is for a whole model on the test split.")
    if first_look:
        evaluate_preliminary(data, fold, split, out, resamples, seed)
        return
    from ml.evaluate import Request, evaluate
    from ml.evaluate_folds import FOLDS_FILE, evaluate_folds

    thresholds = _given(malignant_threshold, uncertain_threshold)
    how: dict[str, Any] = {"batch_size": batch_size, "resamples": resamples, "seed": seed}
    try:
        bundles = fold_bundles(model, data) if fold == ALL else [chosen_bundle(model, grading=True)]
        if member is not None:
            bundles = [bundle.member(member) for bundle in bundles]
        request = Request(*_asked(bundles[0].card, sensitivity, missed), thresholds, gate_pictures, explain)
        if fold == ALL:
            for line in fold_lines(evaluate_folds(bundles, data, split, out, request, **how)):
                click.echo(line)
            click.echo(f"Figures: {out / FOLDS_FILE}")
            return
        figures = evaluate(bundles[0], data, split, out, request, fold=int(fold) if fold else None, **how)
        if keep:
            keep_evaluation(bundles[0].path, out)
    except MLError as error:
        raise click.ClickException(str(error)) from error
    for line in summary(figures):
        click.echo(line)
    if figures["overlap_with_training"]["verdict"] != "none":
        click.secho(f"Warning: {figures['overlap_with_training']['message']}", fg="yellow", err=True)
    click.echo(f"Report: {out / 'report.html'}")


def keep_evaluation(bundle: Path, out: Path) -> None:
    """Copy an evaluation to the folder `evaluation` of its bundle. Raises ClickException where it cannot be written."""
    try:
        (bundle / KEPT_IN).mkdir(exist_ok=True)
        for name in KEPT:
            write_bytes(bundle / KEPT_IN / name, (out / name).read_bytes())
    except OSError as error:
        raise click.ClickException(f"Cannot write to {bundle / KEPT_IN}: {error.strerror}.") from error


def _asked(card: "Card", sensitivity: float | None, missed: float | None) -> tuple[float | None, float | None]:
    """Both requests, one that is not given being what the model was trained for; none where neither is given."""
    if sensitivity is None and missed is None:
        return None, None
    own = card.asked
    return (
        own.get("sensitivity", SENSITIVITY) if sensitivity is None else sensitivity,
        own.get("missed", MISSED) if missed is None else missed,
    )


def _given(malignant: float | None, uncertain: float | None) -> dict[str, float] | None:
    if malignant is None and uncertain is None:
        return None
    if malignant is None or uncertain is None or uncertain > malignant:
        raise click.UsageError(
            "Give --malignant-threshold and --uncertain-threshold together, the second not above the first."
        )
    return {"malignant": malignant, "uncertain": uncertain}


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
    if graded := figures.get("severity"):
        low, high = graded["intervals"]["quadratic_kappa"]
        span = "" if low is None else f"  [{low:.3f}, {high:.3f}]"
        lines.append(
            f"Severity of {graded['disease']}, against {graded['note']}: quadratic kappa "
            f"{_shown(graded['quadratic_kappa'])}{span}, accuracy {_shown(graded['accuracy'])}"
        )
    for point in figures["operating_points"][1:]:
        levels, found = point["thresholds"], point["malignant_or_uncertain_sensitivity"]
        lines.append(
            f"Thresholds {point['name']} ({levels['malignant']:.4f}, {levels['uncertain']:.4f}): "
            f"sensitivity {_shown(point['malignant_sensitivity'])} at specificity "
            f"{_shown(point['malignant_specificity'])}; malignant or uncertain {_shown(found)}"
        )
    judged = figures["gate_pictures"] or {"rows": []}
    for row in judged["rows"]:
        if row["type"] is None:
            lines.append(
                f"Gate, {row['kind'].replace('_', ' ')}: {row['refused']} of {row['pictures']} refused, "
                f"{row['right']} with the right verdict"
            )
    if judged.get("caution"):
        lines.append(judged["caution"])
    return lines


def _shown(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _value(figures: Mapping[str, Any], name: str) -> float | None:
    for part in ("malignant", "status"):
        if name.startswith(f"{part}_"):
            value: float | None = figures[part][name.removeprefix(f"{part}_")]
            return value
    plain: float | None = figures[name]
    return plain
