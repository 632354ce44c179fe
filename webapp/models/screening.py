"""A screening and its photos: what was asked, what was answered, and what is left after deletion."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Computed, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ml.images import encode_grey_png
from ml.screening import Evidence, Screening, disagreement, uncertainty
from webapp.models.base import Base, UTCDateTime

PENDING = text("state = 'pending'")
UNSENT = text("reply_to IS NOT NULL")
REVIEWED = text("review_status = 'submitted'")
LABELLED = text("reviewed_class IS NOT NULL")

FACET_FIELDS = (
    "status", "label_set", "predicted", "gate_verdict", "review_status", "reviewed_class", "channel", "language",
    "model_name", "model_version",
)  # fmt: skip
"""What `facet` is made of, in order; see webapp.history.facets."""
FACET = " || '|' || ".join(
    (
        "CASE WHEN deleted_at IS NOT NULL THEN 'deleted' WHEN state <> 'done' THEN state ELSE coalesce(status, '') END",
        "coalesce(label_set, asked_label_set, '')",
        "coalesce(predicted, '')",
        "coalesce(gate_verdict, '')",
        "CASE WHEN deleted_at IS NULL THEN review_status ELSE '' END",
        "coalesce(reviewed_class, '')",
        "channel",
        "language",
        "coalesce(model_name, '')",
        "coalesce(model_version, '')",
    )
)
SORTED = ("created_at", "risk_order", "uncertainty_order", "disagreement_order")
# One index in the order of each sort, and one for each sort within a facet. All hold whatever a filter may ask, so that
# rows that do not match are passed over without being read.
HISTORY_INDEXES = {
    f"ix_screenings_by_{column}": (column, "id", "facet", *(other for other in SORTED[:3] if other != column))
    for column in SORTED
} | {
    f"ix_screenings_facet_{column}": ("facet", column, "id", *(other for other in SORTED[:3] if other != column))
    for column in SORTED
}


class State(StrEnum):
    """The life of a row: committed before work starts, then answered or given up."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class CaseStatus(StrEnum):
    """How far the review of a screening has come: `screenings.review_status`."""

    PENDING = "pending"
    DRAFT = "draft"
    SUBMITTED = "submitted"
    DISPUTED = "disputed"
    DISCARDED = "discarded"


def token_hash(token: str) -> str:
    """What is stored of a result's token: its SHA-256 in hexadecimal. The token itself exists only in its address."""
    return hashlib.sha256(token.encode()).hexdigest()


