"""The card of a model: its whole contract, checked whenever it is read."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ml.errors import BundleError
from ml.labels import Taxonomy
from ml.transforms.serving import VIEWS

GATE_LIMITS = {"usable", "novelty"}
"""Limits that no gate decides without (see ml.gate)."""


@dataclass(frozen=True)
class Card:
    """The whole contract of a model. Written by training, never edited.

    `calibration` has `temperature` (float) and `bias` (one per class); `thresholds` has `malignant` and `uncertain`
    on malignant risk (None where the label set has no malignant class); `prior_power` and `class_priors` decide the
    named class (see ml.calibration); `gate` says which photos the model accepts and how the gate was fitted; `data` is
    the fingerprint of the prepared data set; `lineage` tells the same of the bundles that training started from.

    `malignant` has the codes of the classes that counted as malignant when it was trained, which the thresholds rest
    on; None in cards from before that was kept.

    `members` makes it an ensemble: the complete card of each of its networks, in order. Architecture, size, mean and
    deviation are then those of the first, and calibration, thresholds and prior those of the whole; gate and features
    are those of the one that `network` in `gate` counts, the first where it says nothing.

    `stage` is empty for a model that names diseases. A severity model has `name` ("severity"), `disease` and `source`
    there: whether its grades are the proxy's or a clinician's (see ml.severity_score).
    """

    name: str
    version: str
    label_set: str
    classes: tuple[str, ...]
    architecture: str
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    calibration: dict[str, Any]
    thresholds: dict[str, float] | None
    class_priors: tuple[float, ...]
    prior_power: float
    test_time_views: str
    malignant: tuple[str, ...] | None = None
    preprocessing: dict[str, Any] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    lineage: tuple[dict[str, Any], ...] = ()
    members: tuple[dict[str, Any], ...] = ()
    stage: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    intended_use: str = ""
    limits: tuple[str, ...] = ()

    @property
    def gate_network(self) -> int:
        """Which network's features gate and similar cases go by, counted from 0."""
        return int(self.gate.get("network", 0))

    @property
    def asked(self) -> dict[str, float]:
        """What the thresholds were fixed for, `sensitivity` and `missed` as in ml.calibration; empty if not known."""
        found: dict[str, float] = self.training.get("config", self.training).get("operating_points", {})
        return found

    def check_meaning(self, taxonomy: Taxonomy) -> None:
        """Raises BundleError where the label set means something else by now than what thresholds were chosen for."""
        malignant = tuple(taxonomy.codes[index] for index in taxonomy.malignant)
        if taxonomy.codes != self.classes:
            raise BundleError(
                f"The model '{self.name}' was trained for other classes than its label set has; train it again."
            )
        if self.malignant is not None and set(self.malignant) != set(malignant):
            now, before = (", ".join(codes) or "none" for codes in (malignant, self.malignant))
            raise BundleError(
                f"The label set '{taxonomy.name}' calls other classes malignant ({now}) than when the model "
                f"'{self.name}' was trained ({before}). Put that back, or train the model again."
            )
        if malignant and self.thresholds is None:
            raise BundleError(
                f"The model '{self.name}' has no thresholds, although its label set has malignant classes; train it "
                "again."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Card":
        """Raises BundleError where a field is missing or of the wrong shape."""
        known = {f.name for f in fields(cls)}
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        try:
            card = cls(**given)
            consistent = (
                len(card.classes) == len(card.class_priors) == len(card.calibration["bias"])
                and len(card.classes) >= 2
                and card.image_size > 0
                and card.calibration["temperature"] > 0
                and card.test_time_views in VIEWS
                and card.gate_network in range(max(1, len(card.members)))
                and set(card.malignant or ()) <= set(card.classes)
            )
            numbers = [card.calibration["temperature"], *card.calibration["bias"], *card.class_priors, card.prior_power]
            limits = card.gate.get("limits", {})
            finite = all(math.isfinite(number) for number in (*numbers, *limits.values()))
            ordered = card.thresholds is None or (
                0 <= card.thresholds["uncertain"] <= card.thresholds["malignant"] <= 1
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise BundleError("The model's card.json is incomplete. Fetch or train the model again.") from error
        if not consistent or any(cls.from_dict(member).classes != card.classes for member in card.members):
            raise BundleError("The model's card.json contradicts itself. Fetch or train the model again.")
        if not finite:
            raise BundleError("A number in the model's card.json is not a finite one. Fetch or train the model again.")
        if not ordered:
            raise BundleError(
                "The thresholds in the model's card.json are not 0 <= uncertain <= malignant <= 1. Fetch or train the "
                "model again."
            )
        if limits and not set(limits) >= GATE_LIMITS:
            raise BundleError("The gate in the model's card.json lacks limits. Fetch or train the model again.")
        return card
