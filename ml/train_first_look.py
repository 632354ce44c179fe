"""One first look, from a prepared data set to its folder: measure, choose a classifier, calibrate, fit its check."""

import hashlib
import io
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml import metrics
from ml.calibration import Calibration, fit_calibration, named_class
from ml.data.manifest import Dataset, load_dataset, read_image
from ml.data.reviewed import of_users
from ml.errors import DatasetError
from ml.features_list import FEATURES, measure
from ml.files import sha256_file, write_bytes
from ml.gate import Seen, fit_gate, is_held_out
from ml.gate_quality import quality_scores
from ml.labels import load_taxonomy
from ml.preliminary import (
    QUANTILES,
    FirstLook,
    FirstLookCard,
    Linear,
    at_one_size,
    load_first_look,
    save_first_look,
    tensors,
)
from ml.screening import NOT_SKIN
from ml.training.cases import without_users
from ml.training.model_card import INTENDED_USE, licence, limits

log = logging.getLogger("lesion_lens.train")

Features = NDArray[np.float32]  # [N, F]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_SIDE = 640
"""Longer side in pixels at which pictures are read."""
PARTS = 4
"""Parts of the training split, by lesion, for choosing the classifier."""
CANDIDATES = tuple(
    {"strength": strength, "balance": balance} for balance in (0.5, 1.0) for strength in (0.01, 0.03, 0.1)
)
"""What is chosen among. `strength` is the inverse of the penalty on the weights. `balance` is the power of a class's
frequency by which its images weigh less: 1 gives every class the same weight together, 0.5 lies half-way."""
GATE_PICTURES = 300
GENERATED_PICTURES = 120


@dataclass(frozen=True)
class Split:
    """The lesions that were found in a split: features [N, F], class indices [N], groups that stay together [N], and
    how many pictures there were altogether. `own` [N] says of which features may be kept one by one: not of photos of
    the application's users."""

    values: Features
    labels: Ints
    groups: NDArray[np.str_]
    pictures: int
    own: NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """A candidate with the macro F1 that it had on the parts kept from it, and the naming power that gave it."""

    candidate: dict[str, float]
    macro_f1: float
    prior_power: float


def train_first_look(
    dataset_folder: Path,
    folder: Path,
    negatives: Path | None = None,
    *,
    fold: int | None = None,
    candidates: Sequence[dict[str, float]] = CANDIDATES,
    seed: int = 0,
    progress: bool = True,
) -> FirstLook:
    """Train a first look on the training split, that of one `fold` where the data has folds, and write it to `folder`
    (NAME/VERSION).

    The classifier and the power by which rare classes are named sooner (ml.calibration.named_class) are chosen by
    cross-validation on the training split, grouped by lesion; calibration and the limits of its check come from the
    validation split; the test split is not looked at. `negatives` has `not_skin/` and `clinical_photos/` as for a
    network's gate. Raises DatasetError for data that are missing or too few.
    """
    dataset = load_dataset(dataset_folder, fold)
    training, validation = (_measured(dataset, name, progress) for name in ("train", "val"))
    counts = np.bincount(training.labels, minlength=len(dataset.classes)).astype(np.float64)
    if counts.min() < PARTS:
        raise DatasetError(f"A first look needs lesions of every class in {PARTS} parts of the training split.")
    priors = counts / counts.sum()
    choices = [_tried(candidate, training, priors, seed) for candidate in candidates]
    for choice in choices:
        log.info("%s: macro F1 %.3f at power %.2f", choice.candidate, choice.macro_f1, choice.prior_power)
    best = max(choices, key=lambda choice: choice.macro_f1)
    classifier = fitted(best.candidate, training.values, training.labels)
    calibration = fit_calibration(classifier.logits(validation.values), validation.labels)
    check = _fit_check(dataset, training, validation, negatives, seed)
    fingerprint = dataset.fingerprint()
    card = FirstLookCard(
        name=folder.parent.name,
        version=folder.name,
        label_set=dataset.label_set,
        classes=dataset.classes,
        features=FEATURES,
        classifier={
            "kind": "logistic regression",
            **best.candidate,
            "tried": [vars(choice) for choice in choices],
            "parts": PARTS,
            "seed": seed,
        },
        calibration={"temperature": calibration.temperature, "bias": list(calibration.bias)},
        class_priors=tuple(float(p) for p in priors),
        prior_power=best.prior_power,
        gate=check.entry,
        data=fingerprint,
        validation=_figures(classifier, calibration, validation, priors, best.prior_power),
        licence=licence(fingerprint),
        intended_use=INTENDED_USE,
        limits=limits(fingerprint, load_taxonomy(dataset.label_set), {**check.entry, "measured": check.held}),
    )
    quantiles = np.quantile(training.values, np.linspace(0, 1, QUANTILES), axis=0).T.astype(np.float32)
    look = FirstLook(card, tensors(classifier, check.arrays, quantiles))
    measured = {kind: dict(Counter(look.look(p).gate.verdict for p in found)) for kind, found in check.held.items()}
    card = replace(card, gate={**check.entry, "measured": measured})
    log.info("Validation: %s; others: %s", card.validation, measured)
    return load_first_look(save_first_look(folder, card, tensors(classifier, check.arrays, quantiles)))


