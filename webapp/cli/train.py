"""`flask train`: from a prepared data set to a bundle."""

import hashlib
import logging
import os
import re
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import current_app
from flask.cli import with_appcontext

from ml.architectures import DEFAULT_ARCHITECTURE, architecture_names, find_architecture
from ml.bundle import find_bundle
from ml.data.manifest import load_manifest
from ml.errors import MLError
from ml.labels import STAGES
from ml.run_folder import has_checkpoint
from ml.severity_grades import DISEASES, LABEL_SET, STAGE, bundle_name
from webapp.cli.augmentation import augmentation_options, balancing_options, with_augmentation
from webapp.cli.first_looks import train_preliminary
from webapp.cli.folds import checked_fold
from webapp.cli.label_sets import LABEL_SET_HELP, known_label_set
from webapp.cli.operating_points import operating_point_options
from webapp.cli.reviewed import export_reviewed
from webapp.cli.view_sets import VIEW_SET
from webapp.promotion.decisions import promotion_folder
from webapp.reviews.copies import FOLDER
from webapp.reviews.training_set import CARD, Wanted
from webapp.training.allocator import tuned

if TYPE_CHECKING:
    from ml.training.config import TrainingConfig


def checked_name(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """An option that becomes the name of a folder, and the part before the @ of NAME@VERSION."""
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise click.BadParameter("use letters, digits, '.', '_' and '-' alone, and begin with a letter or digit.")
    return name


@click.command("train")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder made by `flask data prepare`.")
@click.option(
    "--fold",
    callback=checked_fold,
    help="Of data with folds: a number from 1, or 'all' for one model each, NAME-fold-1 and so on.",
)
@click.option("--label-set", default="ham10000", show_default=True, help=LABEL_SET_HELP)
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default=STAGES[0],
    show_default=True,
    help="What the classes are: diseases, or mild, moderate and severe of one --disease.",
)
@click.option("--disease", help=f"With --stage severity: one of {', '.join(DISEASES)}.")
@click.option(
    "--out", "name", callback=checked_name, help="Name of the bundle. [default: LABEL_SET-ARCH, or severity-DISEASE]"
)
@click.option("--arch", default=DEFAULT_ARCHITECTURE, show_default=True, type=click.Choice(architecture_names()))
@click.option("--weights", default="imagenet", show_default=True, help="imagenet, none, a weights file or a bundle.")
@click.option("--image-size", type=int, help="Input side in pixels. [default: the architecture's own]")
@click.option("--serving-size", type=int, help="Input side of the finished bundle. [default: as in training]")
@click.option("--epochs", default=30, show_default=True)
@click.option("--head-epochs", default=1, show_default=True, help="First epochs in which only the head learns.")
@click.option("--batch-size", default=24, show_default=True)
@click.option("--head-rate", default=1e-3, show_default=True, help="Learning rate of the head.")
@click.option("--backbone-rate", default=1e-3, show_default=True, help="Learning rate of the backbone's last layer.")
@click.option("--early-rate", default=4e-4, show_default=True, help="Learning rate of the backbone's first layer.")
@click.option("--weight-decay", default=0.02, show_default=True)
@click.option("--schedule", default="plateau", show_default=True, type=click.Choice(["plateau", "cosine"]))
@click.option("--warmup-epochs", default=0.5, show_default=True, help="Length of the rise of the learning rates.")
@click.option("--plateau-patience", default=2, show_default=True)
@click.option("--plateau-factor", default=0.3, show_default=True)
@click.option(
    "--patience", default=5, show_default=True, help="Epochs without a better validation figure to stop after."
)
@balancing_options
@click.option("--loss", default="cross-entropy", show_default=True, type=click.Choice(["cross-entropy", "focal"]))
@click.option("--focal-gamma", default=2.0, show_default=True, help="How far the focal loss turns to hard images.")
@click.option("--label-smoothing", default=0.05, show_default=True)
@click.option("--mixup", default=0.0, show_default=True, help="Strength of mixup; 0 for none, 0.2 is usual.")
@click.option("--cutmix", default=0.0, show_default=True, help="Strength of cutmix; 0 for none, 1 is usual.")
@click.option("--dropout", default=0.5, show_default=True)
@click.option("--average-decay", default=0.999, show_default=True, help="Of the moving average of weights; 0 for none.")
@click.option(
    "--reset-batch-norm/--keep-batch-norm", default=False, help="Measure normalisation statistics anew first."
)
@click.option("--batch-norm-momentum", type=float, help="[default: the architecture's own]")
@click.option("--teacher", help="A bundle whose answers the network also learns from.")
@click.option("--distillation", default=0.5, show_default=True, help="Share of the teacher in the loss.")
@click.option("--distillation-temperature", default=2.0, show_default=True)
@click.option("--test-time-views", default="eight", show_default=True, type=VIEW_SET)
@augmentation_options
@operating_point_options
@click.option("--packed", is_flag=True, help="Store the weights in a byte each: half the size.")
@click.option(
    "--compile/--no-compile",
    "compiled",
    default=True,
    help="Add the graph that makes answers on CPUs faster. [default: --compile]",
)
@click.option(
    "--gate-negatives",
    type=click.Path(path_type=Path),
    help="Folder with not_skin/ and clinical_photos/; for ordinary photos with not_skin/ and dermatoscopic/. "
    "[default: that of GATE_PICTURES]",
)
@click.option(
    "--preliminary",
    is_flag=True,
    help="Train a first look instead, by what is measured of a lesion (docs/first-look.md); of the other options only "
    "--data, --fold, --out, --gate-negatives and --seed count. [name: LABEL_SET-first-look]",
)
@click.option(
    "--include-reviewed",
    is_flag=True,
    help="Add what reviewers agree on, of people who allow training, to the training split, and to no other.",
)
@click.option("--min-reviewers", type=click.IntRange(1), default=1, show_default=True, help="For --include-reviewed.")
@click.option("--blind-only", is_flag=True, help="For --include-reviewed: only classes chosen before the model's.")
@click.option("--seed", default=0, show_default=True)
@click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bf16"]))
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@click.option("--threads", default=0, show_default=True, help="CPU threads; 0 for all.")
@click.option("--workers", default=-1, show_default=True, help="Loader processes; -1 to choose.")
@click.option(
    "--run", "run_folder", type=click.Path(path_type=Path), help="Checkpoints and curves. [default: runs/NAME]"
)
@click.option("--resume", is_flag=True, help="Go on with the run in --run.")
@click.option(
    "--stop-after", type=float, help="Minutes after which to stop, with a usable bundle, to be resumed later."
)
@with_appcontext
def train_command(
    data: Path,
    fold: str | None,
    stage: str,
    name: str | None,
    run_folder: Path | None,
    resume: bool,
    stop_after: float | None,
    gate_negatives: Path | None,
    preliminary: bool,
    include_reviewed: bool,
    min_reviewers: int,
    blind_only: bool,
    **options: Any,
) -> None:
    """Train a network on a prepared data set and write it as a bundle to the models folder.

    The output is NAME/VERSION there, with --fold NAME-fold-N/VERSION; evaluate it with `flask evaluate --model NAME`. A
    run that was killed, or stopped by --stop-after, goes on with --resume to the result that an unbroken run would have
    had.
    """
    gate_negatives = gate_negatives or current_app.config["LENS"].gate_folder
    if preliminary:
        train_preliminary(data, fold, name, gate_negatives, options["seed"])
        return
    if (stage == STAGE) != (options["disease"] is not None):
        raise click.UsageError("--stage severity and --disease belong together.")
    if stage == STAGE:
        options["label_set"] = LABEL_SET
        name = name or bundle_name(options["disease"])
    options["label_set"] = known_label_set(options["label_set"])
    try:
        load_manifest(data)  # before all that takes seconds to begin
    except MLError as error:
        raise click.ClickException(str(error)) from error
    _tune_allocator()
    from ml.train import new_version, train
    from ml.train_folds import chosen_folds, train_folds

    options["architecture"] = options.pop("arch")
    models = current_app.config["LENS"].models
    for option in ("weights", "teacher"):
        options[option] = _as_path(options[option], models)
    name = name or f"{options['label_set']}-{options['architecture']}"
    run_folder = run_folder or Path("runs") / name
    run_folder.mkdir(parents=True, exist_ok=True)
    _log_to(run_folder / "train.log")
    how: dict[str, Any] = {
        "negatives": gate_negatives,
        "resume": resume,
        "stop_after": float("inf") if stop_after is None else 60 * stop_after,
        "progress_bar": sys.stderr.isatty(),
    }
    if include_reviewed:
        wanted = Wanted(options["label_set"], min_reviewers, blind_only)
        how["reviewed"] = _reviewed(run_folder, wanted, resume=resume)
        how["apart"] = promotion_folder(current_app.config["LENS"], options["label_set"])
    try:
        config, folder = _config(options), models / name / new_version()
        if fold is None:
            bundles = [train(config, data, run_folder, folder, **how)]
        else:
            bundles = train_folds(config, data, run_folder, folder, chosen_folds(data, fold), **how)
    except MLError as error:
        raise click.ClickException(str(error)) from error
    for bundle in bundles:
        click.echo(f"{bundle.card.name}@{bundle.card.version}  {bundle.path}")


