"""The contract of a result: what a screening says, under the same names everywhere it appears."""

from dataclasses import asdict, dataclass, field
from typing import Any

from ml.labels import Status

USABLE = "usable"
NOT_SKIN = "not_skin"
NOT_DERMATOSCOPIC = "not_dermatoscopic"
POOR_QUALITY = "poor_quality"
VERDICTS = (USABLE, NOT_SKIN, NOT_DERMATOSCOPIC, POOR_QUALITY)

# What to do about each reason for a refusal. Codes, not sentences: whoever shows them translates them.
TIPS = {
    "not_skin": "photograph_the_lesion",
    "not_dermatoscopic": "use_a_dermatoscope",
    "blur": "hold_still",
    "too_dark": "more_light",
    "too_bright": "less_light",
    "too_small": "move_closer",
    "low_contrast": "photograph_the_lesion",
    "hair": "part_the_hair",
}


@dataclass(frozen=True)
class Gate:
    """Whether a photo can be answered at all.

    `verdict` is one of `VERDICTS`; `reason` and `tip` are stable codes (None when usable); `scores` holds the
    measured numbers behind the verdict, by name.
    """

    verdict: str
    reason: str | None = None
    tip: str | None = None
    scores: dict[str, float] = field(default_factory=dict)

    @classmethod
    def refused(cls, verdict: str, reason: str, scores: dict[str, float]) -> "Gate":
        """A refusal for `reason`, with the tip that belongs to it."""
        return cls(verdict, reason, TIPS[reason], scores)


@dataclass(frozen=True)
class Screening:
    """The answer to one photo, or to one to three photos of one lesion.

    `probabilities` are calibrated, by class code; `malignant_risk` is their sum over the label set's malignant
    classes, in [0, 1] (None where it has none); `thresholds` has `malignant` and `uncertain`; `seconds` has
    `decode`, `gate` and `network`. A refused photo has None for predicted, probabilities and malignant_risk.
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
