"""The contract of a result: what a screening says, under the same names everywhere it appears."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.labels import Status, Taxonomy

USABLE = "usable"
NOT_SKIN = "not_skin"
NOT_DERMATOSCOPIC = "not_dermatoscopic"
NOT_CLINICAL = "not_clinical"
POOR_QUALITY = "poor_quality"
VERDICTS = (USABLE, NOT_SKIN, NOT_DERMATOSCOPIC, NOT_CLINICAL, POOR_QUALITY)

GATE_FOLDERS = {
    "dermatoscopic": {"not_skin": NOT_SKIN, "clinical_photos": NOT_DERMATOSCOPIC},
    "clinical": {"not_skin": NOT_SKIN, "dermatoscopic": NOT_CLINICAL},
}
"""By the photos that a model is made for (ml.labels.PHOTO_KINDS): the folders of others that teach its gate, and what
these are."""

# What to do about each reason for a refusal. Codes, not sentences: whoever shows them translates them.
TIPS = {
    "not_skin": "photograph_the_lesion",
    "not_dermatoscopic": "use_a_dermatoscope",
    "not_clinical": "use_an_ordinary_photo",
    "blur": "hold_still",
    "motion": "hold_still",
    "noise": "more_light",
    "yellow_light": "white_light",
    "too_dark": "more_light",
    "too_bright": "less_light",
    "too_small": "move_closer",
    "low_contrast": "photograph_the_lesion",
    "compressed": "send_the_original",
    "hair": "part_the_hair",
    "too_far": "go_closer",
}

HALF = 0.5
"""Share of the probability from which the contagious classes together decide, whichever class is named."""


@dataclass(frozen=True)
class Gate:
    """Whether a photo can be answered at all.

    `verdict` is one of `VERDICTS`; `reason` and `tip` are stable codes: a usable photo has no reason, but may have a
    tip for the next one. `scores` holds the measured numbers behind the verdict, by name; `limit` is the bound that
    the number behind `reason` missed, None where no single number decided.
    """

    verdict: str
    reason: str | None = None
    tip: str | None = None
    scores: dict[str, float] = field(default_factory=dict)
    limit: float | None = None

    @classmethod
    def refused(cls, verdict: str, reason: str, scores: dict[str, float], limit: float | None = None) -> "Gate":
        """A refusal for `reason`, with the tip that belongs to it."""
        return cls(verdict, reason, TIPS[reason], scores, limit)


@dataclass(frozen=True)
class Screening:
    """The answer to one photo, or to one to three photos of one lesion.

    `probabilities` are calibrated, by class code; `malignant_risk` is their sum over the label set's malignant
    classes, in [0, 1] (None where it has none); `thresholds` has `malignant` and `uncertain`; `seconds` has
    `decode`, `gate` and `network`. A refused photo has None for predicted, probabilities and malignant_risk.

    `first_look` is what simple measurements say (see ml.preliminary): `predicted` and calibrated `probabilities` by
    class code (both None where they say nothing, for the gate's `reason`), `agrees` (whether it names the class that
    the network names), `features` by name, `model` and `seconds`. None without one, and where the photo was refused.
    Where it was asked for alone, the status is `uncertain` and the network's fields are None.

    `severity`, None where there is no second stage, has `grade`, `probabilities` by grade, `source` (`proxy` or
    `clinical`), `note` (what such a grade is worth, in a sentence) and `model`.
    """

    label_set: str
    predicted: str | None
    probabilities: dict[str, float] | None
    status: Status
    malignant_risk: float | None
    thresholds: dict[str, float] | None
    gate: Gate
    first_look: dict[str, Any] | None
    severity: dict[str, Any] | None
    model: dict[str, str]
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The same names and values as plain JSON types."""
        return {**asdict(self), "status": self.status.value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Screening":
        """The inverse of `to_dict`. Raises KeyError or TypeError where a name is missing or unknown."""
        return cls(**{**values, "status": Status(values["status"]), "gate": Gate(**values["gate"])})


def decide_status(
    taxonomy: Taxonomy, named: int, probabilities: NDArray[np.floating], thresholds: Mapping[str, float] | None
) -> Status:
    """The status of an answered photo: a decision about risk, not about the top class.

    `probabilities` [C] are calibrated; `named` is the index of the class that the model names. Malignant risk, their
    sum over the malignant classes, is held against `thresholds` (`malignant` and `uncertain`); without these, a label
    set with malignant classes gets no better status than uncertain. Below both, or without malignant classes,
    `infectious` stands where such a class is named, or where they have half of the probability together. Then a low
    risk is `benign`; without malignant classes it is the status of the named class, if all classes of that status have
    half of the probability together, else `uncertain`. Nothing that is not a finite number is ever harmless.
    """
    malignant = list(taxonomy.malignant)
    if malignant:
        risk = float(probabilities[malignant].sum())
        if thresholds is not None and risk >= thresholds["malignant"]:
            return Status.MALIGNANT
        # A class named malignant is never called benign, however low its probability.
        if thresholds is None or not risk < thresholds["uncertain"] or named in malignant:
            return Status.UNCERTAIN
    own = taxonomy.labels[named].status
    if own is Status.INFECTIOUS or _share(taxonomy, probabilities, Status.INFECTIOUS) >= HALF:
        return Status.INFECTIOUS
    if malignant:
        return Status.BENIGN
    return own if _share(taxonomy, probabilities, own) >= HALF else Status.UNCERTAIN


def _share(taxonomy: Taxonomy, probabilities: NDArray[np.floating], status: Status) -> float:
    """The sum of the probabilities [C] over the classes of a status."""
    return float(sum(p for p, label in zip(probabilities, taxonomy.labels, strict=True) if label.status is status))


def beside(screening: Screening, kept: Mapping[str, Any] | None) -> Screening:
    """The network's answer with the first look that was kept before it, now told whether both name the same class.

    Without one where the network refused, or where the first look was at other classes.
    """
    if kept is None or screening.probabilities is None:
        return replace(screening, first_look=None)
    if kept["probabilities"] is not None and set(kept["probabilities"]) != set(screening.probabilities):
        return replace(screening, first_look=None)
    agrees = None if kept["predicted"] is None else kept["predicted"] == screening.predicted
    return replace(screening, first_look={**kept, "agrees": agrees})


def uncertainty(probabilities: Mapping[str, float] | None) -> float | None:
    """The entropy of the probabilities by class code over its largest value, log K: 0 is certain, 1 knows nothing.

    None without probabilities, and for fewer than two classes.
    """
    if probabilities is None or len(probabilities) < 2:
        return None
    entropy = -sum(share * math.log(share) for share in probabilities.values() if share > 0)
    return min(1.0, max(0.0, entropy / math.log(len(probabilities))))


def disagreement(probabilities: Mapping[str, float] | None, others: Mapping[str, float] | None) -> float | None:
    """The total variation distance of two sets of probabilities by class code: 0 is the same, 1 has nothing in common.

    None where one is missing, or they are about different classes.
    """
    if probabilities is None or others is None or set(probabilities) != set(others):
        return None
    return min(1.0, sum(abs(share - others[code]) for code, share in probabilities.items()) / 2)


@dataclass(frozen=True)
class Evidence:
    """What an answer to one photo rests on, for a person to look at; None of both where the photo was refused.

    `heatmap` uint8 [G, G] in 0..255 of what raised the named class, over the square that the network sees;
    `features` float32 [K], the pooled features in the gate's principal components.
    """

    heatmap: NDArray[np.uint8] | None = None
    features: NDArray[np.float32] | None = None
