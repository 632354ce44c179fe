"""What other models said about a screening, after its own answer, which they never change."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UTCDateTime


class SecondAnswer(Base):
    """One more answer to the photos of a screening, as `ml.screening.Screening.to_dict` gives it.

    `purpose` is `rescore` where a person asked for it (`by`), `shadow` where a model answers beside the one in use.
    A person's deletion of the screening deletes it.
    """

    __tablename__ = "second_answers"
    __table_args__ = (
        CheckConstraint("purpose IN ('rescore', 'shadow')", name="purpose"),
        Index("ix_second_answers_screening", "screening_id", "id"),
        Index("ix_second_answers_model", "purpose", "model_name", "model_version", "id"),
        Index("ix_second_answers_time", "purpose", "created_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    screening_id: Mapped[int] = mapped_column(ForeignKey("screenings.id"))
    purpose: Mapped[str] = mapped_column(String(20))
    model_name: Mapped[str] = mapped_column(String(200))
    model_version: Mapped[str] = mapped_column(String(80))
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
