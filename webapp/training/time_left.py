"""How far a run is and how long it will still take, by the phase that it is in."""

from pathlib import Path

from webapp import clock
from webapp.config import Config
from webapp.models.training_run import RunState, TrainingRun
from webapp.training.choices import Estimate, estimate, images_in

FINISHING = "finishing"


def share_done(run: TrainingRun) -> float:
    """How much of the most that a run could take is done, 0 to 1; all of it once no more epochs follow."""
    progress = run.progress or {}
    if progress.get("phase") == FINISHING:
        return 1.0
    return min(1.0, _epochs_done(run) / run.epochs) if run.epochs else 0.0


def seconds_left(config: Config, run: TrainingRun) -> float | None:
    """At most so long, until the model is there; None where nothing is under way, nothing like it has run yet, or it
    takes longer than expected.

    By the run's own last epoch, before that by what the same network took before. No more epochs follow once it
    finishes, however many early stopping has spared.
    """
    if run.state != RunState.RUNNING or not run.epochs:
        return None
    expected = _expected(config, run)
    epoch = float(run.metrics["seconds"]) if run.metrics else expected.epoch
    if epoch is None:
        return None
    finishing = 0.0
    if expected.epoch and expected.finishing:
        finishing = expected.finishing * epoch / expected.epoch
    progress = run.progress or {}
    if progress.get("phase") != FINISHING:
        return epoch * (run.epochs - _epochs_done(run)) + finishing
    left = finishing - (clock.now().timestamp() - float(progress.get("since", clock.now().timestamp())))
    return left if left > 0 else None


def _epochs_done(run: TrainingRun) -> float:
    progress = run.progress or {}
    if progress.get("phase") != "training":
        return float(run.epoch)
    inside = progress.get("step", 0) / progress["steps"] if progress.get("steps") else 0.0
    return float(min(run.epochs, max(run.epoch, progress.get("epoch", 1) - 1) + inside))


def _expected(config: Config, run: TrainingRun) -> Estimate:
    images = images_in(Path(run.data)) if run.data else {}
    images = images or {"train": int(run.options.get("images") or 0)}
    architecture, size = run.options.get("architecture"), run.options.get("image_size")
    if not images.get("train") or not architecture or not size:
        return Estimate(None, None)
    return estimate(config, images, str(architecture), int(size))
