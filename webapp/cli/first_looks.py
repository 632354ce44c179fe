"""First looks on the command line: how they are trained, measured and found."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import current_app

from ml.errors import MLError
from webapp.cli.folds import ALL
from webapp.cli.headlines import HEADLINES

if TYPE_CHECKING:
    from ml.preliminary import FirstLook


def train_preliminary(data: Path, fold: str | None, name: str | None, negatives: Path | None, seed: int) -> None:
    """`flask train --preliminary`: write a first look to the models folder as NAME/VERSION."""
    from ml.data.manifest import load_manifest
    from ml.train import new_version
    from ml.train_first_look import train_first_look

    logger = logging.getLogger("lesion_lens")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.StreamHandler())
    try:
        name = name or f"{load_manifest(data).label_set}-first-look"
        folder = current_app.config["LENS"].models / name / new_version()
        progress = sys.stderr.isatty()
        look = train_first_look(data, folder, negatives, fold=_one(fold), seed=seed, progress=progress)
    except MLError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{look.card.name}@{look.card.version}  {folder}")


def _one(fold: str | None) -> int | None:
    """The fold that `--fold` names; one first look answers for a label set, so it is of one fold."""
    if fold == ALL:
        raise click.UsageError("A first look is trained and measured on one fold: give its number with --fold.")
    return None if fold is None else int(fold)


def evaluate_preliminary(data: Path, fold: str | None, split: str, out: Path, resamples: int, seed: int) -> None:
    """`flask evaluate --first-look`: measure the first look for the data's label set."""
    from ml.data.manifest import load_manifest
    from ml.evaluate_first_look import FIGURES, evaluate_first_look
    from ml.preliminary import find_first_look, load_first_look

    try:
        label_set = load_manifest(data).label_set
        folder = find_first_look(label_set, current_app.config["LENS"].models)
        if folder is None:
            raise click.ClickException(none_for(label_set))
        look = load_first_look(folder)
        figures = evaluate_first_look(look, folder, data, split, out, fold=_one(fold), resamples=resamples, seed=seed)
    except MLError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{look.card.name}@{look.card.version} on {figures['n_images']} {split} images of {figures['n_lesions']} "
        f"lesions; refused {figures['gate']['refused']}"
    )
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "ece", "brier"):
        low, high = figures["intervals"][name]
        span = "" if low is None else f"[{low:.3f}, {high:.3f}]"
        value = "not defined" if figures[name] is None else f"{figures[name]:.3f}"
        click.echo(f"  {HEADLINES[name]:<44}{value:>7}  {span}")
    click.echo(f"  {'processor time a photo in ms, median':<44}{figures['cpu_ms']['median']:>7.1f}")
    click.echo(f"Figures: {out / FIGURES}")


def first_look_for(label_set: str) -> FirstLook | None:
    """The first look that goes with a label set, or None. Raises BundleError where it is damaged."""
    from ml.preliminary import find_first_look, load_first_look

    folder = find_first_look(label_set, current_app.config["LENS"].models)
    return None if folder is None else load_first_look(folder)


def none_for(label_set: str) -> str:
    """The sentence for a label set without one."""
    return f"There is no first look for '{label_set}'. `flask train --preliminary` makes one."
