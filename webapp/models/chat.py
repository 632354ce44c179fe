"""Chats with the Telegram bot: what is remembered of each, without storing who it is."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UTCDateTime


class TelegramChat(Base):
    """One chat whose person has agreed, found by a keyed hash of its id; the id itself is not stored.

    There is no row before the person agrees, and none after /delete.
    """

    __tablename__ = "telegram_chats"

    id: Mapped[int] = mapped_column(primary_key=True)
    chat_hash: Mapped[str] = mapped_column(String(64), unique=True)
    language: Mapped[str] = mapped_column(String(10))
    label_set: Mapped[str | None] = mapped_column(String(80))
    consent_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Since when models may be trained with photos of this chat; null until its person has said so.
    training_consent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
