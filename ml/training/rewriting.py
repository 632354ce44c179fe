"""A trained model with one part of it made anew, as a version of its own: gate, compiled graphs, or thresholds."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import load_file

from ml.bundle import GATE, HISTORY, LEARNT, WEIGHTS, Bundle, save_bundle
from ml.card import Card
from ml.compiled import compile_bundle
from ml.data.manifest import Dataset, load_dataset
from ml.errors import TrainingError
from ml.evaluate import BATCH_SIZE, predict_records
from ml.evaluate_thresholds import fitted_point
from ml.screen import Screener
from ml.training.choices import risk_figures
from ml.training.config import OperatingPoints
from ml.training.ensemble import case_index

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
    training, asked = dict(bundle.card.training), {"operating_points": asdict(points)}
    if "config" in training:
        training["config"] = {**training["config"], **asked}
    else:
        training |= asked
    card = replace(
        bundle.card, thresholds=thresholds, training=training, validation={**bundle.card.validation, **figures}
    )
    return rewritten(bundle, folder, card)
