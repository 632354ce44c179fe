"""`flask predict`: answers for files and folders of photos, one line each."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from flask import current_app
from flask.cli import with_appcontext
from numpy.typing import NDArray
from tqdm import tqdm

from ml.errors import AnswerError, BundleError, DecoderUnavailable, ImageFault, InvalidImage, MLError
from ml.images import MAX_BYTES
from ml.labels import load_taxonomy
from ml.screening import beside
from webapp.cli.answers import WRITERS, Answer
from webapp.cli.bundles import MODEL_HELP, chosen_bundle, chosen_label_set
from webapp.cli.contact_sheet import ORDERS, Entry, small_picture, write_contact_sheet
from webapp.cli.first_looks import first_look_for, none_for
from webapp.config import Config
from webapp.loaded_models import severity_stage

if TYPE_CHECKING:
    from ml.preliminary import FirstLook
    from ml.screen import Screener

log = logging.getLogger(__name__)

# What counts as a photo inside a folder; a file that is named is always read, whatever it is called.
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"})


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

    config: Config = current_app.config["LENS"]
    look: FirstLook | None = None
    screener: Screener | FirstLook
    try:
        if first_look_only:
            screener = _first_look_alone(chosen_label_set(model, label_set))
        else:
            screener = _network(model, label_set, config)
            look = _first_look_beside(screener.card.label_set)
        taxonomy = load_taxonomy(screener.card.label_set)
    except MLError as error:
        raise click.ClickException(str(error)) from error
    found = [entry for path in paths for entry in expand(path)]
    writer = WRITERS[style](screener.card.classes)
    read = partial(decode, max_pixels=config.max_pixels, max_side=config.photo_max_side)  # as an upload is read
    failed = 0
    entries: list[Entry] = []
    with tqdm(total=len(found), unit="photo", file=sys.stderr) as bar:
        for answer in answers(found, screener, batch_size, read, look=look, pictures=contact_sheet is not None):
            if contact_sheet is not None:
                entries.append(Entry(answer.path, answer.screening, answer.error, answer.picture))
            with bar.external_write_mode(file=sys.stdout):
                writer.write(answer)
            failed += answer.error is not None
            bar.update()
    writer.close()
    if contact_sheet is not None:
        named = f"{screener.card.name}@{screener.card.version}"
        try:
            write_contact_sheet(contact_sheet, entries, order, taxonomy, named)
        except OSError as error:
            raise click.ClickException(
                f"Cannot write {contact_sheet}: {error.strerror or 'the folder is not writable'}."
            ) from error
    if failed:
        click.echo(f"{failed} of {len(found)} could not be read.", err=True)
        sys.exit(1)


def _network(model: str | None, label_set: str | None, config: Config) -> Screener:
    from ml.screen import Screener

    return Screener(
        chosen_bundle(model, label_set),
        answer_not_dermatoscopic=config.answer_not_dermatoscopic,
        severity=severity_stage(config),
    )


def _first_look_alone(label_set: str) -> FirstLook:
    """The first look for a label set, without a network beside it: none is loaded, nor a library that runs one."""
    look = first_look_for(label_set)
    if look is None:
        raise click.ClickException(none_for(label_set))
    return look


def _first_look_beside(label_set: str) -> FirstLook | None:
    """The same beside the network's answer, which does without where there is none or it is damaged."""
    try:
        return first_look_for(label_set)
    except BundleError as error:
        log.warning("no first look: %s", error)
        return None


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
        try:
            screenings = iter(screener.screen_batch([photo.pixels for photo in photos if isinstance(photo, Photo)]))
        except AnswerError as error:
            raise click.ClickException(str(error)) from error
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
    except DecoderUnavailable:
        return "It could not be decoded now, since the machine is too busy or out of memory. Try again."
