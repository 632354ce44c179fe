"""`train`: a prepared data set in, a verified bundle out."""

import json
import logging
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml.architectures import build_model, find_architecture
from ml.bundle import Bundle, load_bundle
from ml.data.cache import decoded
from ml.data.loader import CACHE_MARGIN, AugmentedImages, default_workers
from ml.data.looks import looks_of
from ml.data.manifest import PROMOTION, Dataset, ImageRecord, load_dataset
from ml.data.reviewed import with_reviewed
from ml.errors import TrainingError
from ml.files import write_json
from ml.labels import Taxonomy, load_taxonomy
from ml.networks import Network, batch_norms, count_parameters, set_channels_last
from ml.run_folder import HISTORY, LAST, PREVIOUS, PROGRESS, RESULT, STOP, Watch, forget, has_checkpoint
from ml.training.ancestors import check_ancestors
from ml.training.cases import confirmed
from ml.training.checkpoint import check_not_unfinished, resumed_config
from ml.training.config import TrainingConfig
from ml.training.failures import told_plainly
from ml.training.finish import finish
from ml.training.loop import Run, Split, run_epochs
from ml.training.negatives import find_negatives
from ml.training.normaliser import Normaliser
from ml.training.optimisation import class_weights, reestimate_batch_norm, training_loss
from ml.training.teacher import Teacher
from ml.training.warm_start import warm_start
from ml.transforms.training import training_transform

log = logging.getLogger("lesion_lens.train")

STATISTICS_BATCHES = 24


def new_version() -> str:
    """A version that sorts by time, to the millisecond since runs can start together: 20260131T235959123Z."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z"


@told_plainly()
def train(
    config: TrainingConfig,
    data: Path,
    run_folder: Path,
    bundle_folder: Path,
    *,
    negatives: Path | None = None,
    reviewed: Path | None = None,
    apart: Path | None = None,
    resume: bool = False,
    stop_after: float = math.inf,
    progress_bar: bool = True,
) -> Bundle:
    """Train on the prepared data set in `data` and write a bundle to `bundle_folder` (NAME/VERSION).

    `run_folder` takes checkpoint, history and curves; with `resume` a run found there goes on. `stop_after` seconds
    end the run early, after a whole epoch, with a usable bundle; so does a file `stop` in `run_folder`, at once and
    with what the whole epochs before have given. `negatives` is a folder of pictures of other kinds than the label set
    is for, for the gate (see ml.training.negatives). `reviewed` is an export of reviewed cases that joins the training
    split, but for what is also in a frozen one (see ml.data.reviewed), or in the promotion split of the prepared data
    `apart`. Raises TrainingError, DatasetError or BundleError.
    """
    config.check()
    taxonomy = load_taxonomy(config.label_set)
    if negatives is not None:
        find_negatives(negatives, taxonomy.photos)
    run_folder.mkdir(parents=True, exist_ok=True)
    for leftover in run_folder.glob(".*.pt.*"):  # of a run that was killed while it wrote
        leftover.unlink(missing_ok=True)
    resume = resume and has_checkpoint(run_folder)
    if resume:
        config = resumed_config(run_folder, config)
    else:
        check_not_unfinished(run_folder)
    dataset = load_dataset(data, config.fold)
    if tuple(dataset.classes) != taxonomy.codes:
        raise TrainingError(
            f"The data set was prepared for {dataset.label_set} ({', '.join(dataset.classes)}), "
            f"not for {taxonomy.name} ({', '.join(taxonomy.codes)}). Prepare it again with --label-set {taxonomy.name}."
        )
    if reviewed is not None:
        held = load_dataset(apart).split(PROMOTION) if apart is not None else ()
        dataset = with_reviewed(dataset, reviewed, taxonomy, held=held, progress=progress_bar)
        log.info("Reviewed cases: %s", json.dumps(dataset.summary["reviewed"]))
    confirmed(dataset)  # said now, not after the last epoch, where there is none
    graded = dataset.summary.get("severity", {}).get("disease", config.disease)
    if graded != config.disease:
        raise TrainingError(f"The data grade the severity of '{graded}', not of '{config.disease}'.")
    check_ancestors(config, dataset)
    forget(run_folder, (RESULT,) if resume else (RESULT, STOP, PROGRESS))
    watch = Watch(run_folder)
    watch.tell("preparing", 0)
    run = make_run(config, dataset, taxonomy, run_folder, resume=resume, progress_bar=progress_bar)
    run.stop_after, run.watch = stop_after, watch
    if not resume:
        forget(run_folder, (LAST, PREVIOUS, HISTORY))
    outcome = run_epochs(run, resume)
    forget(run_folder, (STOP,))
    if outcome.progress.epoch == 0 and outcome.stopped:
        raise TrainingError("The run was stopped before its first epoch was finished, so there is no model of it.")
    if outcome.progress.epoch == 0:
        raise TrainingError(f"{outcome.failure} No epoch was finished. Lower the learning rates and train again.")
    watch.tell("finishing", outcome.progress.epoch)
    bundle = finish(
        _for_serving(run, outcome.best, dataset, taxonomy),
        dataset,
        taxonomy,
        outcome.progress,
        bundle_folder,
        negatives,
    )
    write_json(run_folder / RESULT, {"bundle": f"{bundle.card.name}@{bundle.card.version}"})
    if outcome.failure is not None:
        raise TrainingError(f"{outcome.failure} The run stopped; the best weights before that are in {bundle_folder}.")
    return bundle


def make_run(
    config: TrainingConfig,
    dataset: Dataset,
    taxonomy: Taxonomy,
    folder: Path,
    *,
    resume: bool = False,
    progress_bar: bool = True,
) -> Run:
    """Everything that the epochs need: images, network with its starting weights, loss. `folder` is the run's own.

    Sets torch's number of threads, seed and precision of matrix products. With `resume` the network is left as built,
    for the checkpoint to fill. Raises TrainingError, DatasetError or BundleError.
    """
    device = choose_device(config.device)
    torch.set_float32_matmul_precision("medium")
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    training = _training_images(config, dataset, taxonomy, progress_bar)
    normalise = Normaliser(*_statistics(config), device)
    weights = class_weights(training.labels, len(taxonomy.labels), config.class_weights)
    run = Run(
        config=config,
        folder=folder,
        network=_network(config, taxonomy, resume).to(device),
        normalise=normalise,
        training=training,
        validation=_validation_images(config, dataset, taxonomy, progress_bar),
        classes=len(taxonomy.labels),
        loss=training_loss(config, weights.to(device)),
        autocast=choose_precision(config.precision, device),
        workers=default_workers(device.type) if config.workers < 0 else config.workers,
        teacher=None
        if config.teacher is None
        else Teacher(load_bundle(Path(config.teacher)), taxonomy.codes, normalise, config.preprocessing),
        progress_bar=progress_bar,
    )
    if config.reset_batch_norm and not resume:
        reestimate_batch_norm(run.network, _first_batches(run))
    log.info(
        "%s parameters on %s, %d training and %d validation images.",
        f"{count_parameters(run.network):,}", device, len(training), len(run.validation.labels),
    )  # fmt: skip
    return run


def choose_device(name: str) -> torch.device:
    """'auto', or any torch device: a CUDA or Apple GPU where there is one, else the CPU."""
    if name != "auto":
        try:
            return torch.device(name)
        except RuntimeError as error:
            raise TrainingError(f"There is no device '{name}'. Use auto, cpu, cuda or mps.") from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The type for mixed precision, or None for single precision throughout.

    'auto' takes bfloat16 on GPUs, and on CPUs with matrix tiles for it (AMX); other CPUs have the instructions but
    train slower with them.
    """
    if name == "bf16":
        return torch.bfloat16
    if name == "float32" or device.type == "mps":
        return None
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return torch.bfloat16 if has_tiles() else None


