"""`evaluate_first_look`: how good a first look is on a split of a prepared data set."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ml.bundle import digest_of
from ml.calibration import softmax
from ml.data.manifest import load_dataset, read_image
from ml.errors import DatasetError
from ml.evaluate import describe_dataset
from ml.evaluate_metrics import measure
from ml.features_list import FEATURES
from ml.files import write_bytes, write_json
from ml.labels import Status, load_taxonomy
from ml.predictions import Predictions
from ml.preliminary import FirstLook

MAX_SIDE = 2400  # pixels; larger pictures are shrunk, as those that people upload are
FIGURES, TABLE = "first-look.json", "first-look-predictions.csv"


def evaluate_first_look(
    look: FirstLook,
    look_folder: Path,
    dataset_folder: Path,
    split: str,
    out: Path,
    *,
    fold: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Answer every image of a split, of one `fold` where the data has folds, and write `FIGURES` and `TABLE` to `out`;
    returns the content of the former.

    Figures are over all images, whatever its check says of them, as a network's are; an image in which no lesion is
    found is given the class shares of training, that is, no information. `status` tells what would have been
    answered. `cpu_ms` is the processor time of one thread for each image, decoding left out. Raises DatasetError for
    data that it was not made for, an empty split, an unreadable image or an `out` that cannot be written.
    """
    dataset = load_dataset(dataset_folder, fold)
    card = look.card
    if dataset.classes != card.classes:
        raise DatasetError("The data has other classes than the first look; prepare it with the same label set.")
    records = dataset.split(split)
    if not records:
        raise DatasetError(f"The {split} split has no images.")
    priors = np.asarray(card.class_priors)
    probabilities, uncalibrated, gates, statuses, cpu = [], [], [], [], []
    without = 0
    for record in tqdm(records, unit="image", disable=not progress):
        pixels = read_image(record, MAX_SIDE)
        started = time.thread_time()
        found = look.look(pixels)
        cpu.append(1000 * (time.thread_time() - started))
        gates.append(found.gate)
        statuses.append((Status.REFUSED if found.probabilities is None else Status.UNCERTAIN).value)
        if found.measured is None:
            without += 1
            probabilities.append(priors)
            uncalibrated.append(priors)
        else:
            values = found.measured.values[None]
            probabilities.append(look.probabilities(values)[0])
            uncalibrated.append(softmax(look.logits(values))[0])
    together = np.stack(probabilities)
    predictions = Predictions(
        taxonomy=load_taxonomy(card.label_set),
        records=records,
        images=tuple(record.path.name for record in records),
        probabilities=together,
        uncalibrated=np.stack(uncalibrated),
        predicted=look.named(together),
        statuses=tuple(statuses),
        gates=tuple(gates),
        features=np.zeros((len(records), 0), np.float32),
    )
    figures = measure(predictions, [], resamples=resamples, seed=seed) | {
        "split": split,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "first_look": {**look.model, "sha256": digest_of(look_folder), "features": len(FEATURES)},
        "dataset": describe_dataset(dataset),
        "same_data_as_training": card.data.get("split_digests") == dataset.fingerprint()["split_digests"],
        "without_lesion": without,
        "cpu_ms": {"median": float(np.median(cpu)), "p95": float(np.percentile(cpu, 95))},
        "check": card.gate.get("measured"),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(out / TABLE, predictions.to_csv().encode())
        write_json(out / FIGURES, figures)
    except OSError as error:
        raise DatasetError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error
    return figures