def fitted(candidate: dict[str, float], values: Features, labels: Ints) -> Linear:
    """Multinomial logistic regression by scikit-learn on features [N, F], standardised, and class indices [N]."""
    from sklearn.linear_model import LogisticRegression

    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64) + 1e-6
    weights = 1 / (np.bincount(labels) / len(labels))[labels] ** candidate["balance"]
    regression = LogisticRegression(C=candidate["strength"], max_iter=500)
    regression.fit((values - mean) / deviation, labels, sample_weight=weights / weights.mean())
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:  # two classes have one row, for the second against the first
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / deviation
    return Linear(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32))


def _tried(candidate: dict[str, float], training: Split, priors: Floats, seed: int) -> Choice:
    """The candidate on each part of the training split, fitted to the others."""
    from sklearn.model_selection import StratifiedGroupKFold

    logits = np.zeros((len(training.labels), len(priors)))
    parts = StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed)
    for seen, kept in parts.split(training.values, training.labels, training.groups):
        classifier = fitted(candidate, training.values[seen], training.labels[seen])
        logits[kept] = classifier.logits(training.values[kept])
    probabilities = fit_calibration(logits, training.labels).probabilities(logits)
    powers = np.linspace(0, 1, 21)
    scores = [_macro_f1(training.labels, named_class(probabilities, priors, float(p)), len(priors)) for p in powers]
    return Choice(candidate, max(scores), float(powers[int(np.argmax(scores))]))


def _macro_f1(labels: Ints, named: Ints, classes: int) -> float:
    return float(metrics.macro_f1(metrics.confusion_matrix(labels, named, classes)))


def _figures(
    classifier: Linear, calibration: Calibration, split: Split, priors: Floats, power: float
) -> dict[str, float]:
    probabilities = calibration.probabilities(classifier.logits(split.values))
    named = named_class(probabilities, priors, power)
    matrix = metrics.confusion_matrix(split.labels, named, len(priors))
    figures = {
        "macro_f1": metrics.macro_f1(matrix),
        "accuracy": metrics.accuracy(matrix),
        "balanced_accuracy": metrics.balanced_accuracy(matrix),
        "ece": metrics.expected_calibration_error(split.labels, probabilities),
    }
    found = {name: round(float(value), 4) for name, value in figures.items()}
    return {**found, "without_lesion": round(1 - len(split.labels) / split.pictures, 4)}


