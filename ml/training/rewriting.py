"""A trained model with one part made anew, as a version of its own: gate, compiled graphs, thresholds, or views."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tqdm import tqdm

from ml.bundle import GATE, HISTORY, LEARNT, WEIGHTS, Bundle, save_bundle
from ml.card import Card
from ml.compiled import compile_bundle
from ml.data.manifest import Dataset, load_dataset, read_image
from ml.errors import TrainingError
from ml.evaluate import BATCH_SIZE, predict_records
from ml.evaluate_thresholds import fitted_point
from ml.labels import load_taxonomy
from ml.predict import Classifier, calibration_of, combined
from ml.screen import Screener
from ml.training.choices import Choices, fix_choices, risk_figures
from ml.training.config import OperatingPoints
from ml.training.ensemble import MAX_SIDE, case_index

Cases = tuple[Mapping[str, NDArray[Any]], Mapping[str, str]]


def own_data(bundle: Bundle, data: Path) -> Dataset:
    """The prepared data in `data`. Raises TrainingError where the model was not trained on them, split as they are."""
    dataset = load_dataset(data, bundle.card.data.get("fold"))
    if bundle.card.data.get("split_digests") != dataset.fingerprint()["split_digests"]:
        raise TrainingError(f"The model {bundle.card.name} was trained on other data, or on another split of it.")
    return dataset


def rewritten(
    bundle: Bundle,
    folder: Path,
    card: Card,
    *,
    gates: Mapping[str, NDArray[Any]] | None = None,
    cases: Cases | None = None,
    graphs: Mapping[str, bytes] | None = None,
) -> Bundle:
    """Write to `folder` (NAME/VERSION) the model of `bundle` under this card, with the given parts in place of its own.

    Raises BundleError where there is a model in `folder`.
    """
    kept = {name: path.read_text() if (path := bundle.path / name).is_file() else None for name in (LEARNT, HISTORY)}
    return save_bundle(
        folder,
        replace(card, name=folder.parent.name, version=folder.name),
        load_file(bundle.path / WEIGHTS),
        load_file(bundle.path / GATE) if gates is None else gates,
        case_index(bundle) if cases is None else cases,
        kept,
        bundle.graphs() if graphs is None else graphs,
    )


def compile_model(bundle: Bundle, folder: Path) -> Bundle:
    """The same model with the graph of each of its networks (see ml.compiled).

    Raises BundleError where a graph answers otherwise than its network, or the bundle is damaged.
    """
    return rewritten(bundle, folder, bundle.card, graphs=compile_bundle(bundle))


def refit_thresholds(
    bundle: Bundle, data: Path, folder: Path, points: OperatingPoints, *, progress: bool = True
) -> Bundle:
    """The same model with the thresholds on malignant risk fixed anew on the validation split of the prepared `data`.

    Raises TrainingError for a model without malignant classes, or where it was trained on other data.
    """
    points.check()
    if bundle.card.thresholds is None:
        raise TrainingError(f"The model {bundle.card.name} has no malignant classes, so it has no thresholds.")
    dataset = own_data(bundle, data)
    records = dataset.split("val")
    answers = predict_records(Screener(bundle), dataset.folder, records, batch_size=BATCH_SIZE, progress=progress)
    thresholds = dict(fitted_point(answers, points.sensitivity, points.missed).thresholds)
    figures = risk_figures(answers.risk, answers.malignant, thresholds)
    training, validation = _asked(bundle.card.training, points), {**bundle.card.validation, **figures}
    return rewritten(
        bundle, folder, replace(bundle.card, thresholds=thresholds, training=training, validation=validation)
    )


def refit_views(
    bundle: Bundle, data: Path, folder: Path, views: str, points: OperatingPoints, *, progress: bool = True
) -> Bundle:
    """The same model with its answers averaged over another set of views (ml.transforms.serving.VIEWS).

    Calibration, naming power and thresholds, of each network of an ensemble and of the whole, are fixed anew on the
    validation split of the prepared `data`, from answers over these views. Raises TrainingError where the model was
    trained on other data.
    """
    points.check()
    dataset, taxonomy = own_data(bundle, data), load_taxonomy(bundle.card.label_set)
    records = dataset.split("val")
    labels = np.array([taxonomy.index(record.label) for record in records], np.int64)
    lesions = [record.lesion_id for record in records]

    def chosen(logits: NDArray[np.float64], card: Card) -> Card:
        priors = np.asarray(card.class_priors)
        return _with_choices(card, fix_choices(logits, labels, lesions, priors, taxonomy, points), views, points)

    networks = [replace(own, card=replace(own.card, test_time_views=views)) for own in bundle.networks()]
    classifiers = [Classifier(own) for own in networks]
    parts: list[list[NDArray[np.float32]]] = [[] for _ in networks]
    for start in tqdm(range(0, len(records), BATCH_SIZE), desc="validation", disable=not progress):
        photos = [read_image(record, MAX_SIDE) for record in records[start : start + BATCH_SIZE]]
        for part, classifier in zip(parts, classifiers, strict=True):
            part.append(classifier.predict(photos).logits)
    logits = [np.concatenate(part).astype(np.float64) for part in parts]
    cards = [chosen(own, network.card) for own, network in zip(logits, networks, strict=True)]
    if not bundle.card.members:
        return rewritten(bundle, folder, cards[0])
    calibrated = [calibration_of(card).probabilities(own) for card, own in zip(cards, logits, strict=True)]
    whole = chosen(combined(calibrated).astype(np.float64), bundle.card)
    return rewritten(bundle, folder, replace(whole, members=tuple(asdict(card) for card in cards)))


def _with_choices(card: Card, chosen: Choices, views: str, points: OperatingPoints) -> Card:
    return replace(
        card,
        test_time_views=views,
        calibration=chosen.calibration,
        thresholds=chosen.thresholds,
        prior_power=chosen.prior_power,
        validation=chosen.validation,
        training=_asked(card.training, points),
    )


def _asked(training: dict[str, Any], points: OperatingPoints) -> dict[str, Any]:
    """A card's `training` with what was asked of its thresholds last."""
    asked = {"operating_points": asdict(points)}
    if "config" in training:
        return {**training, "config": {**training["config"], **asked}}
    return {**training, **asked}
