"""The files that a killed run goes on from: the last checkpoint, and the one before it in case that is damaged."""

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ml.errors import TrainingError
from ml.files import seal, sealed, write_atomically
from ml.networks import Network
from ml.run_folder import LAST, PREVIOUS, has_checkpoint
from ml.training.config import TrainingConfig
from ml.training.failures import no_space
from ml.training.history import Row
from ml.training.optimisation import Schedule, WeightAverage

log = logging.getLogger("lesion_lens.train")

FREE_TO_CHANGE = (
    "weights", "workers", "epochs", "patience", "serving_size", "test_time_views", "operating_points", "packed"
)  # fmt: skip
"""Settings that a resumed run may change: none alters the weights of the epochs that both have."""


@dataclass
class Progress:
    """Where a run stands after whole epochs: `epoch` counts the finished ones."""

    epoch: int = 0
    best_figure: float = -1.0
    best_epoch: int = 0
    stale_epochs: int = 0
    seconds: float = 0.0


def save_checkpoint(
    folder: Path,
    config: TrainingConfig,
    network: Network,
    average: WeightAverage | None,
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    progress: Progress,
    best: dict[str, torch.Tensor],
    history: list[Row],
) -> None:
    """Write everything that the next epoch depends on, atomically and with a checksum. Random streams need no saving:
    each epoch seeds its own from (seed, epoch). The checkpoint before is kept. Raises TrainingError for a full disk."""
    content = {
        "config": config.to_dict(),
        "network": network.state_dict(),
        "average": None if average is None else {"state": average.network.state_dict(), "steps": average.steps},
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state(),
        "progress": vars(progress),
        "best": best,
        "history": history,
    }
    new = folder / "new.pt"
    try:
        write_atomically(new, lambda temporary: _write(content, temporary))
    except RuntimeError as error:  # how torch tells that a write did not succeed
        raise no_space() from error
    # Killed between the two, a run goes on from the one before.
    if (folder / LAST).exists():
        os.replace(folder / LAST, folder / PREVIOUS)
    os.replace(new, folder / LAST)


def _write(content: dict[str, Any], path: Path) -> None:
    torch.save(content, path)
    seal(path)


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """The last valid checkpoint, its configuration under today's names. Raises TrainingError where none is."""
    for name in (LAST, PREVIOUS):
        if not (folder / name).exists():
            continue
        try:
            return _read(folder / name)
        except Exception as error:  # torch raises whatever its unpickler met in a damaged file
            log.warning("The checkpoint %s is damaged (%s).", name, type(error).__name__)
    raise TrainingError("The checkpoint of this run cannot be read. Start it afresh in another folder.")


def _read(path: Path) -> dict[str, Any]:
    if not sealed(path):
        raise ValueError("the checksum is another one")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    # A setting that came after the checkpoint was written had its default then.
    content["config"] = TrainingConfig().to_dict() | dict(content["config"])
    content["progress"] = Progress(**content["progress"])
    return content


def resumed_config(folder: Path, config: TrainingConfig) -> TrainingConfig:
    """The configuration to go on with: `config`, started from what the run was started from at first.

    A bundle given by name may have a newer version by now, made by this very run. Raises TrainingError where a setting
    that the weights depend on is another one than the run's.
    """
    before = load_checkpoint(folder)["config"]
    changed = [name for name, value in config.to_dict().items() if before[name] != value]
    if changed := [name for name in changed if name not in FREE_TO_CHANGE]:
        raise TrainingError(
            f"The run to be resumed had other settings ({', '.join(sorted(changed))}). "
            "Use the same ones, or start a new run with --weights BUNDLE."
        )
    return replace(config, weights=before["weights"])


def check_not_unfinished(folder: Path) -> None:
    """Raises TrainingError where the folder holds a run that a new one would overwrite before its end."""
    if not has_checkpoint(folder):
        return
    content = load_checkpoint(folder)
    progress, config = content["progress"], content["config"]
    if progress.epoch < config["epochs"] and progress.stale_epochs < config["patience"]:
        raise TrainingError(
            f"There is an unfinished run in {folder} ({progress.epoch} of {config['epochs']} epochs). "
            "Add --resume to go on with it, or choose another folder with --run."
        )
