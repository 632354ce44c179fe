"""Training runs that take a second or two."""

from pathlib import Path
from typing import Any

from ml.bundle import Bundle
from ml.train import train
from ml.training.config import TrainingConfig

# Settings of a run that takes a second or two.
TINY = TrainingConfig(
    architecture="lenet", weights="none", image_size=32, epochs=5, head_epochs=1, batch_size=8, average_decay=0.9,
    test_time_views="one", device="cpu", threads=1, workers=0, patience=5,
)  # fmt: skip


def run(config: TrainingConfig, data: Path, folder: Path, version: str = "1", **options: Any) -> Bundle:
    return train(config, data, folder / "run", folder / "models" / "t" / version, progress_bar=False, **options)
