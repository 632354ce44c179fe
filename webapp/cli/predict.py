"""`flask predict`: answers for files and folders of photos, one line each."""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from flask import current_app
from flask.cli import with_appcontext
from numpy.typing import NDArray
from tqdm import tqdm

from ml.errors import ImageFault, InvalidImage, MLError
from ml.labels import load_taxonomy
from ml.screening import beside
from webapp.cli.bundles import MODEL_HELP, chosen_bundle
from webapp.cli.contact_sheet import ORDERS, Entry, small_picture, write_contact_sheet
from webapp.cli.first_looks import first_look_for, none_for
from webapp.config import Config
from webapp.inference import severity_stage

if TYPE_CHECKING:
    from ml.preliminary import FirstLook
    from ml.screen import Screener
    from ml.screening import Screening

# What counts as a photo inside a folder; a file that is named is always read, whatever it is called.
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"})

MAX_BYTES = 200 * 1024 * 1024

REASONS: dict[ImageFault, str] = {
    "empty": "The file is empty.",
    "not_an_image": "The file is not an image.",
    "unsupported_format": "The image format is not supported; use JPEG, PNG, WebP, HEIC or AVIF.",
    "truncated": "The image is cut off; part of the file is missing.",
    "damaged": "The image is damaged.",
    "too_many_bytes": "The file is too large.",
    "too_many_pixels": "The image has too many pixels.",
    "too_small": "The image is too small.",
    "too_complex": "The image takes too much memory or time to decode.",
}


@dataclass(frozen=True)
class Answer:
    """What came of one path: a screening, or a sentence that says why there is none."""

    path: str
    screening: Screening | None
    error: str | None
    picture: bytes | None = None
    """A small JPEG of the photo, where one was asked for."""

    def to_dict(self) -> dict[str, Any]:
        """The line of the JSON Lines format."""
        values = {} if self.screening is None else self.screening.to_dict()
        return {"path": self.path, "ok": self.screening is not None, "error": self.error, **values}


Writer = Callable[[Answer], None]


@click.command("predict")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--model", metavar="BUNDLE", help=MODEL_HELP)
@click.option("--label-set", help="Answer with these classes: the configured model for them is taken.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="A table to read, one JSON object a line, or CSV.",
)
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Photos held at a time.")
@click.option(
    "--contact-sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write an HTML page with small pictures and answers to this file.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(ORDERS),
    default="given",
    show_default=True,
    help="Of the contact sheet: as the photos were given, or the highest risk first.",
)
@click.option(
    "--first-look-only", is_flag=True, help="Answer by simple measurements alone, without the network, in milliseconds."
)
@with_appcontext
def predict_command(
    paths: tuple[str, ...],
    model: str | None,
    label_set: str | None,
    style: str,
    batch_size: int,
    contact_sheet: Path | None,
    order: str,
    first_look_only: bool,
) -> None:
    """Answer photos: files, or folders with all photos in them.

    Each photo is answered by itself. The exit status is 1 if any could not be read.
    """
    from ml.decoding import decode
    from ml.screen import Screener

    config: Config = current_app.config["LENS"]
    try:
        bundle = chosen_bundle(model, label_set)
        look = first_look_for(bundle.card.label_set)
        if first_look_only and look is None:
            raise click.ClickException(none_for(bundle.card.label_set))
        screener: Screener | FirstLook
        if first_look_only and look is not None:
            screener, look = look, None
        else:
            screener = Screener(
                bundle,
                answer_not_dermatoscopic=config.answer_not_dermatoscopic,
                severity=severity_stage(config),
            )
    except MLError as error:
        raise click.ClickException(str(error)) from error
    found = [entry for path in paths for entry in expand(path)]
    write = WRITERS[style](bundle.card.classes)
    read = partial(decode, max_pixels=config.max_pixels, max_side=config.photo_max_side)  # as an upload is read
    failed = 0
    entries: list[Entry] = []
    with tqdm(total=len(found), unit="photo", file=sys.stderr) as bar:
        for answer in answers(found, screener, batch_size, read, look=look, pictures=contact_sheet is not None):
            if contact_sheet is not None:
                entries.append(Entry(answer.path, answer.screening, answer.error, answer.picture))
            with bar.external_write_mode(file=sys.stdout):
                write(answer)
            failed += answer.error is not None
            bar.update()
    if contact_sheet is not None:
        named = f"{screener.card.name}@{screener.card.version}"
        try:
            write_contact_sheet(contact_sheet, entries, order, load_taxonomy(bundle.card.label_set), named)
        except OSError as error:
            raise click.ClickException(
                f"Cannot write {contact_sheet}: {error.strerror or 'the folder is not writable'}."
            ) from error
    if failed:
        click.echo(f"{failed} of {len(found)} could not be read.", err=True)
        sys.exit(1)


def expand(path: str) -> list[str]:
    """A file, or a path that holds nothing to answer, as it was given; a folder as all photos below it, sorted."""
    folder = Path(path)
    if not folder.is_dir():
        return [path]
    photos = sorted(file for file in folder.rglob("*") if file.suffix.lower() in EXTENSIONS and file.is_file())
    return [os.path.join(path, photo.relative_to(folder)) for photo in photos] or [path]


