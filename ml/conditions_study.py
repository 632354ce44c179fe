"""`study_conditions`: a model and a sample of a split in; what phone-like faults do to its answers out."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.bundle import Bundle
from ml.conditions import CONDITIONS, degrade
from ml.conditions_metrics import PROTOCOL, Answers, judge, measure_step
from ml.conditions_report import write_conditions_report
from ml.data.manifest import ImageRecord, load_dataset, read_image
from ml.errors import DatasetError
from ml.evaluate import MAX_SIDE, describe_bundle, describe_dataset, training_overlap
from ml.features import lesion_mask
from ml.files import write_bytes, write_json
from ml.labels import load_taxonomy
from ml.screen import Screener
from ml.screening import Gate

IMAGES = 98
SHEETS = 2  # lesions shown at every step in the report

Key = tuple[str, int]
"""A condition's name and a step of it, counted from 1; ("unchanged", 0) is the picture as it is."""

UNCHANGED: Key = ("unchanged", 0)


def study_conditions(
    bundle: Bundle,
    dataset_folder: Path,
    split: str,
    out: Path,
    *,
    images: int = IMAGES,
    views: str = "one",
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Answer a sample of a split at every step of every condition; write `conditions.json`, `.csv`, `.html` to `out`.

    `views` is the set of views that each network averages over (ml.transforms.serving.VIEWS) or "card" for the
    bundle's own, which is what people are answered with and takes up to eight times as long. Returns the content of
    `conditions.json`, which is written last. Raises DatasetError for data the model was not made for, a split without
    images, an image that cannot be read, or an `out` that cannot be written.
    """
    dataset = load_dataset(dataset_folder, bundle.card.data.get("fold"))
    if dataset.classes != bundle.card.classes:
        raise DatasetError(
            f"The data has the classes {', '.join(dataset.classes)} and the model {', '.join(bundle.card.classes)}; "
            "prepare the data with the model's label set."
        )
    records = sample_lesions(dataset.split(split), images, seed)
    if not records:
        raise DatasetError(f"The {split} split has no images.")
    answers = answer_all(with_views(bundle, views), records, seed=seed, progress=progress)
    figures = {
        "split": split,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "bundle": describe_bundle(bundle),
        "dataset": describe_dataset(dataset),
        "overlap_with_training": training_overlap(bundle, dataset, split),
        "views": bundle.card.test_time_views if views == "card" else views,
        "views_of_the_bundle": bundle.card.test_time_views,
        **measure_conditions(answers, resamples=resamples, seed=seed),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(out / "conditions.csv", to_csv(answers).encode())
        shown = [read_image(record, MAX_SIDE) for record in records[:SHEETS]]
        write_conditions_report(out, figures, [(photo, lesion_mask(photo)) for photo in shown])
        write_json(out / "conditions.json", figures)
    except OSError as error:
        raise DatasetError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error
    return figures


def sample_lesions(records: Sequence[ImageRecord], images: int, seed: int) -> tuple[ImageRecord, ...]:
    """At most `images` records, one a lesion, the classes taking turns until each has no lesion left."""
    rng = np.random.default_rng(seed)
    queues: dict[str, list[ImageRecord]] = {}
    for index in rng.permutation(len(records)):
        queues.setdefault(records[index].label, []).append(records[index])
    for label, queue in queues.items():
        queues[label] = list({record.lesion_id: record for record in queue}.values())
    turns = [
        queues[label][turn]
        for turn in range(max(map(len, queues.values()), default=0))
        for label in sorted(queues)
        if turn < len(queues[label])
    ]
    return tuple(turns[:images])


def with_views(bundle: Bundle, views: str) -> Bundle:
    """The bundle, each of its networks looking at pictures through this set of views; "card" leaves it as it is."""
    if views == "card":
        return bundle
    card = replace(bundle.card, test_time_views=views)
    members = tuple(member | {"test_time_views": views} for member in bundle.card.members)
    return replace(bundle, card=replace(card, members=members) if members else card)


@dataclass(frozen=True)
class _Answer:
    probabilities: NDArray[np.float64]
    predicted: int
    status: str
    gate: Gate


def answer_all(
    bundle: Bundle, records: Sequence[ImageRecord], *, seed: int = 0, progress: bool = False
) -> dict[Key, Answers]:
    """The answers to the records as they are and at every step of every condition, each a table over the records."""
    screener = Screener(bundle)
    keys = [UNCHANGED, *((c.name, step) for c in CONDITIONS for step in range(1, len(c.values) + 1))]
    rows: list[list[_Answer]] = []
    for number, record in enumerate(tqdm(records, unit="image", disable=not progress)):
        photo = read_image(record, MAX_SIDE)
        mask = lesion_mask(photo)
        photos = [photo]
        for condition in CONDITIONS:
            photos += [
                degrade(photo, condition, step, mask, seed=seed + number)
                for step in range(1, len(condition.values) + 1)
            ]
        rows.append(_answers(screener, photos))
    taxonomy = load_taxonomy(bundle.card.label_set)
    return {
        key: Answers(
            taxonomy=taxonomy,
            images=tuple(record.path.name for record in records),
            labels=np.array([taxonomy.index(record.label) for record in records], np.int64),
            lesions=tuple(record.lesion_id for record in records),
            probabilities=np.stack([row[at].probabilities for row in rows]),
            predicted=np.array([row[at].predicted for row in rows], np.int64),
            statuses=tuple(row[at].status for row in rows),
            gates=tuple(row[at].gate for row in rows),
        )
        for at, key in enumerate(keys)
    }


def _answers(screener: Screener, photos: list[NDArray[np.uint8]]) -> list[_Answer]:
    """What a person would be told of each photo; a refused one is classified all the same, past the gate."""
    prediction = screener.classifier.predict(photos)
    screenings = screener.judge(photos, prediction)
    return [
        _Answer(row, int(name), screening.status.value, screening.gate)
        for row, name, screening in zip(prediction.probabilities, prediction.predicted, screenings, strict=True)
    ]


def measure_conditions(answers: dict[Key, Answers], *, resamples: int, seed: int) -> dict[str, Any]:
    """Figures of every step and a verdict on every condition, as plain JSON types."""
    before = answers[UNCHANGED]
    conditions = []
    for condition in CONDITIONS:
        steps = [
            measure_step(answers[condition.name, step], before, resamples=resamples, seed=seed)
            for step in range(1, len(condition.values) + 1)
        ]
        verdict = judge(condition.title, condition.steps, steps)
        named = [{"step": name, **step} for name, step in zip(condition.steps, steps, strict=True)]
        conditions.append(
            {
                "name": condition.name,
                "title": condition.title,
                "unit": condition.unit,
                "verdict": verdict.kind,
                "erring": list(verdict.erring),
                "unrefused": list(verdict.unrefused),
                "sentence": verdict.sentence,
                "steps": named,
            }
        )
    return {
        "n_images": len(before.images),
        "n_lesions": len(set(before.lesions)),
        "n_malignant": int(before.malignant().sum()),
        "images_per_class": dict(sorted(Counter(before.taxonomy.codes[label] for label in before.labels).items())),
        "unchanged": measure_step(before, before, resamples=resamples, seed=seed),
        "conditions": conditions,
        "bootstrap": {"resamples": resamples, "seed": seed, "level": 0.95},
        "protocol": PROTOCOL,
    }


def to_csv(answers: dict[Key, Answers]) -> str:
    """One row an image and step, with all that is needed to compute every figure again without the model."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    first = answers[UNCHANGED]
    codes, scores = first.taxonomy.codes, sorted({name for given in answers.values() for name in given.gates[0].scores})
    facts = ("condition", "step", "image", "lesion_id", "label", "predicted", "status", "gate_verdict", "gate_reason")
    writer.writerow([*facts, *(f"p_{code}" for code in codes), *(f"gate_{name}" for name in scores)])
    for (condition, step), given in answers.items():
        for i, gate in enumerate(given.gates):
            writer.writerow(
                [condition, step, given.images[i], given.lesions[i], codes[given.labels[i]], codes[given.predicted[i]]]
                + [given.statuses[i], gate.verdict, gate.reason or ""]
                + [f"{p:.6f}" for p in given.probabilities[i]]
                + [gate.scores.get(name, "") for name in scores]
            )
    return table.getvalue()
