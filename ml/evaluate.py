"""`evaluate`: a model and a split of a prepared dataset in; figures, predictions and a report out."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ml.bundle import CASES, Bundle, digest_of, member_prefix, read_card
from ml.calibration import softmax
from ml.card import Card
from ml.data.manifest import PROMOTION, SUMMARY, Dataset, ImageRecord, load_dataset, read_image
from ml.errors import DatasetError
from ml.evaluate_gate import Judged, gate_figures, judge_pictures
from ml.evaluate_metrics import measure
from ml.evaluate_severity import severity_figures
from ml.evaluate_thresholds import OperatingPoint, fitted_point
from ml.explain_measures import measure_explanations
from ml.files import write_bytes, write_json
from ml.gate import project
from ml.labels import load_taxonomy
from ml.predict import Prediction
from ml.predictions import Predictions
from ml.provenance import met
from ml.report import write_report
from ml.screen import Screener
from ml.screening import Screening
from ml.similar import CaseIndex

BATCH_SIZE = 16
MAX_SIDE = 2400  # pixels; larger pictures are shrunk, as those that people upload are


@dataclass(frozen=True)
class Request:
    """What an evaluation measures beyond the model as it is.

    `sensitivity` and `missed` (both or none, see ml.calibration.fit_thresholds) ask for thresholds fixed anew on the
    validation split; `thresholds` (`malignant` and `uncertain`) are simply tried; `gate_pictures` are folders for the
    gate (see ml.evaluate_gate); `explained` is the number of images to measure heatmaps on, 0 for none.
    """

    sensitivity: float | None = None
    missed: float | None = None
    thresholds: Mapping[str, float] | None = None
    gate_pictures: tuple[Path, ...] = ()
    explained: int = 0


def evaluate(
    bundle: Bundle,
    dataset_folder: Path,
    split: str,
    out: Path,
    request: Request = Request(),  # frozen
    *,
    fold: int | None = None,
    batch_size: int = BATCH_SIZE,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Answer every image of a split and write `metrics.json`, `predictions.csv`, `report.html` and pictures to `out`.

    `fold` is the one to answer, of a data set that has folds. Returns the content of `metrics.json`, which is written
    last: it vouches for the rest. Raises DatasetError, in one sentence, for data the model was not made for, an empty
    split, an image that cannot be read, or an `out` that cannot be written.
    """
    dataset = load_dataset(dataset_folder, fold)
    if dataset.classes != bundle.card.classes:
        raise DatasetError(
            f"The data has the classes {', '.join(dataset.classes)} and the model {', '.join(bundle.card.classes)}; "
            "prepare the data with the model's label set."
        )
    screener = Screener(bundle)
    answered = partial(predict_records, screener, dataset.folder, batch_size=batch_size, progress=progress)
    predictions = answered(_records(dataset, split))
    points = own_points(bundle)
    if points and request.sensitivity is not None and request.missed is not None:
        validation = predictions if split == "val" else answered(_records(dataset, "val"))
        points.append(fitted_point(validation, request.sensitivity, request.missed))
    if points and request.thresholds is not None:
        points.append(OperatingPoint("given", request.thresholds, "given by hand"))
    figures = measure(predictions, points, resamples=resamples, seed=seed)
    judged: tuple[Judged, ...] = ()
    if request.gate_pictures:
        judged = judge_pictures(screener, request.gate_pictures, seed=seed, progress=progress)
    explanations = None
    if request.explained:
        explanations = measure_explanations(
            bundle, predictions.records, images=request.explained, seed=seed, resamples=resamples, progress=progress
        )
    figures |= {
        "split": split,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "bundle": describe_bundle(bundle),
        "dataset": describe_dataset(dataset),
        "overlap_with_training": training_overlap(bundle, dataset, split),
        "gate_pictures": gate_figures(judged, bundle.card.gate.get("accepts")) if judged else None,
        "neighbours": neighbour_figures(bundle, predictions, split),
        "explanations": explanations,
        "severity": severity_figures(bundle.card, predictions, resamples=resamples, seed=seed),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(out / "predictions.csv", predictions.to_csv().encode())
        write_report(out, figures, predictions, judged)
        write_json(out / "metrics.json", figures)
    except OSError as error:
        raise DatasetError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error
    return figures


def predict_records(
    screener: Screener,
    folder: Path,
    records: tuple[ImageRecord, ...],
    *,
    batch_size: int,
    progress: bool,
    told: Callable[[int], None] = lambda done: None,
) -> Predictions:
    """The model's answers to images, each taken by itself, with at most `batch_size` in memory.

    `told` is called with the number of images answered. Raises DatasetError where an image is missing or cannot be
    decoded.
    """
    answers: list[Prediction] = []
    screenings: list[Screening] = []
    with tqdm(total=len(records), unit="image", disable=not progress) as bar:
        for start in range(0, len(records), batch_size):
            photos = [read_image(record, MAX_SIDE) for record in records[start : start + batch_size]]
            answers.append(screener.classifier.predict(photos))
            screenings += screener.judge(photos, answers[-1])
            bar.update(len(photos))
            told(start + len(photos))
    logits = np.concatenate([answer.logits for answer in answers]).astype(np.float64)
    return Predictions(
        taxonomy=load_taxonomy(screener.card.label_set),
        records=records,
        images=tuple(_shown_path(record.path, folder) for record in records),
        probabilities=np.concatenate([answer.probabilities for answer in answers]),
        uncalibrated=softmax(logits),
        predicted=np.concatenate([answer.predicted for answer in answers]),
        statuses=tuple(screening.status.value for screening in screenings),
        gates=tuple(screening.gate for screening in screenings),
        features=np.concatenate([answer.features for answer in answers]),
    )


def own_points(bundle: Bundle) -> list[OperatingPoint]:
    """The model's own operating point; none for a label set without malignant classes."""
    if bundle.card.thresholds is None:
        return []
    asked = bundle.card.asked
    return [
        OperatingPoint(
            "the model's own",
            bundle.card.thresholds,
            "fixed on the validation split by training",
            asked.get("sensitivity"),
            asked.get("missed"),
        )
    ]


def neighbour_figures(bundle: Bundle, predictions: Predictions, split: str) -> dict[str, Any] | None:
    """How the diagnoses of the nearest confirmed training cases agree with the images' own (see ml.similar).

    None where the model keeps no cases, where they are placed among another network's features, or where the images are
    those cases.
    """
    path = bundle.path / CASES
    whole = Card.from_dict(read_card(bundle.path))
    if not path.is_file() or split == "train" or bundle.prefix not in ("", member_prefix(whole.gate_network)):
        return None
    labels = [record.label for record in predictions.records]
    points = project(bundle.gate_arrays(), predictions.features)
    return asdict(CaseIndex.load(path).agreement(points, labels))


def _records(dataset: Dataset, split: str) -> tuple[ImageRecord, ...]:
    records = dataset.split(split)
    if not records:
        raise DatasetError(f"The {split} split has no images.")
    return records


def describe_bundle(bundle: Bundle) -> dict[str, str]:
    """Name, version and a hash that stands for every byte of the bundle (its SHA256SUMS lists the others).

    `member` is there where one network of an ensemble is meant.
    """
    named = {"name": bundle.card.name, "version": bundle.card.version, "sha256": digest_of(bundle.path)}
    return named | ({"member": bundle.prefix.rstrip(".")} if bundle.prefix else {})


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Label set and the hash of the summary, which holds seed, counts and the hashes of the source."""
    digest = hashlib.sha256((dataset.folder / SUMMARY).read_bytes()).hexdigest()
    fold = {"fold": dataset.summary["fold"]} if "fold" in dataset.summary else {}
    return {"label_set": dataset.label_set, "classes": list(dataset.classes), "summary_sha256": digest, **fold}


def training_overlap(bundle: Bundle, dataset: Dataset, split: str) -> dict[str, str]:
    """Whether the model may have seen the images it is asked about, as far as its files can tell.

    `verdict` is `none`, `overlap` or `unknown`; `message` is a sentence for a person. The card keeps the fingerprint of
    the data it was trained on, and of the data of each bundle that training started from; where that is not of this
    very preparation, the bundle's list of images decides (see ml.provenance), if it has one.
    """
    members = [entry for member in bundle.card.members for entry in (member, *member.get("lineage", ()))]
    trained_on, asked = bundle.card.data, dataset.fingerprint()
    parts = [trained_on, *(entry["data"] for entry in (*bundle.card.lineage, *members))]
    if all(_held_out(data, asked, split) for data in parts):
        return {"verdict": "none", "message": "No: trained on the other splits of the same prepared data."}
    if trained_on.get("split_digests") == asked["split_digests"] and split in ("train", "val"):
        use = "trained on these very images" if split == "train" else "chosen and calibrated on these very images"
        return {"verdict": "overlap", "message": f"The model was {use}; use the test split for figures that count."}
    asked_about = [record.sha256 for record in dataset.split(split)]
    known = met(bundle, asked_about) if asked_about else None
    if known:
        message = f"The model learnt from, or was tuned on, {known} of these {len(asked_about)} images."
        return {"verdict": "overlap", "message": message}
    if known == 0:
        message = (
            "No: none of these images is in the list of those that the model learnt from or was tuned on. Copies that "
            "were saved anew, and other pictures of the same lesions, are not in it by name."
        )
        return {"verdict": "none", "message": message}
    for data in parts:
        if data.get("split_digests") != trained_on.get("split_digests"):
            if data.get("source_hashes") and data["source_hashes"] == asked.get("source_hashes"):
                message = "Part of the model was trained on another split of this source, which shares images with it."
                return {"verdict": "overlap", "message": message}
            message = "Not known: part of the model was trained on other data."
            return {"verdict": "unknown", "message": message}
    if trained_on.get("source_hashes") and trained_on["source_hashes"] == asked.get("source_hashes"):
        message = "The model was trained on another split of the same source, which shares images with this one."
        return {"verdict": "overlap", "message": message}
    message = "Not known: the model was trained on another preparation of data, and its card cannot tell."
    return {"verdict": "unknown", "message": message}


def _held_out(trained_on: Mapping[str, Any], asked: Mapping[str, Any], split: str) -> bool:
    """Whether a preparation kept exactly the images that are asked about out of training and tuning."""
    if split == PROMOTION:
        return bool(trained_on.get("promotion_digest", "") == asked.get("promotion_digest"))
    kept = trained_on.get("split_digests", {}).get("test", "")
    return bool(kept) and split == "test" and kept == asked["split_digests"]["test"]


def _shown_path(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
