"""The first look: a class from what is simply measured of a lesion, in milliseconds and without a network.

It is a first impression beside the network's answer, never instead of it. Its model is a small folder of its own kind:
`card.json`, `first-look.safetensors` and `SHA256SUMS`.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ml.bundle import CARD, FIRST_LOOK, PRETRAINED_FOLDER, read_card, stated_label_set, verify, write_folder
from ml.calibration import Calibration, named_class
from ml.errors import BundleError
from ml.features import Sought, seek_lesion
from ml.features_list import FEATURES, Measured, measured
from ml.files import write_json
from ml.gate import GateModel, Seen, rounded
from ml.gate_quality import blank, fault, quality_scores
from ml.labels import Status
from ml.screening import NOT_SKIN, POOR_QUALITY, USABLE, Gate, Screening

TOLD = ("asymmetry", "border_irregularity", "colour_variety", "diameter", "area")
"""The features that every first look tells: A, B, C and D of the ABCD rule, and the lesion's share of the picture."""
QUANTILES = 101
"""How many quantiles of each feature of the training lesions are kept, from the smallest to the largest."""
GATE_PREFIX = "gate."
REFERENCE_SIDE = 400
"""Longer side, in pixels, that every photo counts as having had where its lesion's diameter is judged."""


@dataclass(frozen=True)
class FirstLookCard:
    """The contract of a first look. Written by training, never edited.

    `features` are the measured numbers in the classifier's order; `classifier` has `kind`, its parameters and what
    they were chosen among; `calibration`, `class_priors` and `prior_power` are as in ml.bundle.Card; `gate` has the
    limits of its own check (see ml.gate).
    """

    name: str
    version: str
    label_set: str
    classes: tuple[str, ...]
    features: tuple[str, ...]
    classifier: dict[str, Any]
    calibration: dict[str, Any]
    class_priors: tuple[float, ...]
    prior_power: float
    gate: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    intended_use: str = ""
    limits: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FirstLookCard":
        """Raises BundleError where a field is missing or of the wrong shape, or the features are other ones."""
        known = {f.name for f in fields(cls)}
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        try:
            card = cls(**given)
            count = len(card.classes)
            consistent = count == len(card.class_priors) == len(card.calibration["bias"]) and count >= 2
            consistent = consistent and card.calibration["temperature"] > 0 and "limits" in card.gate
            numbers = [card.calibration["temperature"], *card.calibration["bias"], *card.class_priors, card.prior_power]
            consistent = consistent and all(map(math.isfinite, (*numbers, *card.gate.get("limits", {}).values())))
        except (TypeError, KeyError, AttributeError) as error:
            raise BundleError("The first look's card.json is incomplete. Fetch or train it again.") from error
        if not consistent:
            raise BundleError("The first look's card.json contradicts itself. Fetch or train it again.")
        if card.features != FEATURES:
            raise BundleError(
                "The first look was trained on other measurements than this version makes. Train it again."
            )
        return card


@dataclass(frozen=True)
class Linear:
    """Multinomial logistic regression, as scikit-learn has fitted it: logits = features `weight`^T [C, F] + `bias` [C].

    Kept as plain arrays: these can hold no code, need no version of the library that wrote them and load in a
    millisecond. A pickled estimator has none of that, and skops, which is safe, would want scikit-learn for answering.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Features [N, F] -> logits [N, C]."""
        result: NDArray[np.float64] = values.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias
        return result


@dataclass(frozen=True)
class Look:
    """What a first look at one photo gives: whether it can be judged so, `probabilities` [C] where it can, what was
    measured of the lesion where one was found, and the seconds that it took."""

    gate: Gate
    probabilities: NDArray[np.float64] | None
    measured: Measured | None
    seconds: float


