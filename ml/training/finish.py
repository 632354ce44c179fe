"""After the last epoch: calibration, thresholds and gate fixed on validation, and everything written as a bundle."""

import logging
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import metrics
from ml.architectures import find_architecture
from ml.bundle import Bundle, Card, save_bundle
from ml.calibration import fit_calibration, fit_prior_power, fit_thresholds, named_class
from ml.data.manifest import Dataset
from ml.gate import fit_gate, quality_scores
from ml.images import decode
from ml.labels import Taxonomy
from ml.screening import NOT_SKIN
from ml.training.checkpoint import Progress
from ml.training.loop import Run, network_features, network_logits
from ml.training.model_card import INTENDED_USE, LICENCE, LIMITS
from ml.training.negatives import generated, read_negatives, varied, varied_copies
from ml.transforms.serving import square

log = logging.getLogger("lesion_lens.train")

GATE_PICTURES = 1500
GENERATED_PICTURES = 240


def finish(
    run: Run, dataset: Dataset, taxonomy: Taxonomy, progress: Progress, folder: Path, negatives: Path | None
) -> Bundle:
    """Fix every choice on the validation split and write the bundle `folder` (NAME/VERSION)."""
    config, labels = run.config, run.validation.labels
    logits = network_logits(run, run.network, flips=config.test_time_flips)
    calibration = fit_calibration(logits, labels)
    probabilities = calibration.probabilities(logits)
    counts = np.bincount(run.training.labels, minlength=run.classes).astype(np.float64)
    priors = counts / counts.sum()
    power = fit_prior_power(probabilities, labels, priors)
    malignant = list(taxonomy.malignant)
    risk = probabilities[:, malignant].sum(axis=1)
    points = config.operating_points
    thresholds = None
    if malignant:
        thresholds = fit_thresholds(risk, np.isin(labels, malignant), points.sensitivity, points.missed)
    named = metrics.confusion_matrix(labels, named_class(probabilities, priors, power), run.classes)
    architecture = find_architecture(config.architecture)
    card = Card(
        name=folder.parent.name,
        version=folder.name,
        label_set=taxonomy.name,
        classes=taxonomy.codes,
        architecture=config.architecture,
        image_size=config.image_size,
        mean=architecture.mean,
        std=architecture.std,
        calibration={"temperature": calibration.temperature, "bias": list(calibration.bias)},
        thresholds=thresholds,
        class_priors=tuple(float(p) for p in priors),
        prior_power=power,
        test_time_flips=config.test_time_flips,
        training={"config": config.to_dict(), "progress": vars(progress)},
        data=dataset.summary,
        validation={
            "images": len(labels),
            "accuracy": float(metrics.accuracy(named)),
            "balanced_accuracy": float(metrics.balanced_accuracy(named)),
            "macro_auroc": float(metrics.macro_auroc(labels, probabilities)),
            "expected_calibration_error": float(metrics.expected_calibration_error(labels, probabilities)),
        },
        licence=LICENCE,
        intended_use=INTENDED_USE,
        limits=LIMITS,
    )
    log.info("Validation: %s", card.validation)
    arrays, gate = _fit_gate(run, dataset, negatives)
    card = replace(card, gate=gate)
    weights = {name: value.detach().cpu().numpy() for name, value in run.network.state_dict().items()}
    return save_bundle(folder, card, weights, arrays)


def _fit_gate(
    run: Run, dataset: Dataset, negatives: Path | None
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """The gate's arrays and card entry, from training and validation pictures and, where given, other pictures."""
    random = np.random.default_rng(run.config.seed)
    records = dataset.split("train")
    chosen = [records[int(row)] for row in random.permutation(len(records))[:GATE_PICTURES]]
    pictures = [decode(record.path.read_bytes(), max_side=640) for record in chosen]
    qualities = [quality_scores(picture) for picture in pictures]
    training = [square(picture, run.config.image_size) for picture in pictures]
    others: dict[str, list[NDArray[np.uint8]]] = {}
    if negatives is not None:
        # Usable pictures are handed on in the same ways as the others, so that no way of handing on tells them apart.
        training += [square(varied(p, random, crop=False), run.config.image_size) for p in pictures]
        others = {
            kind: [square(p, run.config.image_size) for p in chain(found, varied_copies(found, random))]
            for kind, found in read_negatives(negatives).items()
        }
        made = [square(p, run.config.image_size) for p in generated(random, GENERATED_PICTURES)]
        others[NOT_SKIN] = others.get(NOT_SKIN, []) + made
    features = {kind: network_features(run, np.stack(squares)) for kind, squares in others.items()}
    return fit_gate(
        network_features(run, np.stack(training)),
        network_features(run, run.validation.images),
        qualities,
        features,
        seed=run.config.seed,
    )
