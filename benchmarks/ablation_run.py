"""One run of an ablation: train on the subset, then keep the validation logits of the last epoch's weights."""

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ablation_faults import with_faults
from benchmarks.ablation_rows import BASELINE, Protocol, Row
from ml.data.cache import decoded
from ml.data.manifest import Dataset, load_dataset
from ml.files import write_atomically, write_json
from ml.labels import load_taxonomy
from ml.run_folder import LAST, PREVIOUS, forget, has_checkpoint
from ml.train import make_run
from ml.training.checkpoint import load_checkpoint
from ml.training.config import TrainingConfig
from ml.training.loop import Run, network_answers, run_epochs
from ml.transforms.serving import VIEWS, turned

LOGITS = "logits.npy"
FAULTY_LOGITS = "logits-faults.npy"
RECORD = "run.json"
WATCHED = 64
"""Validation images looked at after each epoch; what counts is measured once, at the end, on all of them."""


@dataclass(frozen=True)
class Finished:
    """A run on disk: logits [V, N, C] of its views on the N validation images, and its record.

    `faulty` are the logits [N, C] of the same images with faults of phone photos; None for a run that has none.
    """

    logits: NDArray[np.float64]
    faulty: NDArray[np.float64] | None
    record: dict[str, Any]


def subset(dataset: Dataset, largest_class: int) -> Dataset:
    """The data set with at most about `largest_class` training images of its most frequent class; all others stay.

    Whole groups of lesions are kept or left out, in the order of a digest of their names: the same for every run.
    """
    training = dataset.split("train")
    label, _ = Counter(record.label for record in training).most_common(1)[0]
    mixed = {record.group for record in training if record.label != label}
    sizes = Counter(record.group for record in training if record.label == label and record.group not in mixed)
    left = largest_class - sum(record.label == label and record.group in mixed for record in training)
    kept = set(mixed)
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        if left <= 0:
            break
        kept.add(group)
        left -= sizes[group]
    return replace(dataset, records=tuple(r for r in dataset.records if r.split != "train" or r.group in kept))


def run_folder(out: Path, row: str, seed: int) -> Path:
    """Where a run keeps its files."""
    return out / "runs" / f"{row}-{seed}"


def pictures(dataset: Dataset, largest_class: int) -> str:
    """A digest of the pictures that a run sees; a kept run counts only while they are the same."""
    seen = [record.sha256 for record in subset(dataset, largest_class).records if record.split != "test"]
    return hashlib.sha256("".join(seen).encode()).hexdigest()


def load_run(folder: Path, config: TrainingConfig, seen: str) -> Finished | None:
    """The finished run in `folder`, or None where there is none with these settings on these pictures.

    A setting that came after the run was made had its default then.
    """
    if not (folder / RECORD).is_file():
        return None
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    same = completed(record["config"], TrainingConfig().to_dict()) == config.to_dict() and record["pictures"] == seen
    if not same:
        return None
    faulty = folder / FAULTY_LOGITS
    return Finished(np.load(folder / LOGITS), np.load(faulty) if faulty.is_file() else None, record)


def completed(kept: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The settings `kept` with what is missing, at any depth, as in `defaults`."""
    inner = {
        name: completed(kept[name], value)
        for name, value in defaults.items()
        if isinstance(value, dict) and isinstance(kept.get(name), dict)
    }
    return defaults | kept | inner


def run_one(row: Row, seed: int, protocol: Protocol, data: Path, out: Path) -> None:
    """Train one row with one seed and keep its validation logits; a run that was killed goes on.

    Raises TrainingError, DatasetError or BundleError.
    """
    whole = load_dataset(data)
    dataset, taxonomy = subset(whole, protocol.largest_class), load_taxonomy(whole.label_set)
    config, folder = protocol.config(row, seed), run_folder(out, row.name, seed)
    config.check()
    seen = pictures(whole, protocol.largest_class)
    if load_run(folder, config, seen) is not None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    wall, processor = time.monotonic(), time.process_time()
    resume = has_checkpoint(folder) and load_checkpoint(folder)["config"] == config.to_dict()
    run = make_run(config, dataset, taxonomy, folder, resume=resume, progress_bar=False)
    validation = run.validation
    watched = replace(validation, images=validation.images[:WATCHED], labels=validation.labels[:WATCHED])
    run_epochs(replace(run, validation=watched), resume)
    checkpoint = load_checkpoint(folder)
    run.network.load_state_dict(checkpoint["average"]["state"] if checkpoint["average"] else checkpoint["network"])
    logits = _logits(run, dataset, 8 if row.name == BASELINE else 1)
    write_atomically(folder / LOGITS, lambda path: _save(path, logits))
    images = with_faults(dataset.split("val"), config.image_size, dataset.folder / "cache", config.preprocessing)
    faulty = network_answers(run, run.network, images)[0]
    write_atomically(folder / FAULTY_LOGITS, lambda path: _save(path, faulty))
    write_json(
        folder / RECORD,
        {
            "row": row.name,
            "seed": seed,
            "config": config.to_dict(),
            "pictures": seen,
            "training_images": len(run.training),
            "epochs": checkpoint["progress"].epoch,
            "processor_seconds": round(time.process_time() - processor, 1),
            "seconds": round(time.monotonic() - wall, 1),
        },
    )
    forget(folder, (LAST, PREVIOUS))


def _logits(run: Run, dataset: Dataset, count: int) -> NDArray[np.float64]:
    """Logits [V, N, C] of the validation images over the first `count` of the eight views."""
    views, config = VIEWS["eight"][:count], run.config
    records, cache = dataset.split("val"), dataset.folder / "cache"
    images = {
        zoom: decoded(records, config.image_size, cache, False, zoom, config.preprocessing)
        for zoom in {view.zoom for view in views}
    }
    return np.stack([network_answers(run, run.network, turned(images[view.zoom], view))[0] for view in views])


def _save(path: Path, logits: NDArray[np.float64]) -> None:
    with path.open("wb") as stream:
        np.save(stream, logits)
