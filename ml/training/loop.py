"""The epochs of a run: train, average, validate, keep the best, checkpoint."""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ml import metrics
from ml.data.loader import AugmentedImages, EpochSampler, balancing_weights, training_loader
from ml.errors import TrainingError
from ml.networks import Network
from ml.run_folder import Watch
from ml.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from ml.training.config import TrainingConfig
from ml.training.history import Row, draw_curves, write_history
from ml.training.mixing import mixed
from ml.training.normaliser import Normaliser
from ml.training.optimisation import Schedule, WeightAverage, make_optimiser
from ml.training.teacher import Teacher

log = logging.getLogger("lesion_lens.train")


class NotFiniteError(TrainingError):
    """The loss became infinite or not a number."""


class StopAsked(Exception):
    """Somebody asked the run to end (see ml.run_folder.STOP)."""


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, S, S, 3] and class indices [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass
class Run:
    """All that an epoch needs; made once by ml.train."""

    config: TrainingConfig
    folder: Path
    network: Network
    normalise: Normaliser
    training: AugmentedImages
    validation: Split
    classes: int
    loss: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    autocast: torch.dtype | None
    workers: int
    teacher: Teacher | None = None
    progress_bar: bool = True
    watch: Watch | None = None
    """Where the run tells how far it is and hears that it shall end; None for one that nobody watches."""
    stop_after: float = math.inf
    """Seconds after which the run stops at the end of an epoch, to be resumed later."""


CURVES_SECONDS = 10
"""The curves of a run are drawn at its end, and so often at most before: epochs of a tiny model are sooner done."""


@dataclass(frozen=True)
class Outcome:
    """The best weights, where the run stands, why it stopped early if its loss was no longer finite, and whether
    somebody asked for its end."""

    best: dict[str, Tensor]
    progress: Progress
    failure: str | None
    stopped: bool = False


def run_epochs(run: Run, resume: bool) -> Outcome:
    """Train until the last epoch, early stopping, the time limit, a loss that is not finite, or being asked to stop."""
    config, started = run.config, time.monotonic()
    drawn = started
    weights = balancing_weights(run.training.labels, run.classes) if config.balanced_sampling else None
    sampler = EpochSampler(len(run.training), config.seed, weights)
    loader = training_loader(run.training, sampler, config.batch_size, run.workers)
    optimiser = make_optimiser(run.network, config)
    schedule = Schedule(config, len(loader))
    average = WeightAverage(run.network, config.average_decay) if config.average_decay > 0 else None
    progress, best, rows = Progress(), copy.deepcopy(run.network.state_dict()), list[Row]()
    if resume:
        content = load_checkpoint(run.folder)
        run.network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        schedule.restore(content["schedule"])
        if average is not None:
            average.network.load_state_dict(content["average"]["state"])
            average.steps = content["average"]["steps"]
        progress, best, rows = content["progress"], content["best"], content["history"]
        log.info("Going on after epoch %d.", progress.epoch)
    before, failure, stopped = progress.seconds, None, False
    while progress.epoch < config.epochs and progress.stale_epochs < config.patience:
        epoch_started = time.monotonic()
        sampler.epoch = progress.epoch
        measured = average.network if average is not None else run.network
        try:
            training_loss, factor = _train_epoch(run, loader, optimiser, schedule, average, progress.epoch)
            row = _validate(run, measured, progress.epoch)
        except NotFiniteError as error:
            failure = str(error)
            log.error("%s The run stops; the best weights so far are kept.", failure)
            break
        except StopAsked:
            stopped = True
            log.info("Asked to stop; %d whole epochs count.", progress.epoch)
            break
        figure = row["validation_balanced_accuracy"]
        schedule.epoch_ended(figure)
        progress.epoch += 1
        if figure > progress.best_figure:
            best = {name: value.detach().cpu().clone() for name, value in measured.state_dict().items()}
            progress.best_figure, progress.best_epoch, progress.stale_epochs = figure, progress.epoch, 0
        elif progress.epoch > config.head_epochs:
            progress.stale_epochs += 1
        progress.seconds = before + time.monotonic() - started
        seconds = time.monotonic() - epoch_started
        rows.append(
            {"epoch": progress.epoch, "training_loss": training_loss, **row, "rate_factor": factor, "seconds": seconds}
        )
        save_checkpoint(run.folder, config, run.network, average, optimiser, schedule, progress, best, rows)
        write_history(run.folder, rows)
        if time.monotonic() - drawn > CURVES_SECONDS:
            draw_curves(run.folder, rows)
            drawn = time.monotonic()
        log.info(
            "epoch %d/%d  loss %.4f  validation loss %.4f  accuracy %.4f  balanced accuracy %.4f  macro AUROC %.4f  "
            "best %.4f (epoch %d)  %.0f s",
            progress.epoch, config.epochs, training_loss, row["validation_loss"], row["validation_accuracy"],
            figure, row["validation_macro_auroc"], progress.best_figure, progress.best_epoch, seconds,
        )  # fmt: skip
        if time.monotonic() - started > run.stop_after:
            log.info("The time limit is reached after epoch %d; --resume goes on from here.", progress.epoch)
            break
    if rows:
        draw_curves(run.folder, rows)
    return Outcome(best, progress, failure, stopped)


def _train_epoch(
    run: Run,
    loader: DataLoader[tuple[Tensor, int]],
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    average: WeightAverage | None,
    epoch: int,
) -> tuple[float, float]:
    """One pass over the training images: mean loss, and the last factor on the learning rates."""
    # Dropout and drop-connect draw from the global stream; seeding it here is what lets a resumed run go on exactly.
    torch.manual_seed(run.config.seed * 100_003 + epoch)
    mixing = np.random.default_rng((run.config.seed, epoch))
    run.network.train()
    run.network.backbone.requires_grad_(epoch >= run.config.head_epochs)
    total, factor = 0.0, 0.0
    bar = tqdm(loader, desc=f"epoch {epoch + 1}/{run.config.epochs}", disable=not run.progress_bar, leave=False)
    for step, (images, labels) in enumerate(bar):
        if run.watch is not None:
            run.watch.tell("training", epoch + 1, step, len(loader))
            if run.watch.stop_asked():
                raise StopAsked
        factor = schedule.at(epoch * len(loader) + step)
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor
        batch, targets = run.normalise(images), labels.to(run.normalise.device)
        batch, partner, share = mixed(batch, mixing, run.config.mixup, run.config.cutmix)
        with torch.autocast(run.normalise.device.type, run.autocast, enabled=run.autocast is not None):
            logits = run.network(batch)
        soft = None if run.teacher is None else run.teacher.logits(batch)
        loss = share * run.loss(logits.float(), targets, soft)
        if share < 1:
            loss = loss + (1 - share) * run.loss(logits.float(), targets[partner], soft)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NotFiniteError(f"The loss is no longer a finite number in epoch {epoch + 1}, step {step + 1}.")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if average is not None:
            average.update(run.network)
        total += value
        bar.set_postfix(loss=f"{total / (step + 1):.3f}", refresh=False)
    return total / len(loader), factor


def network_answers(
    run: Run, network: Network, images: NDArray[np.uint8], batch_size: int = 64
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Logits [N, C] and pooled features [N, D] of images [N, S, S, 3] in their serving shape.

    In single precision, as serving computes them, whatever training does.
    """
    network.eval()
    logits, features = [], []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            part = np.ascontiguousarray(images[start : start + batch_size].transpose(0, 3, 1, 2))
            answer = network.forward_with_features(run.normalise(torch.from_numpy(part)))
            logits.append(answer[0].cpu().numpy())
            features.append(answer[1].cpu().numpy())
    return np.concatenate(logits).astype(np.float64), np.concatenate(features)


def _validate(run: Run, network: Network, epoch: int) -> Row:
    logits, labels = network_answers(run, network, run.validation.images)[0], run.validation.labels
    if not np.isfinite(logits).all():
        raise NotFiniteError(f"The network's answers are no longer finite numbers after epoch {epoch + 1}.")
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    matrix = metrics.confusion_matrix(labels, logits.argmax(axis=1), run.classes)
    return {
        "validation_loss": float(-logs[np.arange(len(labels)), labels].mean()),
        "validation_accuracy": float(metrics.accuracy(matrix)),
        "validation_balanced_accuracy": float(metrics.balanced_accuracy(matrix)),
        "validation_macro_auroc": float(metrics.macro_auroc(labels, np.exp(logs))),
    }
