"""`flask data`: prepare a dataset from a source, and audit one."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml.data.manifest import LAYOUTS, MANIFEST, SPLITS, Dataset
from ml.data.sources import FORMATS
from ml.errors import MLError
from ml.labels import taxonomy_names

if TYPE_CHECKING:
    from ml.data.audit import Audit

_SHOWN = 10  # findings listed in a table; JSON has them all


class _Unusable(click.ClickException):
    """Input that cannot be audited at all, told apart from a dataset that leaks."""

    exit_code = 2


@click.group("data")
def data_cli() -> None:
    """Prepare and audit datasets."""


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
@click.option("--source", required=True, type=_folder, help="Folder that holds the pictures and their labels.")
@click.option(
    "--format", "source_format", required=True, type=click.Choice(FORMATS), help="How the source is laid out."
)
@click.option("--out", required=True, type=_folder, help="Folder to write manifest.csv and summary.json to.")
@click.option("--label-set", default="ham10000", show_default=True, type=click.Choice(taxonomy_names()))
@click.option("--seed", default=0, show_default=True, help="Draws the split; the same seed gives the same split.")
@click.option("--split", "fractions", default="70,15,15", show_default=True, callback=_parse_split,
              help="Shares of train, val and test.")  # fmt: skip
@click.option("--layout", type=click.Choice(LAYOUTS), help="Also lay out dataset/<split>/<class>/.")
@click.option("--group-column", help="For 'folders': the column of manifest.csv or groups.csv that groups pictures.")
def prepare_command(
    source: Path,
    source_format: str,
    out: Path,
    label_set: str,
    seed: int,
    fractions: dict[str, float],
    layout: str | None,
    group_column: str | None,
) -> None:
    """Check every picture, join near-duplicates, and split by lesion into train, val and test."""
    from ml.data.prepare import prepare  # brings SciPy, which no other command and no server needs

    try:
        dataset = prepare(
            source,
            source_format,
            out,
            label_set=label_set,
            seed=seed,
            fractions=fractions,
            layout=layout,
            group_column=group_column,
            progress=sys.stderr.isatty(),
        )
    except MLError as error:
        raise click.ClickException(str(error)) from None
    _print_summary(dataset)


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


def _print_summary(dataset: Dataset) -> None:
    splits = dataset.summary["splits"]
    _print_counts({name: splits[name]["images_per_class"] for name in SPLITS})
    pairs = dataset.summary["near_duplicate_pairs"]
    total = dataset.summary["total"]
    click.echo(f"Images {total['images']}, lesions {total['lesions']}, groups kept together {total['groups']}.")
    click.echo(f"Near-duplicate pairs {pairs['all']}, of these across lesions {pairs['across_lesions']}.")
    for reason, count in dataset.summary["left_out_per_reason"].items():
        click.echo(f"Left out: {count} ({reason}).")
    click.echo(f"Written: {dataset.folder / MANIFEST}")


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    """A table of images: a row a class, a column a split."""
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
        what = f"{leak.kind.replace('_', ' ')} {leak.name}".strip()
        click.echo(f"  {what}: {places}")
    if len(findings.leaks) > _SHOWN:
        click.echo(f"  and {len(findings.leaks) - _SHOWN} more.")
