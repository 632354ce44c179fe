"""The numbers behind the photo check, beside the limits that they were held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml.card import Card


@dataclass(frozen=True)
class Limits:
    """The least and the largest value that passes; None where there is no such limit."""

    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Measured:
    """One score by its code: its limits (None where unknown) and its value on each photo (None where unmeasured)."""

    code: str
    limits: Limits | None
    values: tuple[float | None, ...]


def gate_table(gates: Sequence[Mapping[str, Any] | None], card: Card | None) -> list[Measured]:
    """A row for every score of the photos' stored gates, in the order measured; `card` is that of the model that
    answered, None where it is gone."""
    scores = [dict((gate or {}).get("scores", {})) for gate in gates]
    limits = gate_limits(card)
    codes = dict.fromkeys(code for one in scores for code in one)
    return [Measured(code, limits.get(code), tuple(one.get(code) for one in scores)) for code in codes]


def gate_limits(card: Card | None) -> dict[str, Limits]:
    """The limits of each score, by its code; empty without a card. Scores that only name what a photo shows have
    none."""
    if card is None:
        return {}
    # Imported here: the web application must start without loading numerical libraries.
    from ml.gate_quality import FLAT_CONTRAST, MIN_SIDE, MOSTLY_HAIR
    from ml.screening import USABLE

    own = card.gate.get("limits", {})
    return {
        "short_side": Limits(least=MIN_SIDE),
        "contrast": Limits(least=FLAT_CONTRAST),
        "brightness": Limits(own.get("brightness_low"), own.get("brightness_high")),
        "sharpness": Limits(own.get("sharpness"), own.get("noise")),
        "steadiness": Limits(least=own.get("steadiness")),
        "yellowness": Limits(most=own.get("yellowness")),
        "hair": Limits(most=MOSTLY_HAIR),
        "blockiness": Limits(most=own.get("blockiness")),
        "lesion": Limits(least=own.get("lesion")),
        USABLE: Limits(least=own.get(USABLE)),
        "novelty": Limits(most=own.get("novelty")),
    }
