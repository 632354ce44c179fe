"""What a model said about every image of a split: the table from which all figures are computed."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml.data.manifest import ImageRecord
from ml.labels import Status, Taxonomy
from ml.metrics import Bools, Floats, Ints
from ml.screening import Gate, decide_status

AGE_BANDS = ((0, 30), (30, 45), (45, 60), (60, 75), (75, 150))  # years, upper bound excluded


@dataclass(frozen=True)
class Predictions:
    """N images in manifest order.

    `probabilities` [N, C], calibrated, `uncalibrated` [N, C], the softmax of the logits, and `predicted` [N], the index
    of the class that the model names, are there for every image, whatever the gate says of it; `statuses` and `gates`
    [N] are what a person would have been told, so a refused image has status `refused`. `features` [N, D]
    are the network's pooled ones. `images` are the paths to show, inside the dataset's folder where possible.
    """

    taxonomy: Taxonomy
    records: tuple[ImageRecord, ...]
    images: tuple[str, ...]
    probabilities: Floats
    uncalibrated: Floats
    predicted: Ints
    statuses: tuple[str, ...]
    gates: tuple[Gate, ...]
    features: NDArray[np.float32]

    @cached_property
    def labels(self) -> Ints:
        """True class indices, [N]."""
        return np.array([self.taxonomy.index(record.label) for record in self.records], np.int64)

    @cached_property
    def risk(self) -> Floats:
        """Sum of the probabilities of the malignant classes, [N]."""
        total: Floats = self.probabilities[:, list(self.taxonomy.malignant)].sum(axis=1)
        return total

    @cached_property
    def malignant(self) -> Bools:
        """Whether the true class is a malignant one, [N]."""
        return np.isin(self.labels, self.taxonomy.malignant)

    @cached_property
    def lesions(self) -> tuple[str, ...]:
        """Lesion of each image, [N]."""
        return tuple(record.lesion_id for record in self.records)

    def has_status(self, *statuses: str) -> Bools:
        """Whether each image was given one of these statuses, [N]."""
        return np.isin(np.array(self.statuses), statuses)

    def select(self, chosen: Bools) -> "Predictions":
        """The images where `chosen` [N] is true."""
        at = np.flatnonzero(chosen)
        return Predictions(
            taxonomy=self.taxonomy,
            records=tuple(self.records[i] for i in at),
            images=tuple(self.images[i] for i in at),
            probabilities=self.probabilities[at],
            uncalibrated=self.uncalibrated[at],
            predicted=self.predicted[at],
            statuses=tuple(self.statuses[i] for i in at),
            gates=tuple(self.gates[i] for i in at),
            features=self.features[at],
        )

    def told_at(self, thresholds: Mapping[str, float]) -> "Predictions":
        """The same answers with statuses as other thresholds on malignant risk would give them; refusals stay."""
        statuses = (
            given if given == Status.REFUSED else decide_status(self.taxonomy, int(named), row, thresholds).value
            for given, named, row in zip(self.statuses, self.predicted, self.probabilities, strict=True)
        )
        return replace(self, statuses=tuple(statuses))

    def to_csv(self) -> str:
        """One row an image, with all that is needed to compute every figure again without the model."""
        codes = self.taxonomy.codes
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        groups = ("age", "sex", "localization", "diagnosis_method")
        probabilities = [f"{kind}_{code}" for kind in ("p", "uncalibrated") for code in codes]
        gate_columns = ("gate_verdict", "gate_reason")
        writer.writerow(
            [
                "image",
                "lesion_id",
                "label",
                "predicted",
                *probabilities,
                "malignant_risk",
                "status",
                *gate_columns,
                *groups,
            ]
        )
        for i, (record, gate) in enumerate(zip(self.records, self.gates, strict=True)):
            risk = repr(float(self.risk[i])) if self.taxonomy.malignant else ""
            age = "" if record.age is None else f"{record.age:g}"
            writer.writerow(
                [self.images[i], record.lesion_id, record.label, codes[self.predicted[i]]]
                + [repr(float(p)) for p in (*self.probabilities[i], *self.uncalibrated[i])]
                + [risk, self.statuses[i], gate.verdict, gate.reason or ""]
                + [age, record.sex, record.localization, record.diagnosis_method]
            )
        return table.getvalue()


def gate_counts(gates: tuple[Gate, ...]) -> dict[str, int]:
    """How many images got each verdict, refusals with their reason ("poor_quality: blur"), most frequent first."""
    named = (gate.verdict if gate.reason is None else f"{gate.verdict}: {gate.reason}" for gate in gates)
    return dict(Counter(named).most_common())


def age_band(record: ImageRecord) -> str:
    """The age band of the person, empty where the age is not known."""
    for low, high in AGE_BANDS:
        if record.age is not None and low <= record.age < high:
            return f"{low} and over" if high == AGE_BANDS[-1][1] else f"{low} to {high - 1}"
    return ""


# What the images are told apart by in a report, never in a model.
GROUPINGS: dict[str, Callable[[ImageRecord], str]] = {
    "age": age_band,
    "sex": lambda record: record.sex,
    "body site": lambda record: record.localization,
    "diagnosis made by": lambda record: record.diagnosis_method,
}
