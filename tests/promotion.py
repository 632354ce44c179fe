"""Models to choose between, and the set to choose by: drawn, trained and small."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from ml.bundle import HISTORY, LEARNT, WEIGHTS, Bundle, save_bundle
from ml.data.drawn import write_drawn_dataset
from ml.data.promotion_set import add_promotion_set
from ml.data.sources import SourceFolder
from ml.images import decode
from ml.labels import load_taxonomy
from ml.predict import Classifier
from ml.training.choices import fix_choices
from ml.training.config import OperatingPoints
from tests.ml.tiny import TINY, run
from webapp.config import Config

LESIONS_PER_CLASS = 14
MARGIN = 0.4
"""What so few lesions can rule out: 8 are needed for it."""


def write_promotion_set(folder: Path, per_class: int = LESIONS_PER_CLASS) -> Path:
    """A prepared folder with a promotion split of drawn lesions that nothing else here has."""
    source = write_drawn_dataset(folder / "source", per_class=per_class, seed=77)
    add_promotion_set(folder / "set", SourceFolder(source, "ham10000"))
    return folder / "set"


def train_weak(data: Path, folder: Path) -> Bundle:
    """A really worse model: one epoch, and thresholds that may miss most malignant lesions."""
    points = OperatingPoints(sensitivity=0.05, missed=0.85)
    config = replace(TINY, epochs=1, head_epochs=0, patience=1, operating_points=points)
    return run(config, data, folder)


def install(bundle: Bundle, models: Path, name: str, version: str = "1", **changes: Any) -> Path:
    """Put a bundle among the trained ones of an installation, under another name and with other entries in its card."""
    card = replace(bundle.card, name=name, version=version, **changes)
    texts = {name: p.read_text() if (p := bundle.path / name).is_file() else None for name in (LEARNT, HISTORY)}
    return save_bundle(
        models / name / version, card, load_file(bundle.path / WEIGHTS), bundle.gate_arrays(), texts=texts
    ).path


def recalibrated(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """Entries for the card of a tiny model: calibration and thresholds fitted on more pictures than its dozen."""
    source = write_drawn_dataset(folder / "calibration", per_class=8, seed=55)
    labels, pictures = [], []
    with (source / "HAM10000_metadata.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            labels.append(bundle.card.classes.index(row["dx"]))
            pictures.append(decode(next(source.glob(f"**/{row['image_id']}.jpg")).read_bytes()))
    logits, truth = Classifier(bundle).predict(pictures).logits.astype(np.float64), np.array(labels)
    points = OperatingPoints(sensitivity=0.55, missed=0.1)
    priors = np.full(len(bundle.card.classes), 1 / len(bundle.card.classes))
    found = fix_choices(
        logits, truth, [str(row) for row in range(len(truth))], priors, load_taxonomy(bundle.card.label_set), points
    )
    return {"calibration": found.calibration, "thresholds": found.thresholds}


def with_three_models(
    config: Config, good: Bundle, weak: Bundle, promotion_set: Path, believable: dict[str, Any]
) -> Config:
    """The settings of an application in which `good` answers; installed beside it are the same once more, as `twin`,
    and the weak one."""
    config = replace(config, model="good@1", promotion_data=str(promotion_set), promotion_margin=MARGIN)
    install(good, config.models, "good", **believable)
    install(good, config.models, "twin", **(believable | {"limits": ("The same network.",)}))
    install(weak, config.models, "weak")
    return config
