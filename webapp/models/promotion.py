"""Which model answers a label set, who decided it and on what numbers; and comparisons that decisions rest on."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UTCDateTime


class Action(StrEnum):
    """What was decided about a label set's model."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    REFUSE = "refuse"
    SHADOW = "shadow"
    SHADOW_OFF = "shadow_off"


class Promotion(Base):
    """One decision. Rows are only added; webapp.promotion.standing tells what they amount to.

    `number` counts the promotions and rollbacks of a label set from 1, so that of two made at once one fails; null in
    other rows. `name` and `version` are the model that answers from then on (or was refused, or answers in the shadow);
    null where it is the one that `MODEL` names. `reason` is why a promotion was made against the numbers.
    `digest` is the SHA-256 of the SHA256SUMS of what was promoted: another folder in its place does not answer. Null in
    other rows, and in promotions of before it was kept.
    """

    __tablename__ = "promotions"
    __table_args__ = (
        CheckConstraint("action IN ('promote', 'rollback', 'refuse', 'shadow', 'shadow_off')", name="action"),
        UniqueConstraint("label_set", "number"),
        Index("ix_promotions_label_set", "label_set", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    label_set: Mapped[str] = mapped_column(String(80))
    number: Mapped[int | None]
    action: Mapped[str] = mapped_column(String(20))
    name: Mapped[str | None] = mapped_column(String(200))
    version: Mapped[str | None] = mapped_column(String(80))
    by: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    numbers: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class PromotionCheck(Base):
    """A comparison of two models on a promotion set, kept so that it is made once.

    `champion` and `challenger` are digests that stand for every byte of each bundle, `set_digest` one for the manifest
    of the set, `rules` the version of the rules (webapp.promotion). `numbers` is what `ml.challenge.challenge` found.
    """

    __tablename__ = "promotion_checks"
    __table_args__ = (Index("ix_promotion_checks_pair", "champion", "challenger", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    label_set: Mapped[str] = mapped_column(String(80))
    champion: Mapped[str] = mapped_column(String(64))
    challenger: Mapped[str] = mapped_column(String(64))
    set_digest: Mapped[str] = mapped_column(String(64))
    rules: Mapped[str | None] = mapped_column(String(16))
    champion_name: Mapped[str] = mapped_column(String(300))
    challenger_name: Mapped[str] = mapped_column(String(300))
    margin: Mapped[float]
    numbers: Mapped[dict[str, Any]] = mapped_column(JSON)
    by: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class StartModel(Base):
    """The version that a name without one in `MODEL` stands for, since that one answered first. Never changed.

    `digest` is the SHA-256 of the bundle's SHA256SUMS: another folder in its place does not answer.
    """

    __tablename__ = "start_models"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[str] = mapped_column(String(80))
    label_set: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
