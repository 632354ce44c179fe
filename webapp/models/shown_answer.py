"""Who has been shown the model's answer to which screening: no review of theirs is a blind one any more."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base


class ShownAnswer(Base):
    """One account and one screening whose answer it has seen on the case page or in the PDF.

    A person's deletion of the screening deletes it.
    """

    __tablename__ = "shown_answers"
    __table_args__ = (Index("ix_shown_answers_user", "user_id"),)

    screening_id: Mapped[int] = mapped_column(ForeignKey("screenings.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