def _network(config: TrainingConfig, taxonomy: Taxonomy, resume: bool) -> Network:
    network = build_model(config.architecture, len(taxonomy.labels), config.image_size, config.dropout)
    if not resume:
        log.info(warm_start(network, config.architecture, config.weights))
    if config.batch_norm_momentum is not None:
        for norm in batch_norms(network):
            norm.momentum = config.batch_norm_momentum
    set_channels_last(network)
    return network


def _for_serving(run: Run, best: dict[str, torch.Tensor], dataset: Dataset, taxonomy: Taxonomy) -> Run:
    """The run with its best weights, at the input size that the bundle will be served at."""
    config = run.config
    size = config.serving_size or config.image_size
    network = build_model(config.architecture, len(taxonomy.labels), size, config.dropout)
    network.load_state_dict(best)
    set_channels_last(network)
    served = replace(config, image_size=size)
    validation = _validation_images(served, dataset, taxonomy, run.progress_bar)
    return replace(run, network=network.to(run.normalise.device), validation=validation)


def _statistics(config: TrainingConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    architecture = find_architecture(config.architecture)
    return architecture.mean, architecture.std


def _labels(records: tuple[ImageRecord, ...], taxonomy: Taxonomy) -> NDArray[np.int64]:
    return np.array([taxonomy.index(record.label) for record in records], dtype=np.int64)


def _training_images(config: TrainingConfig, dataset: Dataset, taxonomy: Taxonomy, progress: bool) -> AugmentedImages:
    records = dataset.split("train")
    side, cache = round(CACHE_MARGIN * config.image_size), dataset.cache
    images = decoded(records, side, cache, progress, preprocessing=config.preprocessing)
    transform = training_transform(config.augmentation, config.image_size)
    looks = looks_of(
        records, images, cache, config.preprocessing, config.hair_removed_copies, config.skin_tones, progress
    )
    return AugmentedImages(images, _labels(records, taxonomy), transform, config.seed, looks)


def _validation_images(config: TrainingConfig, dataset: Dataset, taxonomy: Taxonomy, progress: bool) -> Split:
    records = dataset.split("val")
    cache = dataset.cache
    images = decoded(records, config.image_size, cache, progress, preprocessing=config.preprocessing)
    return Split(images, _labels(records, taxonomy))


def _first_batches(run: Run) -> list[torch.Tensor]:
    count = min(len(run.training), STATISTICS_BATCHES * run.config.batch_size)
    rows = np.random.default_rng(run.config.seed).permutation(len(run.training))[:count]
    batches = [rows[i : i + run.config.batch_size] for i in range(0, count, run.config.batch_size)]
    return [
        run.normalise(torch.stack([run.training[0, int(row)][0] for row in batch]))
        for batch in batches
        if len(batch) > 1
    ]
