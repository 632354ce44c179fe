"""One file that a killed run goes on from."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ml.errors import TrainingError
from ml.files import write_atomically
from ml.networks import Network
from ml.training.config import TrainingConfig
from ml.training.history import Row
from ml.training.optimisation import Schedule, WeightAverage

LAST = "last.pt"


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
    """Write everything that the next epoch depends on, atomically. Random streams need no saving: each epoch seeds its
    own from (seed, epoch)."""
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
    write_atomically(folder / LAST, lambda temporary: torch.save(content, temporary))


def load_checkpoint(folder: Path, config: TrainingConfig) -> dict[str, Any] | None:
    """The last checkpoint, or None where there is none. Raises TrainingError where it is damaged or of another run."""
    path = folder / LAST
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
        before = dict(content["config"])
    except Exception as error:
        raise TrainingError(f"The checkpoint {path.name} cannot be read; remove it to start afresh.") from error
    changed = sorted(key for key, value in config.to_dict().items() if _differs(before.get(key), value))
    changed = [
        key
        for key in changed
        if key not in ("workers", "epochs", "patience", "serving_size", "test_time_flips", "operating_points")
    ]
    if changed:
        raise TrainingError(
            f"The run to be resumed had other settings ({', '.join(changed)}). "
            "Use the same ones, or start a new run with --weights BUNDLE."
        )
    return content


def _differs(before: Any, now: Any) -> bool:
    # Tuples come back from a file as lists.
    return (list(before) if isinstance(before, tuple) else before) != (list(now) if isinstance(now, tuple) else now)
