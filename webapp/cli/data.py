"""`flask data`: prepare a dataset from a source, and audit one; preview.py shows what training sees of it."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask.cli import with_appcontext

from ml.data.manifest import LAYOUTS, MANIFEST, PARTS, PROMOTION, SPLITS, Dataset
from ml.data.sources import FORMATS, SourceFolder
from ml.errors import MLError
from webapp.cli.label_sets import LABEL_SET_HELP, known_label_set
from webapp.cli.preview import preview_command
from webapp.cli.reviewed import export_reviewed_command

if TYPE_CHECKING:
    from ml.data.audit import Audit

PROMOTION_SHARE = 10.0  # percent
_SHOWN = 10  # findings listed in a table; JSON has them all


class _Unusable(click.ClickException):
    """Input that cannot be audited at all, told apart from a dataset that leaks."""

    exit_code = 2


@click.group("data")
def data_cli() -> None:
    """Prepare, audit and look at datasets."""


data_cli.add_command(preview_command)
data_cli.add_command(export_reviewed_command)


def _parse_split(context: click.Context, parameter: click.Parameter, value: str) -> dict[str, float]:
    try:
        parts = [float(part) for part in value.split(",")]
    except ValueError:
        parts = []
    if len(parts) != len(SPLITS) or any(not 0 < part < float("inf") for part in parts):
        raise click.BadParameter("expected three positive numbers for train, val and test, such as 70,15,15")
    return {name: part / sum(parts) for name, part in zip(SPLITS, parts, strict=True)}


_folder = click.Path(path_type=Path, file_okay=False)


@data_cli.command("prepare")
@click.option("--source", "sources", required=True, multiple=True, type=_folder,
              help="Folder that holds the pictures and their labels. Repeatable, each with its --format.")  # fmt: skip
@click.option("--format", "formats", required=True, multiple=True, type=click.Choice(FORMATS),
              help="How the source is laid out.")  # fmt: skip
@click.option("--out", required=True, type=_folder, help="Folder to write manifest.csv and summary.json to.")
@click.option("--label-set", default="ham10000", show_default=True, help=LABEL_SET_HELP)
@click.option("--seed", default=0, show_default=True, help="Draws the split; the same seed gives the same split.")
@click.option("--split", "fractions", default="70,15,15", show_default=True, callback=_parse_split,
              help="Shares of train, val and test.")  # fmt: skip
@click.option("--promotion", type=click.FloatRange(0, 90),
              help="Percent of all pictures, taken from train, for the split that decides on promotions. 10 when left "
              "out; 0 for none.")  # fmt: skip
@click.option("--folds", type=click.IntRange(2), help="Make this many folds instead of one split.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="Also lay out dataset/<split>/<class>/.")
@click.option("--group-column", help="For 'folders': the column of manifest.csv or groups.csv that groups pictures.")
@with_appcontext
def prepare_command(
    sources: tuple[Path, ...],
    formats: tuple[str, ...],
    out: Path,
    label_set: str,
    seed: int,
    fractions: dict[str, float],
    promotion: float | None,
    folds: int | None,
    layout: str | None,
    group_column: str | None,
) -> None:
    """Check every picture, join near-duplicates, and split by lesion into train, val, test and promotion.

    Several sources become one dataset; pictures that they share stay on one side of the split.
    """
    from ml.data.prepare import prepare  # brings SciPy, which no other command and no server needs

    if len(sources) != len(formats):
        raise click.UsageError(
            f"{len(sources)} --source and {len(formats)} --format: give one format with each source."
        )
    if folds and promotion:
        raise click.UsageError("Folds have no promotion split; leave out --promotion.")
    first, *more = [SourceFolder(folder, name) for folder, name in zip(sources, formats, strict=True)]
    try:
        dataset = prepare(
            first.folder,
            first.format,
            out,
            more_sources=more,
            label_set=known_label_set(label_set),
            seed=seed,
            fractions=fractions,
            promotion=(PROMOTION_SHARE if promotion is None else promotion) / 100,
            folds=folds,
            layout=layout,
            group_column=group_column,
            progress=sys.stderr.isatty(),
        )
    except MLError as error:
        raise click.ClickException(str(error)) from None
    _print_summary(dataset)


@data_cli.command("promotion-set")
@click.argument("source", type=_folder)
@click.option("--format", "source_format", required=True, type=click.Choice(FORMATS), help="How SOURCE is laid out.")
@click.option("--data", required=True, type=_folder,
              help="The prepared dataset that gets the split; a folder that is not there yet becomes one.")  # fmt: skip
@click.option("--label-set", default="ham10000", show_default=True, help=LABEL_SET_HELP)
@click.option("--group-column", help="For 'folders': the column of manifest.csv or groups.csv that groups pictures.")
@with_appcontext
def promotion_set_command(
    source: Path, source_format: str, data: Path, label_set: str, group_column: str | None
) -> None:
    """Give data that were prepared without a promotion split one, from SOURCE.

    In SOURCE are pictures that nothing has learnt from yet, with their labels: reviewed cases (`flask data
    export-reviewed`) or another collection. What shows the same lesion as a picture of the prepared data, or looks like
    one, is left out. The split cannot be changed afterwards.
    """
    from ml.data.promotion_set import add_promotion_set

    try:
        dataset = add_promotion_set(
            data,
            SourceFolder(source, source_format),
            label_set=known_label_set(label_set),
            group_column=group_column,
            progress=sys.stderr.isatty(),
        )
    except MLError as error:
        raise click.ClickException(str(error)) from None
    found = dataset.summary["splits"][PROMOTION]
    _print_counts({PROMOTION: found["images_per_class"]})
    click.echo(f"Promotion split: {found['images']} images of {found['lesions']} lesions, {dataset.folder / MANIFEST}")
    for reason, count in dataset.summary["promotion"]["left_out_per_reason"].items():
        click.echo(f"Left out: {count} ({reason}).")


@data_cli.command("audit")
@click.argument("folder", type=_folder)
@click.option("--format", "output", default="table", show_default=True, type=click.Choice(["table", "json"]))
def audit_command(folder: Path, output: str) -> None:
    """Look for leaks between splits, class balance and image sizes.

    FOLDER is a prepared dataset, or holds train, val and test with a folder per class. Exit status: 0 nothing leaks,
    1 something does, 2 the folder or some of its pictures cannot be used.
    """
    from ml.data.audit import audit

    try:
        findings = audit(folder, progress=sys.stderr.isatty())
    except MLError as error:
        raise _Unusable(str(error)) from None
    if output == "json":
        click.echo(json.dumps(findings.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print_audit(findings)
    if findings.leaks:
        raise click.exceptions.Exit(1)
    if findings.problems:
        raise click.exceptions.Exit(_Unusable.exit_code)


@data_cli.command("severity-proxy")
@click.option("--data", required=True, type=_folder, help="A prepared dataset with the disease among its classes.")
@click.option("--disease", required=True, help="The class whose pictures are graded.")
@click.option("--out", required=True, type=_folder, help="Folder for the graded dataset and severity-proxy.json.")
@with_appcontext
def severity_proxy_command(data: Path, disease: str, out: Path) -> None:
    """Grade the pictures of one disease by an image-based proxy.

    The score is 0.3 area + 0.3 border irregularity + 0.2 darkness + 0.2 colour spread, each scaled on the training
    split, whose terciles part mild, moderate and severe. It is no clinical grade. The result is a prepared dataset for
    `flask train --stage severity --disease DISEASE`.
    """
    from ml.data.severity import PROXY_FILE, label_by_proxy
    from ml.severity_grades import PROXY_NOTE

    try:
        dataset = label_by_proxy(data, disease, out, progress=sys.stderr.isatty())
    except MLError as error:
        raise click.ClickException(str(error)) from None
    _print_summary(dataset)
    click.echo(f"Scales and terciles of the training split: {out / PROXY_FILE}. This is {PROXY_NOTE}.")


def _print_summary(dataset: Dataset) -> None:
    summary = dataset.summary
    if dataset.folds:
        _print_folds(summary)
    else:
        splits = summary["splits"]
        _print_counts({name: splits[name]["images_per_class"] for name in PARTS if name in splits})
    pairs, total = summary["near_duplicate_pairs"], summary["total"]
    click.echo(f"Images {total['images']}, lesions {total['lesions']}, groups kept together {total['groups']}.")
    click.echo(f"Near-duplicate pairs {pairs['all']}, of these across lesions {pairs['across_lesions']}.")
    for reason, count in summary["left_out_per_reason"].items():
        click.echo(f"Left out: {count} ({reason}).")
    click.echo(f"Written: {dataset.folder / MANIFEST}")


def _print_folds(summary: Mapping[str, Any]) -> None:
    folds = {f"fold {number}": parts for number, parts in enumerate(summary["fold_splits"], start=1)}
    click.echo("Test pictures of each fold:")
    _print_counts({name: parts["test"]["images_per_class"] for name, parts in folds.items()})
    for name, parts in folds.items():
        extra = parts["train"].get("augmented", 0)
        told = f" ({extra} of them augmented)" if extra else ""
        train, val, test = (parts[split]["images"] for split in SPLITS)
        click.echo(f"{name.capitalize()}: train {train}{told}, val {val}, test {test}.")
    odd = {times: count for times, count in summary["times_tested"].items() if times != "1"}
    if odd:
        told = ", ".join(f"{count} in {times}" for times, count in odd.items())
        click.echo(f"Not every picture is tested in exactly one fold: {told}.")


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    """A table of images: a row a class, a column a split or fold."""
    labels = list(next(iter(counts.values())))
    width = max(len("class"), *(len(label) for label in labels))
    click.echo("  ".join(["class".ljust(width), *(name.rjust(7) for name in counts), "total".rjust(7)]))
    for label in labels:
        row = [per_class[label] for per_class in counts.values()]
        click.echo("  ".join([label.ljust(width), *(str(count).rjust(7) for count in [*row, sum(row)])]))
    sums = [sum(per_class.values()) for per_class in counts.values()]
    click.echo("  ".join(["total".ljust(width), *(str(count).rjust(7) for count in [*sums, sum(sums)])]))


def _print_audit(findings: "Audit") -> None:
    _print_counts(findings.images_per_split)
    for side, spread in findings.sizes.items():
        click.echo(f"{side.capitalize()}: {spread['min']:g} to {spread['max']:g} px, median {spread['median']:g}.")
    click.echo(f"Images {findings.images}, lesions {findings.lesions}.")
    click.echo(f"Near-duplicate pairs, within and across splits: {findings.near_duplicate_pairs}.")
    for problem in findings.problems[:_SHOWN]:
        click.echo(f"Problem: {problem['image']}: {problem['reason']}.")
    if len(findings.problems) > _SHOWN:
        click.echo(f"Problem: {len(findings.problems) - _SHOWN} more pictures.")
    if not findings.leaks:
        click.echo("No leak between splits.")
        return
    for kind, count in findings.to_dict()["leaks_per_kind"].items():
        click.echo(f"LEAK: {count} shared between splits by {kind.replace('_', ' ')}.")
    for leak in findings.leaks[:_SHOWN]:
        places = ", ".join(f"{image} ({split})" for image, split in leak.images.items())
        what = f"{leak.kind.replace('_', ' ')} {leak.name}".strip() + (f", fold {leak.fold}" if leak.fold else "")
        click.echo(f"  {what}: {places}")
    if len(findings.leaks) > _SHOWN:
        click.echo(f"  and {len(findings.leaks) - _SHOWN} more.")