class FirstLook:
    """A first look's model, ready to answer; safe to share between threads."""

    def __init__(self, card: FirstLookCard, arrays: Mapping[str, NDArray[Any]]):
        self.card = card
        if not all(np.isfinite(values).all() for values in arrays.values()):
            raise BundleError("The first look's file has what is no finite number. Fetch or train it again.")
        self._classifier = Linear(arrays["weight"], arrays["bias"])
        if self._classifier.weight.shape != (len(card.classes), len(card.features)):
            raise BundleError("The first look's file is of other classes than its card. Fetch or train it again.")
        own = {name.removeprefix(GATE_PREFIX): v for name, v in arrays.items() if name.startswith(GATE_PREFIX)}
        self._gate = GateModel.from_card(own, card.gate)
        self._quantiles = arrays["quantiles"]
        self._calibration = Calibration(card.calibration["temperature"], tuple(card.calibration["bias"]))

    @cached_property
    def model(self) -> dict[str, str]:
        """Name and version."""
        return {"name": self.card.name, "version": self.card.version}

    def look(self, pixels: NDArray[np.uint8]) -> Look:
        """RGB [H, W, 3] -> a first look at it: well under 25 ms of processor time for a photo of 400 x 300 pixels."""
        started = time.perf_counter()
        sought = seek_lesion(pixels)
        found = None if sought.lesion is None else measured(sought.lesion)
        gate = self._judge(pixels, sought, found)
        probabilities = None
        if gate.verdict == USABLE and found is not None:
            probabilities = self.probabilities(found.values[None])[0]
        return Look(gate, probabilities, found, time.perf_counter() - started)

    def logits(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Features [N, F] -> logits [N, C], before calibration."""
        return self._classifier.logits(at_one_size(values))

    def probabilities(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Features [N, F] -> calibrated probabilities [N, C]."""
        return self._calibration.probabilities(self.logits(values))

    def named(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """The index [N] of the class to name (see ml.calibration.named_class), from probabilities [N, C]."""
        return named_class(probabilities, np.asarray(self.card.class_priors), self.card.prior_power)

    def percentile(self, name: str, values: NDArray[np.float32]) -> float:
        """The share of the training lesions whose feature `name` is below that of a lesion with these features [F],
        0 to 1; of equal ones a half. Diameters are compared as `at_one_size` has them."""
        row, value = self._quantiles[FEATURES.index(name)], at_one_size(values[None])[0, FEATURES.index(name)]
        between = np.searchsorted(row, value, "left") + np.searchsorted(row, value, "right")
        return float(np.clip(between / 2 / len(row), 0, 1))

    def _judge(self, pixels: NDArray[np.uint8], sought: Sought, found: Measured | None) -> Gate:
        scores = quality_scores(pixels, sought)
        if found is not None:
            seen = Seen(at_one_size(found.values[None]), np.zeros((1, 0), np.float32))
            return self._gate.decide({**scores, **self._gate.scores(seen)})
        scores = rounded(scores)
        poor = None if blank(scores) else fault(scores, self._gate.limits)
        if poor is not None:
            return Gate.refused(POOR_QUALITY, poor.reason, scores, poor.limit)
        return Gate.refused(NOT_SKIN, "low_contrast", scores)

    def tell(self, looks: Sequence[Look]) -> dict[str, Any]:
        """One to three looks at a lesion as the `first_look` of a Screening, before any answer it could agree with.

        The probabilities of the photos that can be judged are averaged; without one, `reason` is the first photo's.
        """
        usable = [look.probabilities for look in looks if look.probabilities is not None]
        shown = next((look for look in looks if look.probabilities is not None), looks[0])
        told: dict[str, Any] = {
            "predicted": None,
            "probabilities": None,
            "agrees": None,
            "reason": None if usable else shown.gate.reason,
            "features": None,
            "model": self.model,
            "seconds": round(sum(look.seconds for look in looks), 4),
        }
        if usable:
            mean = np.mean(usable, axis=0)
            told["predicted"] = self.card.classes[int(self.named(mean[None])[0])]
            told["probabilities"] = dict(zip(self.card.classes, (round(float(p), 6) for p in mean), strict=True))
        if shown.measured is not None:
            told["features"] = {name: round(shown.measured[name], 4) for name in TOLD}
        return told

    def screen(self, photos: Sequence[NDArray[np.uint8]]) -> tuple[Screening, tuple[Screening, ...]]:
        """The answer to photos [H, W, 3] of one lesion by first look alone: the lesion's, and each photo's.

        Its status is `uncertain`, or `refused`: what is measured so roughly clears nobody and alarms nobody. The fields
        of the network's answer stay empty.
        """
        looks = [self.look(photo) for photo in photos]
        each = tuple(self._alone([look]) for look in looks)
        return self._alone(looks), each

    def screen_batch(self, photos: Sequence[NDArray[np.uint8]]) -> list[Screening]:
        """Independent photos -> one Screening each, in order, as `ml.screen.Screener.screen_batch`."""
        return [self._alone([self.look(photo)]) for photo in photos]

    def _alone(self, looks: Sequence[Look]) -> Screening:
        told = self.tell(looks)
        answered = [look for look in looks if look.probabilities is not None]
        return Screening(
            label_set=self.card.label_set,
            predicted=None,
            probabilities=None,
            status=Status.UNCERTAIN if answered else Status.REFUSED,
            malignant_risk=None,
            thresholds=None,
            gate=(answered or list(looks))[0].gate,
            first_look=told if answered else None,
            severity=None,
            model=self.model,
            seconds={"decode": 0.0, "gate": 0.0, "network": 0.0},
        )


def at_one_size(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features [N, F] with the diameter that the lesion has in a photo of `REFERENCE_SIDE` pixels.

    Classifier and check are fitted to these and see nothing else: how many pixels a photo has is a fact of the file,
    and those that people upload have many more than those of training.
    """
    result = values.copy()
    result[:, FEATURES.index("diameter")] = REFERENCE_SIDE * values[:, FEATURES.index("diameter_share")]
    return result


def tensors(
    classifier: Linear, gate: Mapping[str, NDArray[np.float32]], quantiles: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """What a first look keeps beside its card. `quantiles` [F, QUANTILES] are those of the training lesions."""
    return {**vars(classifier), **{GATE_PREFIX + name: v for name, v in gate.items()}, "quantiles": quantiles}


def save_first_look(folder: Path, card: FirstLookCard, arrays: Mapping[str, NDArray[Any]]) -> Path:
    """Write a first look as one step: a complete, verified folder, or none. Raises BundleError where there is one."""

    def fill(partial: Path) -> None:
        save_file({name: values.copy(order="C") for name, values in arrays.items()}, partial / FIRST_LOOK)
        write_json(partial / CARD, asdict(card))

    write_folder(folder, fill, load_first_look)
    return folder


def load_first_look(path: Path) -> FirstLook:
    """Verify the files of a first look and read it. Raises BundleError for anything missing, damaged or unreadable."""
    verify(path, (FIRST_LOOK, CARD))
    card = FirstLookCard.from_dict(read_card(path))
    try:
        return FirstLook(card, load_file(path / FIRST_LOOK))
    except (OSError, KeyError, SafetensorError) as error:
        raise BundleError(f"The first look '{card.name}' cannot be used; fetch or train it again.") from error


def first_look_folders(models_dir: Path) -> list[Path]:
    """The folders of all first looks: trained ones, the newest first, then those that are shipped."""
    trained = sorted(models_dir.glob(f"*/*/{FIRST_LOOK}"), key=lambda file: file.parent.name, reverse=True)
    return [file.parent for file in (*trained, *sorted(PRETRAINED_FOLDER.glob(f"*/{FIRST_LOOK}")))]


def find_first_look(label_set: str, models_dir: Path) -> Path | None:
    """The folder of the first look for a label set: the newest trained one, else the shipped one; None for none."""
    return next((folder for folder in first_look_folders(models_dir) if stated_label_set(folder) == label_set), None)
