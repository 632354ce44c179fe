"""Answers of the demonstration: really given by tiny models for each picture, then varied to fill a history."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.bundle import load_bundle
from ml.calibration import named_class
from ml.card import Card
from ml.images import encode_jpeg
from ml.labels import Taxonomy
from ml.screen import Screener
from ml.screening import USABLE, Evidence, Screening, beside, decide_status
from webapp.demo.pictures import Picture
from webapp.models.screening import PhotoRow
from webapp.photos import JPEG_QUALITY, PhotoStore

WANDER = 0.55
"""Standard deviation by which varied log-probabilities differ from those that were given."""


@dataclass(frozen=True)
class Answered:
    """A kept picture with the model's own answer to it and what that rests on. `name` is the photo's in the store."""

    picture: Picture
    name: str
    sha256: str
    answer: Screening
    evidence: Evidence


def keep_pictures(pictures: Iterable[Picture], store: PhotoStore) -> list[tuple[Picture, str, str]]:
    """Keep every picture once; each with its name in the store and the SHA-256 of its file."""
    found = []
    for picture in pictures:
        content = encode_jpeg(picture.pixels, quality=JPEG_QUALITY)
        found.append((picture, store.keep(picture.pixels), hashlib.sha256(content).hexdigest()))
    return found


@dataclass(frozen=True)
class Model:
    """A model's card and label set, with its own answers to all pictures."""

    card: Card
    taxonomy: Taxonomy
    answered: Sequence[Answered]


def answer_pictures(folder: Path, kept: Sequence[tuple[Picture, str, str]]) -> Model:
    """Let the model in a folder answer all pictures. Loads what networks need: done by a worker that has it already."""
    screener = Screener(load_bundle(folder))
    found = []
    for picture, name, sha256 in kept:
        whole, _each, evidence = screener.screen([picture.pixels])
        found.append(Answered(picture, name, sha256, beside(whole, picture.looked), evidence[0]))
    return Model(screener.card, screener.classifier.taxonomy, found)


def vary(given: Answered, model: Model, rng: np.random.Generator) -> Screening:
    """An answer that might have been given to a similar picture: invented, by the same rules from probability to class
    and status."""
    answer = given.answer
    # How large the picture is can be seen in it.
    scores = {
        name: value if name == "short_side" else float(value * rng.normal(1, 0.03))
        for name, value in answer.gate.scores.items()
    }
    gate = replace(answer.gate, scores={name: round(value, 4) for name, value in scores.items()})
    seconds = {name: round(float(value * rng.lognormal(0, 0.25)), 4) for name, value in answer.seconds.items()}
    if answer.probabilities is None or gate.verdict != USABLE:
        return replace(answer, gate=gate, seconds=seconds)
    card, taxonomy = model.card, model.taxonomy
    logs = np.log(np.maximum([answer.probabilities[code] for code in taxonomy.codes], 1e-4))
    shifted = np.exp(logs + rng.normal(0, WANDER, len(logs)))
    shares = shifted / shifted.sum()
    named = int(named_class(shares, np.array(card.class_priors), card.prior_power))
    risk = float(shares[list(taxonomy.malignant)].sum())
    varied = replace(
        answer,
        probabilities={code: round(float(share), 5) for code, share in zip(taxonomy.codes, shares, strict=True)},
        predicted=taxonomy.codes[named],
        malignant_risk=round(risk, 5),
        status=decide_status(taxonomy, named, shares, card.thresholds),
        gate=gate,
        seconds=seconds,
    )
    return beside(varied, answer.first_look)


def photo_row(
    given: Answered, answer: Screening, store: PhotoStore, rng: np.random.Generator, *, invented: bool
) -> PhotoRow:
    """The row of one more photo of the picture, with an answer to it, given or invented."""
    evidence = given.evidence
    if invented and evidence.features is not None:
        evidence = replace(
            evidence, features=(evidence.features * rng.normal(1, 0.02, evidence.features.shape)).astype(np.float32)
        )
    height, width = given.picture.pixels.shape[:2]
    columns: dict[str, Any] = PhotoRow.columns_of(answer, evidence)
    return PhotoRow(
        position=1, name=store.share(given.name), sha256=given.sha256, width=width, height=height, **columns
    )
