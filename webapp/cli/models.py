"""`flask models`: which models there are, which one answers, and what takes its place."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup
from tqdm import tqdm

from ml.errors import MLError
from webapp import audit
from webapp.cli.operating_points import operating_point_options
from webapp.cli.view_sets import VIEW_SET
from webapp.config import Config
from webapp.inference import get_models
from webapp.model_page.facts import read_model
from webapp.promotion.catalogue import Entry, entries
from webapp.promotion.decisions import Refused, decide, installed, make_pair, rollback, set_shadow
from webapp.promotion.reasons import figure_name, points, sentence

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "ece")
models_cli = AppGroup("models", help="Look at models, and decide which one answers.")


@contextmanager
def _told() -> Iterator[None]:
    """Errors as one sentence."""
    try:
        yield
    except (Refused, MLError) as error:
        raise click.ClickException(str(error)) from None


@models_cli.command("list")
def list_models() -> None:
    """Every bundle: what it is, where it is from, and whether it answers."""
    for entry in entries(_config()):
        told = entry.problem or f"{entry.label_set}, {entry.origin}"
        click.echo(f"{entry.reference}\t{entry.role or '-'}\t{told}")
    for one in get_models().starts():
        click.echo(
            f"'{one.name}' in MODEL stands for {one.name}@{one.version} since {one.at:%Y-%m-%d %H:%M} UTC.", err=True
        )
    for problem in get_models().problems():
        click.echo(problem, err=True)


@models_cli.command("show")
@click.argument("name")
def show(name: str) -> None:
    """One bundle: its card in short, and its figures."""
    entry = _entry(name)
    if entry.bundle is None:
        raise click.ClickException(entry.problem)
    card = entry.bundle.card
    click.echo(f"{entry.reference}  {entry.role or 'does not answer'}")
    click.echo(f"Label set {card.label_set}: {', '.join(card.classes)}")
    networks = ", ".join(member["architecture"] for member in card.members) or card.architecture
    click.echo(f"Network {networks}, {card.image_size} pixels; licence: {card.licence}")
    for line in _figures([entry]):
        click.echo(line)


@models_cli.command("compare")
@click.argument("names", nargs=-1, required=True)
def compare(names: tuple[str, ...]) -> None:
    """Figures of two or more bundles side by side, from the evaluations beside them."""
    for line in _figures([_entry(name) for name in names]):
        click.echo(line)


@models_cli.command("check")
@click.argument("name")
def check(name: str) -> None:
    """Compare a bundle with the model that answers, on the promotion set, and keep the numbers; no more than that."""
    with _told():
        numbers = _checked(name)
    _print_numbers(numbers)


@models_cli.command("promote")
@click.argument("name")
@click.option("--force", metavar="REASON", help="Promote it whatever the numbers say. The reason is recorded.")
def promote(name: str, force: str | None) -> None:
    """Let a bundle answer in place of the one that does, if the numbers allow it.

    Both answer the promotion set first. It is refused where it could miss more malignant lesions, where its percentages
    cannot be believed, or where the set is too small to tell. Running processes switch within a second.
    """
    if force is not None and not force.strip():
        raise click.UsageError("--force needs a reason.")
    with _told():
        pair = make_pair(_config(), name)
        numbers: dict[str, Any]
        try:
            numbers = _checked(name)
        except (MLError, Refused) as error:
            if not force:
                raise
            numbers = {"passes": False, "reasons": ["not_compared"], "notes": [str(error)]}
        promoted = decide(pair, numbers, audit.COMMAND, force=force)
    _print_numbers(numbers)
    if not promoted:
        raise click.ClickException(f"Not promoted. {pair.champion} goes on answering.")
    click.echo(f"{pair.challenger} answers '{pair.label_set}' now, instead of {pair.champion}.")


@models_cli.command("compile")
@click.argument("name")
def compile_command(name: str) -> None:
    """Write a new version of a bundle with the graphs that make its answers on CPUs faster.

    Models that `flask train` makes have them already, unless it was told --no-compile.
    """
    from ml.bundle import find_bundle, load_bundle  # what follows brings torch
    from ml.train import new_version
    from ml.training.rewriting import compile_model

    models = _config().models
    with _told():
        bundle = load_bundle(find_bundle(name, models))
        compiled = compile_model(bundle, models / bundle.card.name / new_version())
    click.echo(f"{compiled.card.name}@{compiled.card.version}  {compiled.path}")


@models_cli.command("thresholds")
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The prepared data of the model.")
@operating_point_options
def thresholds_command(name: str, data: Path, sensitivity: float, missed: float) -> None:
    """Write a new version of a bundle with its thresholds on malignant risk fixed anew on the validation split."""
    from ml.bundle import find_bundle, load_bundle  # what follows brings torch
    from ml.train import new_version
    from ml.training.config import OperatingPoints
    from ml.training.rewriting import refit_thresholds

    models, points = _config().models, OperatingPoints(sensitivity, missed)
    with _told():
        bundle = load_bundle(find_bundle(name, models))
        folder = models / bundle.card.name / new_version()
        written = refit_thresholds(bundle, data, folder, points, progress=sys.stderr.isatty())
    chosen = written.card.thresholds or {}
    click.echo(", ".join(f"{which} from {value:.4f}" for which, value in chosen.items()))
    click.echo(f"{written.card.name}@{written.card.version}  {written.path}")


@models_cli.command("views")
@click.argument("name")
@click.argument("views", type=VIEW_SET)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The prepared data of the model.")
@operating_point_options
def views_command(name: str, views: str, data: Path, sensitivity: float, missed: float) -> None:
    """Write a new version of a bundle whose answers are the mean over another set of views: more take longer.

    Calibration and thresholds are fixed anew on the validation split; the figures of it are printed.
    """
    from ml.bundle import find_bundle, load_bundle  # what follows brings torch
    from ml.train import new_version
    from ml.training.config import OperatingPoints
    from ml.training.rewriting import refit_views

    models, points = _config().models, OperatingPoints(sensitivity, missed)
    with _told():
        bundle = load_bundle(find_bundle(name, models))
        folder = models / bundle.card.name / new_version()
        written = refit_views(bundle, data, folder, views, points, progress=sys.stderr.isatty())
    for figure, value in written.card.validation.items():
        if isinstance(value, float):
            click.echo(f"{figure}: {value:.4f}")
    click.echo(f"{written.card.name}@{written.card.version}  {written.path}")


@models_cli.command("rollback")
@click.option("--label-set", help="Whose model; the default one's when left out.")
def rollback_command(label_set: str | None) -> None:
    """Let the model before the last promotion answer again."""
    with _told():
        chosen = label_set or get_models().default_label_set() or ""
        rollback(chosen, audit.COMMAND)
    click.echo(f"{get_models().references().get(chosen, 'No model')} answers '{chosen}' now.")


@models_cli.command("shadow")
@click.argument("name", required=False)
@click.option("--off", is_flag=True, help="Nothing answers in the shadow any more.")
@click.option("--label-set", help="With --off: whose shadow; the default one's when left out.")
def shadow(name: str | None, off: bool, label_set: str | None) -> None:
    """Have a bundle answer every new upload too, without anybody being told; /admin/models shows where it differs."""
    if bool(name) == off:
        raise click.UsageError("Give NAME, or --off.")
    with _told():
        if name:
            bundle, reference = installed(_config(), name)
            set_shadow(bundle.card.label_set, audit.COMMAND, reference)
            click.echo(f"{reference} answers '{bundle.card.label_set}' in the shadow.")
        else:
            set_shadow(label_set or get_models().default_label_set() or "", audit.COMMAND, None)
            click.echo("Nothing answers in the shadow.")


def _checked(name: str) -> dict[str, Any]:
    from webapp.promotion.checks import checked  # brings evaluation, which listing does not need

    config = _config()
    with tqdm(unit="image", disable=not sys.stderr.isatty()) as bar:

        def told(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        return checked(make_pair(config, name), config.promotion_margin, audit.COMMAND, told)


def _print_numbers(numbers: dict[str, Any]) -> None:
    for code, row in numbers.get("figures", {}).items():
        if row["difference"] is not None:
            click.echo(
                f"{figure_name(code)}: {points(row['champion'])} % -> {points(row['challenger'])} %, difference "
                f"{points(row['difference'])} ({points(row['low'])} to {points(row['high'])}), {row['lesions']} "
                f"lesions, {row['gained']} gained, {row['lost']} lost"
            )
    for code in (*numbers["reasons"], *numbers.get("notes", ())):
        click.echo(sentence(code, numbers))


def _figures(chosen: list[Entry]) -> Iterator[str]:
    models = [read_model(entry.path) for entry in chosen]
    yield "\t".join(["", *(entry.reference for entry in chosen)])
    for name in FIGURES:
        row = [name]
        for model in models:
            found = model.evaluation if model else None
            low, high = found["intervals"][name] if found else (None, None)
            row.append(f"{found[name]:.3f} ({low:.3f} to {high:.3f})" if found and low is not None else "not measured")
        yield "\t".join(row)


def _entry(name: str) -> Entry:
    wanted, _, version = name.partition("@")
    for entry in entries(_config()):
        own, _, at = entry.reference.partition("@")
        if own == wanted and version in ("", at):
            return entry
    raise click.ClickException(f"There is no model '{name}'. `flask models list` shows all.")


def _config() -> Config:
    config: Config = current_app.config["LENS"]
    return config
