"""Models of folds on the command line: which ones a name stands for, and their figures as lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import current_app

from webapp.cli.headlines import HEADLINES

if TYPE_CHECKING:
    from ml.bundle import Bundle

ALL = "all"


def checked_fold(context: click.Context, parameter: click.Parameter, fold: str | None) -> str | None:
    """The option `--fold`: a number from 1, or 'all'."""
    if fold is not None and fold != ALL and not (fold.isdecimal() and int(fold) > 0):
        raise click.BadParameter(f"'{fold}' is neither a number from 1 nor '{ALL}'.")
    return fold


def fold_bundles(name: str | None, data: Path) -> list["Bundle"]:
    """The models NAME-fold-1, NAME-fold-2, ... of the data's folds, verified; the newest, or that of NAME@VERSION.

    Raises BundleError where one is missing or damaged, DatasetError where the data cannot be read or has no folds.
    """
    from ml.bundle import find_bundle, load_bundle
    from ml.data.manifest import load_manifest
    from ml.errors import DatasetError

    count = load_manifest(data).folds
    if not count:
        raise DatasetError(f"{data} has no folds; prepare it with --folds 5, or leave out --fold.")
    if name is None:
        raise click.UsageError("--fold all needs --model NAME, the name that `flask train --fold all --out NAME` had.")
    stem, at, version = name.partition("@")
    models = current_app.config["LENS"].models
    return [load_bundle(find_bundle(f"{stem}-fold-{number}{at}{version}", models)) for number in range(1, count + 1)]


def fold_lines(content: Mapping[str, Any]) -> list[str]:
    """The content of `folds.json` as lines of a table: mean and deviation over folds, then each fold's value."""
    images = sum(row["n_images"] for row in content["folds"])
    lines = [f"{len(content['folds'])} folds, {images} {content['split']} images; mean, deviation, and each fold:"]
    for name, title in HEADLINES.items():
        row = content["figures"].get(name)
        if row is None or row["mean"] is None:
            continue
        deviation = "" if row["deviation"] is None else f"+- {row['deviation']:.3f}"
        each = "  ".join("-" if fold[name] is None else f"{fold[name]:.3f}" for fold in content["folds"])
        lines.append(f"  {title:<44}{row['mean']:>7.3f}  {deviation:<9} {each}")
    return lines