def _measured(dataset: Dataset, name: str, progress: bool) -> Split:
    """Every picture of a split that has a lesion, measured; kept in the data set's cache, by a digest of the pictures
    and of the code that measures. Raises DatasetError where no lesion is found or the cache cannot be written."""
    records = [record for record in dataset.split(name) if not record.augmented_from]
    code = "".join(sha256_file(file) for file in sorted(Path(__file__).parent.glob("features*.py")))
    key = hashlib.sha256("".join([code, *(record.sha256 for record in records)]).encode()).hexdigest()[:24]
    path = dataset.cache / f"features-{key}.npy"
    if not path.exists():
        values = np.full((len(records), len(FEATURES)), np.nan, np.float32)
        for row, record in enumerate(tqdm(records, desc=name, unit="image", disable=not progress)):
            measured = measure(read_image(record, MAX_SIDE))
            if measured is not None:
                values[row] = measured.values
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, _npy(values))
        except OSError as error:
            reason = error.strerror or "the folder is not writable"
            raise DatasetError(f"What was measured cannot be kept in {path.parent}: {reason}.") from error
    values = np.load(path)
    found = ~np.isnan(values[:, 0])
    if not found.any():
        raise DatasetError(f"No lesion was found in the {name} split.")
    labels = np.array([dataset.classes.index(record.label) for record in records])
    groups = np.array([record.group for record in records])
    own = np.array([not of_users(record) for record in records])
    return Split(at_one_size(values[found]), labels[found], groups[found], len(records), own[found])


def _npy(values: Features) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@dataclass(frozen=True)
class Check:
    """The check of what may be answered: its arrays, its entry in the card, and the other pictures [H, W, 3] by kind
    that were kept from it."""

    arrays: dict[str, NDArray[np.float32]]
    entry: dict[str, Any]
    held: dict[str, list[NDArray[np.uint8]]]


def _fit_check(dataset: Dataset, training: Split, validation: Split, negatives: Path | None, seed: int) -> Check:
    """As a network's gate is fitted (ml.training.gate_fit), but on the measured features and with one copy of each."""
    random, photos = np.random.default_rng(seed), load_taxonomy(dataset.label_set).photos
    records = without_users(dataset.split("train"))
    chosen = random.permutation(len(records))[:GATE_PICTURES]
    pictures = [read_image(records[int(row)], MAX_SIDE) for row in chosen]
    usable, others = [_seen(training.values[training.own])], dict[str, Seen]()
    held: dict[str, list[NDArray[np.uint8]]] = {}
    if negatives is not None:
        # Imported here: they bring a deep-learning library along, which nothing else of a first look needs.
        from ml.training.gate_fit import OTHER_COPIES, USABLE_COPIES, copies
        from ml.training.negatives import generated, read_negatives

        usable.append(_shown(copies(pictures, replace(USABLE_COPIES[photos], number=1), random)))
        for kind, found in read_negatives(negatives, photos).items():
            learnt = [picture.pixels for picture in found if not is_held_out(picture.name)]
            held[kind] = [picture.pixels for picture in found if is_held_out(picture.name)]
            others[kind] = _shown([*learnt, *copies(learnt, replace(OTHER_COPIES[kind], number=1), random)])
        drawn = _shown(generated(random, GENERATED_PICTURES))
        others[NOT_SKIN] = _joined([others[NOT_SKIN], drawn]) if NOT_SKIN in others else drawn
    qualities = [quality_scores(picture) for picture in pictures]
    arrays, entry = fit_gate(_joined(usable), _seen(validation.values), qualities, others, seed=seed, photos=photos)
    return Check(arrays, entry, held)


def _seen(values: Features) -> Seen:
    return Seen(values, np.zeros((len(values), 0), np.float32))


def _shown(pictures: Iterable[NDArray[np.uint8]]) -> Seen:
    """Features of the pictures that a lesion is found in: the others are never answered, and so need no check."""
    measured = (measure(picture) for picture in pictures)
    values = [found.values for found in measured if found is not None]
    return _seen(at_one_size(np.stack(values)) if values else np.zeros((0, len(FEATURES)), np.float32))


def _joined(parts: Sequence[Seen]) -> Seen:
    return _seen(np.concatenate([part.features for part in parts]))
