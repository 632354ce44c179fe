"""`flask compare`: models beside each other, and beside what others published."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from ml.errors import MLError


@click.command("compare")
@click.argument("models", nargs=-1, required=True, metavar="BUNDLE...")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Prepared data that models without an evaluation were trained on: they get one, on test. Repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for tables and picture.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads to time with.")
@click.option("--runs", type=click.IntRange(1), default=20, show_default=True, help="Answers to time.")
@click.option("--onnx/--no-onnx", default=False, show_default=True, help="Also export each model, and time that.")
@click.option(
    "--earlier",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A comparison.json whose rows are kept for models that are not named now.",
)
@with_appcontext
def compare_command(
    models: tuple[str, ...],
    data: tuple[Path, ...],
    out: Path | None,
    threads: int,
    runs: int,
    onnx: bool,
    earlier: Path | None,
) -> None:
    """Quality, size and speed of models in one table, with the published figures below.

    BUNDLE is NAME, NAME@VERSION or a path; or the NAME that `flask train --fold all --out NAME` had, for mean and
    deviation over its folds. Figures are read from the evaluation beside each bundle. Prints Markdown; with --out also
    writes comparison.json, .csv, .html, .md and .svg.
    """
    from ml.bundle import naming
    from ml.compare import STEM, compare, find_group, with_earlier, write_comparison
    from ml.compare_tables import as_markdown

    before = _read(earlier) if earlier is not None else {}
    try:
        groups = [find_group(name, current_app.config["LENS"].models) for name in models]
        for bundle in chain.from_iterable(groups):
            naming(bundle)
        content = compare(groups, data, threads=threads, onnx=onnx, runs=runs)
        if before:
            content = with_earlier(content, before)
        if out is not None:
            write_comparison(content, out)
    except MLError as error:
        raise click.ClickException(str(error)) from error
    for row in content["models"]:
        if not row["figures"]:
            click.echo(
                f"{row['name']} has no evaluation of test beside it; give --data with what it was trained on.", err=True
            )
    click.echo(as_markdown(content), nl=False)
    if out is not None:
        click.echo(f"Written: {out / STEM}.json, .csv, .html, .md, .svg", err=True)


def _read(path: Path) -> dict[str, Any]:
    """An earlier comparison. Raises ClickException where the file is none."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if {"machine", "models"} <= set(content) and all("name" in row for row in content["models"]):
            return content
    except (OSError, ValueError, TypeError):
        pass
    raise click.ClickException(f"{path.name} is no comparison.json that this command wrote.")
