"""After the last epoch: calibration, thresholds and gate fixed on validation, and everything written as a bundle."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.architectures import find_architecture
from ml.bundle import GRAPH, HISTORY, LEARNT, Bundle, is_bundle, load_bundle, save_bundle
from ml.card import Card
from ml.compiled import compile_network
from ml.data.cache import decoded
from ml.data.manifest import Dataset
from ml.files import sha256_file
from ml.labels import Taxonomy
from ml.packing import pack, unpack
from ml.provenance import listed
from ml.severity_grades import CLINICAL, STAGE
from ml.training.ancestors import ancestors
from ml.training.cases import confirmed, indexed
from ml.training.checkpoint import Progress
from ml.training.choices import fix_choices
from ml.training.config import TrainingConfig
from ml.training.gate_fit import fit_run_gate
from ml.training.loop import Run, network_answers
from ml.training.model_card import INTENDED_USE, licence, limits
from ml.transforms.serving import PREPROCESSING, VIEWS, turned

log = logging.getLogger("lesion_lens.train")


def finish(
    run: Run, dataset: Dataset, taxonomy: Taxonomy, progress: Progress, folder: Path, negatives: Path | None
) -> Bundle:
    """Fix every choice on the validation split and write the bundle `folder` (NAME/VERSION)."""
    config, labels = run.config, run.validation.labels
    weights = {name: value.detach().cpu().numpy() for name, value in run.network.state_dict().items()}
    if config.packed:  # every choice is fitted on the weights as they will be served
        weights = pack(weights)
        run.network.load_state_dict({name: torch.from_numpy(value) for name, value in unpack(weights).items()})
    logits = _validation_logits(run, dataset)
    lesions = [record.lesion_id for record in dataset.split("val")]
    counts = np.bincount(run.training.labels, minlength=run.classes).astype(np.float64)
    priors = counts / counts.sum()
    chosen = fix_choices(logits, labels, lesions, priors, taxonomy, config.operating_points)
    architecture, data, lineage = find_architecture(config.architecture), dataset.fingerprint(), _lineage(config)
    card = Card(
        name=folder.parent.name,
        version=folder.name,
        label_set=taxonomy.name,
        classes=taxonomy.codes,
        architecture=config.architecture,
        image_size=config.serving_size or config.image_size,
        mean=architecture.mean,
        std=architecture.std,
        calibration=chosen.calibration,
        thresholds=chosen.thresholds,
        class_priors=tuple(float(p) for p in priors),
        prior_power=chosen.prior_power,
        test_time_views=config.test_time_views,
        malignant=tuple(taxonomy.codes[index] for index in taxonomy.malignant),
        preprocessing=config.preprocessing.for_card(PREPROCESSING),
        training={"config": _public(config), "progress": vars(progress)},
        data=data,
        validation=chosen.validation,
        lineage=lineage,
        stage=_stage(config, dataset),
        licence=licence(data, (entry["data"] for entry in lineage)),
        intended_use=INTENDED_USE,
    )
    log.info("Validation: %s", card.validation)
    arrays, gate = fit_run_gate(run, dataset, negatives, taxonomy.photos)
    card = replace(card, gate=gate, limits=limits(data, taxonomy, gate))
    record = run.folder / HISTORY
    texts = {LEARNT: _learnt(config, dataset), HISTORY: record.read_text() if record.is_file() else None}
    graphs = {GRAPH: compile_network(card, _served(weights))} if config.compiled else {}
    return save_bundle(folder, card, weights, arrays, _cases(run, dataset, arrays), texts, graphs)


def _served(weights: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Weights in single precision, whatever they are kept in."""
    return {name: v.astype(np.float32) if v.dtype.kind == "f" else v for name, v in unpack(weights).items()}


def _learnt(config: TrainingConfig, dataset: Dataset) -> str | None:
    """The images that the weights, or choices about them, come from, those of earlier runs and of the teacher too."""
    used = [record.sha256 for name in ("train", "val") for record in dataset.split(name)]
    return listed(used, [load_bundle(path) for path in ancestors(config)])


def _stage(config: TrainingConfig, dataset: Dataset) -> dict[str, Any]:
    """The card's `stage`: grades that the proxy did not give are taken for a clinician's."""
    if config.disease is None:
        return {}
    source = dataset.summary.get("severity", {}).get("source", CLINICAL)
    return {"name": STAGE, "disease": config.disease, "source": source}


def _cases(
    run: Run, dataset: Dataset, gate: dict[str, NDArray[np.float32]]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The index of confirmed cases as the finished model sees them."""
    size, records = run.validation.images.shape[1], confirmed(dataset)
    images = decoded(records, size, dataset.cache, run.progress_bar, preprocessing=run.config.preprocessing)
    return indexed(records, network_answers(run, run.network, images)[1], gate)


def _validation_logits(run: Run, dataset: Dataset) -> NDArray[np.float64]:
    """Logits [N, C] of the validation images, averaged over the views that serving will average over."""
    views, size = VIEWS[run.config.test_time_views], run.validation.images.shape[1]
    records, cache = dataset.split("val"), dataset.cache
    images = {
        zoom: decoded(records, size, cache, run.progress_bar, zoom, run.config.preprocessing)
        for zoom in {view.zoom for view in views}
    }
    found = [network_answers(run, run.network, turned(images[view.zoom], view))[0] for view in views]
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def _public(config: TrainingConfig) -> dict[str, Any]:
    """The configuration with files by name and digest: a card travels, and whoever reads it has other folders."""
    values = config.to_dict()
    for name in ("weights", "teacher"):
        path = Path(values[name] or "")
        if values[name] and is_bundle(path):
            card = load_bundle(path).card
            values[name] = f"{card.name}@{card.version}"
        elif values[name] and path.is_file():
            values[name] = f"{path.name} (sha256 {sha256_file(path)})"
    return values


def _lineage(config: TrainingConfig) -> tuple[dict[str, Any], ...]:
    """The instalments before this one, oldest first, then the teacher with its own: name, version, settings, progress
    and data of each. What a teacher learnt from had a part in the weights too."""
    found: list[dict[str, Any]] = []
    for path in ancestors(config):
        card = load_bundle(path).networks()[0].card
        entry = {"name": card.name, "version": card.version, "training": card.training, "data": card.data}
        found += [*card.lineage, entry]
    return tuple(found)
