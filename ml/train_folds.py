"""`train_folds`: a model for each fold of a prepared data set, none of which learns from what its fold tests."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ml.bundle import Bundle
from ml.data.manifest import load_manifest
from ml.errors import TrainingError
from ml.train import train
from ml.training.config import TrainingConfig


def fold_folder(bundle_folder: Path, fold: int) -> Path:
    """Where the model of a fold goes that `bundle_folder` (NAME/VERSION) is asked for: NAME-fold-N/VERSION."""
    return bundle_folder.parent.with_name(f"{bundle_folder.parent.name}-fold-{fold}") / bundle_folder.name


def chosen_folds(data: Path, fold: str) -> tuple[int, ...]:
    """The folds that `fold` names: a number from 1, or 'all'. Raises TrainingError where the data has no such fold."""
    count = load_manifest(data).folds
    if not count:
        raise TrainingError(f"{data} has no folds; prepare it with --folds 5, or train without --fold.")
    if fold == "all":
        return tuple(range(1, count + 1))
    if not fold.isdecimal() or not 1 <= int(fold) <= count:
        raise TrainingError(f"There is no fold '{fold}'; give 1 to {count}, or all.")
    return (int(fold),)


def train_folds(
    config: TrainingConfig, data: Path, run_folder: Path, bundle_folder: Path, folds: Sequence[int], **options: Any
) -> list[Bundle]:
    """Train one model for each of these folds, by itself, as `ml.train.train` does; `options` are that one's.

    Fold N's run is in `run_folder/fold-N`, its model in NAME-fold-N/VERSION for a `bundle_folder` NAME/VERSION.
    """
    bundles = []
    for fold in folds:
        run, bundle = run_folder / f"fold-{fold}", fold_folder(bundle_folder, fold)
        bundles.append(train(replace(config, fold=fold), data, run, bundle, **options))
    return bundles