def answers(
    paths: Iterable[str],
    screener: Screener | FirstLook,
    batch_size: int,
    read: Callable[[bytes], NDArray[np.uint8]],
    *,
    look: FirstLook | None = None,
    pictures: bool = False,
) -> Iterator[Answer]:
    """An answer for every path, in order, with at most `batch_size` photos in memory; `read` decodes a file.

    With `look` each answer comes with that first look beside it, with `pictures` with its small picture.
    """
    remaining = iter(paths)
    while batch := list(islice(remaining, batch_size)):
        photos = [_open(path, read) for path in batch]
        screenings = iter(screener.screen_batch([photo.pixels for photo in photos if isinstance(photo, Photo)]))
        for path, photo in zip(batch, photos, strict=True):
            if isinstance(photo, Photo):
                screening = next(screenings)
                if look is not None:
                    screening = beside(screening, look.tell([look.look(photo.pixels)]))
                seconds = {**screening.seconds, "decode": round(photo.seconds, 4)}
                small = small_picture(photo.pixels) if pictures else None
                yield Answer(path, replace(screening, seconds=seconds), None, small)
            else:
                yield Answer(path, None, photo)


@dataclass(frozen=True)
class Photo:
    """A decoded photo [H, W, 3] and the seconds that reading it took."""

    pixels: NDArray[np.uint8]
    seconds: float


def _open(name: str, read: Callable[[bytes], NDArray[np.uint8]]) -> Photo | str:
    """The photo, or a sentence that says why there is none."""
    path, started = Path(name), time.perf_counter()
    try:
        if path.is_dir():
            return "There are no photos in this folder."
        if not path.exists():
            return "There is no such file or folder."
        if not path.is_file():
            return "This is not a file."
        if path.stat().st_size > MAX_BYTES:
            return REASONS["too_many_bytes"]
        return Photo(read(path.read_bytes()), time.perf_counter() - started)
    except OSError:
        return "The file cannot be read; check its permissions."
    except InvalidImage as error:
        return REASONS[error.reason]


def _jsonl(_: Sequence[str]) -> Writer:
    return lambda answer: click.echo(json.dumps(answer.to_dict(), allow_nan=False))


def _csv(classes: Sequence[str]) -> Writer:
    columns = ["path", "ok", "error", "label_set", "predicted", *(f"p_{code}" for code in classes), "malignant_risk"]
    columns += ["status", "gate_verdict", "gate_reason", "model_name", "model_version"]
    columns += ["first_look", "first_look_probability", "first_look_agrees", "severity", "severity_source"]
    table = csv.DictWriter(sys.stdout, columns, restval="", lineterminator="\n")
    table.writeheader()

    def write(answer: Answer) -> None:
        row: dict[str, Any] = {
            "path": click.format_filename(answer.path),
            "ok": str(answer.error is None).lower(),
            "error": answer.error,
        }
        if (found := answer.screening) is not None:
            row |= {f"p_{code}": p for code, p in (found.probabilities or {}).items()}
            row |= {
                "label_set": found.label_set,
                "predicted": found.predicted,
                "malignant_risk": found.malignant_risk,
                "status": found.status.value,
                "gate_verdict": found.gate.verdict,
                "gate_reason": found.gate.reason,
                "model_name": found.model["name"],
                "model_version": found.model["version"],
            }
            if (look := found.first_look) is not None and look["predicted"] is not None:
                row["first_look"] = look["predicted"]
                row["first_look_probability"] = look["probabilities"][look["predicted"]]
                row["first_look_agrees"] = "" if look["agrees"] is None else str(look["agrees"]).lower()
            if found.severity is not None:
                row |= {"severity": found.severity["grade"], "severity_source": found.severity["source"]}
        table.writerow(row)

    return write


def _table(_: Sequence[str]) -> Writer:
    line = "{:<10} {:>6}  {:<10} {:>11}  {}"
    click.echo(line.format("status", "risk", "class", "probability", "path"))

    def write(answer: Answer) -> None:
        found, path = answer.screening, click.format_filename(answer.path)
        if found is None:
            click.echo(line.format("error", "", "", "", f"{path}: {answer.error}"))
        elif found.predicted is None and found.first_look is not None:  # it was asked for alone
            named = found.first_look["predicted"]
            probability = f"{found.first_look['probabilities'][named]:.3f}"
            click.echo(line.format(found.status.value, "", named, probability, f"{path} (first look only)"))
        elif found.predicted is None or found.probabilities is None:
            why = (found.gate.reason or found.gate.verdict).replace("_", " ")
            click.echo(line.format(found.status.value, "", "", "", f"{path}: {why}"))
        else:
            risk = "" if found.malignant_risk is None else f"{found.malignant_risk:.3f}"
            probability = f"{found.probabilities[found.predicted]:.3f}"
            grade = "" if found.severity is None else f"  {found.severity['grade']} ({found.severity['source']})"
            click.echo(line.format(found.status.value, risk, found.predicted, probability, path) + grade)

    return write


WRITERS: dict[str, Callable[[Sequence[str]], Writer]] = {"table": _table, "jsonl": _jsonl, "csv": _csv}
