"""The gate of a trained network: fitted on most of the other pictures, measured on the rest."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundle import Bundle
from ml.data.manifest import Dataset, ImageRecord, read_image
from ml.gate import CLEARLY, MOST_ASKED, GateModel, Seen, fit_gate, is_held_out
from ml.gate_quality import quality_scores
from ml.gate_texture import texture
from ml.preprocess import Preprocessing, prepared
from ml.runtime import TorchRuntime
from ml.screening import NOT_CLINICAL, NOT_DERMATOSCOPIC, NOT_SKIN
from ml.training.cases import without_users
from ml.training.loop import Run, network_answers
from ml.training.negatives import Picture, generated, read_negatives
from ml.training.variations import varied
from ml.transforms.serving import normalise, square

log = logging.getLogger("lesion_lens.train")

Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]
Extract = Callable[[Iterable[Pixels]], Seen]
"""Pictures [H, W, 3] of any sizes -> what the gate sees of each as it is."""

TRAINING_PICTURES = 1500
MAX_SIDE = 640
"""Longer side in pixels at which pictures are read."""
GENERATED_PICTURES = 240
BATCH_SIZE = 32


@dataclass(frozen=True)
class Copies:
    """How many varied copies of each picture the fit sees, and the smallest part that they show (share of a side).

    A part of an ordinary photo shows skin from as close by as a dermatoscope does, and must still be told from it;
    where ordinary photos are the usable ones, it is one of them.
    """

    number: int
    smallest: float


USABLE_COPIES = {"dermatoscopic": Copies(1, 0.6), "clinical": Copies(2, 0.4)}
OTHER_COPIES = {NOT_SKIN: Copies(3, 0.4), NOT_DERMATOSCOPIC: Copies(8, 0.25), NOT_CLINICAL: Copies(2, 0.6)}


def fit_run_gate(
    run: Run, dataset: Dataset, negatives: Path | None, photos: str
) -> tuple[dict[str, Features], dict[str, Any]]:
    """The arrays and the card's entry of the gate for a network that has just been trained; see `fit_network_gate`."""
    side, steps = run.validation.images.shape[1], run.config.preprocessing

    def extract(pictures: Iterable[Pixels]) -> Seen:
        return _seen(pictures, side, steps, lambda squares: network_answers(run, run.network, squares)[1])

    return fit_network_gate(extract, dataset, negatives, run.config.seed, photos=photos)


def bundle_features(bundle: Bundle, device: str = "cpu") -> Extract:
    """What shows pictures to the bundle's gate, by the features of the network that it goes by."""
    network = bundle.networks()[bundle.card.gate_network]
    runtime, card = TorchRuntime(network, device), network.card
    steps = Preprocessing.from_card(card.preprocessing)

    def features(squares: Pixels) -> Features:
        return runtime.run(normalise(squares, card.mean, card.std)).features

    return lambda pictures: _seen(pictures, card.image_size, steps, features)


def fit_network_gate(
    extract: Extract,
    dataset: Dataset,
    negatives: Path | None,
    seed: int,
    frame: Mapping[str, Features] | None = None,
    photos: str = "dermatoscopic",
) -> tuple[dict[str, Features], dict[str, Any]]:
    """The gate's arrays and its entry in the card.

    Limits come from training and validation pictures. A head learns to tell `photos`, the kind that the network is made
    for, from drawn pictures and those in `negatives`; those files that `is_held_out` names are kept from it and give
    the entry's `measured`: verdicts of unseen pictures by kind. Without `negatives` nothing teaches it what an everyday
    photo is, or skin in the other kind of photos, and the entry says so: `accepts` is then "skin". `frame` is that of
    `fit_gate`. The arrays hold features of training pictures one by one, so photos of users are not among these.
    """
    random = np.random.default_rng(seed)
    chosen = sample(without_users(dataset.split("train")), TRAINING_PICTURES, random)
    pictures = [read_image(record, MAX_SIDE) for record in chosen]
    training, others, held = [extract(pictures)], dict[str, Seen](), dict[str, list[Picture]]()
    if negatives is not None:
        # Usable pictures are handed on in the same ways as the others, so that no way of handing on tells them apart.
        training.append(extract(copies(pictures, USABLE_COPIES[photos], random)))
        for kind, found in read_negatives(negatives, photos).items():
            fitted = [picture.pixels for picture in found if not is_held_out(picture.name)]
            held[kind] = [picture for picture in found if is_held_out(picture.name)]
            others[kind] = extract([*fitted, *copies(fitted, OTHER_COPIES[kind], random)])
    else:
        log.warning(
            "No photos of other things were given (--gate-negatives, GATE_PICTURES): the gate learns from drawn "
            "pictures alone, and the model will answer ordinary photos, animals and objects too."
        )
    # Alone they are not to outnumber the usable pictures.
    number = GENERATED_PICTURES if negatives is not None else min(GENERATED_PICTURES, len(pictures))
    drawn = extract(generated(random, number))
    others[NOT_SKIN] = joined([others[NOT_SKIN], drawn]) if NOT_SKIN in others else drawn
    arrays, entry = fit_gate(
        joined(training),
        extract(read_image(record, MAX_SIDE) for record in dataset.split("val")),
        [quality_scores(picture) for picture in pictures],
        others,
        seed=seed,
        frame=frame,
        photos=photos,
        most_asked=MOST_ASKED if negatives is not None else CLEARLY,
    )
    gate = GateModel.from_card(arrays, entry)
    entry["measured"] = {
        kind: _verdicts(extract, gate, [p.pixels for p in found]) for kind, found in held.items() if found
    }
    return arrays, entry


def sample(records: Sequence[ImageRecord], count: int, random: np.random.Generator) -> list[ImageRecord]:
    """At most `count` records in random order: half as they come, half with every class as often as another, so that
    rare classes are not refused for being rare."""
    order = [records[int(row)] for row in random.permutation(len(records))]
    chosen, rest = order[: count // 2], order[count // 2 :]
    seen = Counter(record.label for record in chosen)
    ranked = []
    for record in rest:
        seen[record.label] += 1
        ranked.append(seen[record.label])
    rarest = np.argsort(ranked, kind="stable")[: count - len(chosen)]
    return chosen + [rest[int(row)] for row in rarest]


def copies(pictures: Sequence[Pixels], wanted: Copies, random: np.random.Generator) -> Iterable[Pixels]:
    """Varied copies of each picture, one after the other."""
    return (varied(picture, random, wanted.smallest) for picture in pictures for _ in range(wanted.number))


def joined(parts: Sequence[Seen]) -> Seen:
    """Several sets of pictures as one."""
    return Seen(np.concatenate([p.features for p in parts]), np.concatenate([p.texture for p in parts]))


def _seen(pictures: Iterable[Pixels], side: int, steps: Preprocessing, features: Callable[[Pixels], Features]) -> Seen:
    """Shows pictures to the network, `BATCH_SIZE` squares uint8 [B, side, side, 3] at a time."""
    parts, left = list[Seen](), iter(pictures)
    while batch := list(islice(left, BATCH_SIZE)):
        squares = np.stack([square(prepared(picture, steps), side) for picture in batch])
        parts.append(Seen(features(squares), np.stack([texture(picture) for picture in batch])))
    return joined(parts)


def _verdicts(extract: Extract, gate: GateModel, pictures: list[Pixels]) -> dict[str, int]:
    """How many of the pictures got each verdict."""
    pairs = zip(pictures, extract(pictures).features, strict=True)
    return dict(Counter(gate.judge(picture, features).verdict for picture, features in pairs))