class ScreeningRow(Base):
    """One to three photos of one lesion and the answer to them, under the names of `ml.screening.Screening`.

    Deleting leaves a tombstone: `deleted_at` is set; the token hash, times, channel, language, label sets and
    model stay, the rest is null, and the review is as if there had been none.
    """

    __tablename__ = "screenings"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'done', 'failed')", name="state"),
        Index("ix_screenings_newest", "created_at", "id"),
        Index("ix_screenings_model_newest", "model_name", "model_version", "created_at", "id"),
        Index("ix_screenings_pending", "id", sqlite_where=PENDING, postgresql_where=PENDING),
        Index("ix_screenings_sender", "sender"),
        Index("ix_screenings_unsent", "id", sqlite_where=UNSENT, postgresql_where=UNSENT),
        Index("ix_screenings_finished", "finished_at"),
        Index("ix_screenings_reviewed", "finished_at", sqlite_where=REVIEWED, postgresql_where=REVIEWED),
        Index(
            "ix_screenings_model_reviewed",
            "model_name",
            "model_version",
            "reviewed_class",
            "predicted",
            sqlite_where=LABELLED,
            postgresql_where=LABELLED,
        ),
        *(Index(name, *columns) for name, columns in HISTORY_INDEXES.items()),
        {"sqlite_autoincrement": True},  # an id is never used twice, not even after the newest row is gone
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(10), default=State.PENDING)
    channel: Mapped[str] = mapped_column(String(20))
    language: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    consent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # A consent of its own, asked for apart and never assumed: models may be trained with these photos.
    training_consent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # Where a channel knows its senders: a keyed hash of who sent the photos, so that they can delete all of theirs,
    # and, only until the answer has been sent, the encrypted address that waits for it.
    sender: Mapped[str | None] = mapped_column(String(64))
    reply_to: Mapped[bytes | None]

    # Who is working on a pending row, since when and for which time: see webapp.screening.lifecycle.
    claim: Mapped[str | None] = mapped_column(String(32))
    claimed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None] = mapped_column(String(40))

    # What was asked for, null for the default model; and what was answered with.
    asked_label_set: Mapped[str | None] = mapped_column(String(80))
    label_set: Mapped[str | None] = mapped_column(String(80))
    predicted: Mapped[str | None] = mapped_column(String(80))
    probabilities: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))
    status: Mapped[str | None] = mapped_column(String(20))
    malignant_risk: Mapped[float | None]
    thresholds: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))
    gate: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    first_look: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    severity: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    model_name: Mapped[str | None] = mapped_column(String(200))
    model_version: Mapped[str | None] = mapped_column(String(80))
    seconds: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))

    # What lists are filtered and sorted by. The first three follow from the answer; `review_status` and
    # `reviewed_class` (the label that reviewers agree on: a class code or a `ReviewLabel`) from the reviews.
    uncertainty: Mapped[float | None]
    disagreement: Mapped[float | None]
    gate_verdict: Mapped[str | None] = mapped_column(String(20))
    review_status: Mapped[str] = mapped_column(
        String(20), default=CaseStatus.PENDING, server_default=CaseStatus.PENDING
    )
    reviewed_class: Mapped[str | None] = mapped_column(String(80))

    # Computed by the database for the history: all codes that filters ask for, and the numbers with -1 for none, so
    # that nothing is null in the order of a sort.
    facet: Mapped[str] = mapped_column(Text, Computed(FACET), nullable=True, deferred=True)
    risk_order: Mapped[float] = mapped_column(Computed("coalesce(malignant_risk, -1)"), nullable=True, deferred=True)
    uncertainty_order: Mapped[float] = mapped_column(
        Computed("coalesce(uncertainty, -1)"), nullable=True, deferred=True
    )
    disagreement_order: Mapped[float] = mapped_column(
        Computed("coalesce(disagreement, -1)"), nullable=True, deferred=True
    )

    photos: Mapped[list["PhotoRow"]] = relationship(
        back_populates="screening", order_by="PhotoRow.position", cascade="all, delete-orphan", passive_deletes=True
    )

    @staticmethod
    def columns_of(answer: Screening) -> dict[str, Any]:
        """The column values that hold an answer."""
        values = answer.to_dict()
        model = values.pop("model")
        looked = (answer.first_look or {}).get("probabilities")
        return {
            **values,
            "model_name": model["name"],
            "model_version": model["version"],
            "uncertainty": uncertainty(answer.probabilities),
            "disagreement": disagreement(answer.probabilities, looked),
            "gate_verdict": answer.gate.verdict,
        }


class PhotoRow(Base):
    """One photo of a screening: where it is kept, its fingerprint, the answer to it alone, and what that rests on."""

    __tablename__ = "photos"
    __table_args__ = (UniqueConstraint("screening_id", "position"), Index("ix_photos_sha256", "sha256"))

    id: Mapped[int] = mapped_column(primary_key=True)
    screening_id: Mapped[int] = mapped_column(ForeignKey("screenings.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(40), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    width: Mapped[int]
    height: Mapped[int]
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    # What the answer rests on (ml.screen.Evidence): the heatmap as an 8-bit grey PNG, the features as little-endian
    # float16. Null where the photo was refused, or answered before these were kept. Loaded only where asked for.
    heatmap: Mapped[bytes | None] = mapped_column(deferred=True)
    features: Mapped[bytes | None] = mapped_column(deferred=True)

    screening: Mapped[ScreeningRow] = relationship(back_populates="photos")

    @staticmethod
    def columns_of(answer: Screening, evidence: Evidence) -> dict[str, Any]:
        """The column values that hold the answer to one photo and what it rests on."""
        heatmap, features = evidence.heatmap, evidence.features
        return {
            "answer": answer.to_dict(),
            "heatmap": None if heatmap is None else encode_grey_png(heatmap),
            "features": None if features is None else features.astype("<f2").tobytes(),
        }
