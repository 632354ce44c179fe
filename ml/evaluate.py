"""`evaluate`: a model and a split of a prepared dataset in; figures, predictions and a report out."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.bundle import CHECKSUMS, Bundle
from ml.data.manifest import SUMMARY, Dataset, ImageRecord, load_dataset, read_image
from ml.errors import DatasetError
from ml.evaluate_metrics import measure
from ml.files import write_bytes, write_json
from ml.labels import load_taxonomy
from ml.metrics import Floats
from ml.predictions import Predictions
from ml.report import write_report
from ml.screen import Screener
from ml.screening import Gate, Screening

BATCH_SIZE = 16
MAX_SIDE = 2400  # pixels; larger pictures are shrunk, as those that people upload are


def evaluate(
    bundle: Bundle,
    dataset_folder: Path,
    split: str,
    out: Path,
    *,
    batch_size: int = BATCH_SIZE,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Answer every image of a split and write `metrics.json`, `predictions.csv`, `report.html` and pictures to `out`.

    Returns the content of `metrics.json`, which is written last: it vouches for the rest. Raises DatasetError, in one
    sentence, for data the model was not made for, an empty split, an image that cannot be read, or an `out` that
    cannot be written.
    """
    dataset = load_dataset(dataset_folder)
    if dataset.classes != bundle.card.classes:
        raise DatasetError(
            f"The data has the classes {', '.join(dataset.classes)} and the model {', '.join(bundle.card.classes)}; "
            "prepare the data with the model's label set."
        )
    records = dataset.split(split)
    if not records:
        raise DatasetError(f"The {split} split has no images.")
    predictions = predict_records(bundle, dataset.folder, records, batch_size=batch_size, progress=progress)
    figures = measure(predictions, bundle.card.thresholds, resamples=resamples, seed=seed)
    figures |= {
        "split": split,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "bundle": describe_bundle(bundle),
        "dataset": describe_dataset(dataset),
        "overlap_with_training": training_overlap(bundle, dataset, split),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(out / "predictions.csv", predictions.to_csv().encode())
        write_report(out, figures, predictions)
        write_json(out / "metrics.json", figures)
    except OSError as error:
        raise DatasetError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error
    return figures


def predict_records(
    bundle: Bundle, folder: Path, records: tuple[ImageRecord, ...], *, batch_size: int, progress: bool
) -> Predictions:
    """The model's answers to images, each taken by itself, with at most `batch_size` in memory.

    Raises DatasetError where an image is missing or cannot be decoded.
    """
    screener = Screener(bundle)
    taxonomy = load_taxonomy(bundle.card.label_set)
    answers: list[tuple[Floats, int, str, Gate]] = []
    with tqdm(total=len(records), unit="image", disable=not progress) as bar:
        for start in range(0, len(records), batch_size):
            photos = [read_image(record, MAX_SIDE) for record in records[start : start + batch_size]]
            screenings = screener.screen_batch(photos)
            rows, named = _classify(screener, photos, screenings)
            answers += [
                (row, name, screening.status.value, screening.gate)
                for row, name, screening in zip(rows, named, screenings, strict=True)
            ]
            bar.update(len(photos))
    return Predictions(
        taxonomy=taxonomy,
        records=records,
        images=tuple(_shown_path(record.path, folder) for record in records),
        probabilities=np.stack([row for row, _, _, _ in answers]),
        predicted=np.array([name for _, name, _, _ in answers], np.int64),
        statuses=tuple(status for _, _, status, _ in answers),
        gates=tuple(gate for _, _, _, gate in answers),
    )


def _classify(
    screener: Screener, photos: list[NDArray[np.uint8]], screenings: list[Screening]
) -> tuple[Floats, list[int]]:
    """Probabilities [B, C] and named classes [B], for refused photos too: those go to the classifier past the gate."""
    classes = screener.card.classes
    probabilities, named = np.zeros((len(photos), len(classes))), [0] * len(photos)
    refused = [i for i, screening in enumerate(screenings) if screening.probabilities is None]
    if refused:
        prediction = screener.classifier.predict([photos[i] for i in refused])
        probabilities[refused] = prediction.probabilities
        for i, index in zip(refused, prediction.predicted, strict=True):
            named[i] = int(index)
    for i, screening in enumerate(screenings):
        if screening.probabilities is not None and screening.predicted is not None:
            probabilities[i] = [screening.probabilities[code] for code in classes]
            named[i] = classes.index(screening.predicted)
    return probabilities, named


def describe_bundle(bundle: Bundle) -> dict[str, str]:
    """Name, version and a hash that stands for every byte of the bundle (its SHA256SUMS lists the others)."""
    digest = hashlib.sha256((bundle.path / CHECKSUMS).read_bytes()).hexdigest()
    return {"name": bundle.card.name, "version": bundle.card.version, "sha256": digest}


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Label set and the hash of the summary, which holds seed, counts and the hashes of the source."""
    digest = hashlib.sha256((dataset.folder / SUMMARY).read_bytes()).hexdigest()
    return {"label_set": dataset.label_set, "classes": list(dataset.classes), "summary_sha256": digest}


def training_overlap(bundle: Bundle, dataset: Dataset, split: str) -> dict[str, str]:
    """Whether the model may have seen the images it is asked about, as far as its card can tell.

    `verdict` is `none`, `overlap` or `unknown`; `message` is a sentence for a person. The card keeps the fingerprint of
    the data it was trained on, and of the data of each bundle that training started from.
    """
    for earlier in bundle.card.lineage:
        if earlier["data"].get("split_digests") != bundle.card.data.get("split_digests"):
            message = "Not known: the model started from one that was trained on other data."
            return {"verdict": "unknown", "message": message}
    trained_on, asked = bundle.card.data, dataset.fingerprint()
    if trained_on.get("split_digests") == asked["split_digests"]:
        if split == "test":
            return {"verdict": "none", "message": "No: trained on the other splits of the same prepared data."}
        use = "trained on these very images" if split == "train" else "chosen and calibrated on these very images"
        return {"verdict": "overlap", "message": f"The model was {use}; use the test split for figures that count."}
    if trained_on.get("source_hashes") and trained_on["source_hashes"] == asked.get("source_hashes"):
        message = "The model was trained on another split of the same source, which shares images with this one."
        return {"verdict": "overlap", "message": message}
    message = "Not known: the model was trained on another preparation of data, and its card cannot tell."
    return {"verdict": "unknown", "message": message}


def _shown_path(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
