"""Training runs that take a second or two."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.bundle import Bundle
from ml.data.drawn import draw_lesion
from ml.data.prepare import prepare
from ml.train import train
from ml.training.config import TrainingConfig

# Settings of a run that takes a second or two.
TINY = TrainingConfig(
    architecture="lenet", weights="none", image_size=32, epochs=5, head_epochs=1, batch_size=8, average_decay=0.9,
    test_time_views="one", device="cpu", threads=1, workers=0, patience=5,
)  # fmt: skip


def run(config: TrainingConfig, data: Path, folder: Path, version: str = "1", **options: Any) -> Bundle:
    return train(config, data, folder / "run", folder / "models" / "t" / version, progress_bar=False, **options)


# Drawn lesions that stand for the classes of msid: what a tiny network can tell apart.
RASHES = {"monkeypox": "bcc", "chickenpox": "vasc", "measles": "akiec", "normal": "nv"}


def draw_rash(name: str, number: int) -> NDArray[np.uint8]:
    """A picture [120, 160, 3] of one of the classes."""
    return draw_lesion(RASHES[name], np.random.default_rng(100 + number), (120, 160))


def write_rashes(folder: Path, per_class: int = 10) -> Path:
    """Folders with drawn pictures of the four classes of msid."""
    for name in RASHES:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            Image.fromarray(draw_rash(name, number)).save(folder / name / f"{name}_{number}.png")
    return folder


def train_rash(folder: Path, **options: Any) -> Bundle:
    """A bundle for msid."""
    prepare(write_rashes(folder / "source"), "folders", folder / "data", label_set="msid")
    return run(replace(TINY, label_set="msid", **options), folder / "data", folder)