def reviewed_folder(run_folder: Path) -> Path:
    """Where a run has its copies of reviewed cases: below the folder of all runs, wherever its own folder is, since a
    deletion looks for them there."""
    runs = current_app.config["LENS"].runs.resolve()
    home = run_folder.resolve()
    if home.parent != runs:
        home = runs / f"{home.name}-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    return home / FOLDER


def _reviewed(run_folder: Path, wanted: Wanted, *, resume: bool) -> Path | None:
    """The reviewed cases for a run, as a folder: made anew for a new run, the same ones for a resumed one.

    None for a resumed run whose cases were all taken away: it goes on without them.
    """
    folder = reviewed_folder(run_folder)
    if resume and (folder / CARD).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    card = export_reviewed(folder, wanted)
    if not card["images"] and resume and has_checkpoint(run_folder):
        return None
    if not card["images"]:
        raise click.ClickException(
            "There are no reviewed cases to include: none is undisputed, has a class of the label set, and is of a "
            "person who allows training. Train without --include-reviewed."
        )
    return folder


def _as_path(reference: str | None, models: Path) -> str | None:
    """A bundle given as NAME or NAME@VERSION as the path of its folder; anything else as it is."""
    if reference is None or reference in ("imagenet", "none") or Path(reference).exists():
        return reference
    try:
        return str(find_bundle(reference, models))
    except MLError:
        return reference


def _config(options: dict[str, Any]) -> "TrainingConfig":
    from ml.training.config import OperatingPoints, TrainingConfig

    options["image_size"] = options["image_size"] or find_architecture(options["architecture"]).image_size
    points = {f.name: options.pop(f.name) for f in fields(OperatingPoints)}
    return replace(TrainingConfig(**with_augmentation(options)), operating_points=OperatingPoints(**points))


def _tune_allocator() -> None:
    """Start this command once more with the allocator set up for training; it reads its settings at start only."""
    environment = tuned()
    if environment is not None:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606


def _log_to(path: Path) -> None:
    logger = logging.getLogger("lesion_lens")
    logger.setLevel(logging.INFO)
    form = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")
    for handler in (logging.StreamHandler(), logging.FileHandler(path, encoding="utf-8")):
        handler.setFormatter(form)
        logger.addHandler(handler)
