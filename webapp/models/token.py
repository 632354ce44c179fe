"""Tokens of programs that use the API: who may, and how much a day."""

import hashlib
from datetime import date, datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UTCDateTime


def secret_hash(secret: str) -> str:
    """What is stored of a token's secret: its SHA-256 in hexadecimal. It is random and long, so salt adds nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiToken(Base):
    """One token: its name, the screenings it may open on one day (UTC), and how many it has opened on the last one.

    A revoked token stays, so that its name never means somebody else.
    """

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    per_day: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    used_on: Mapped[date | None]
    used: Mapped[int] = mapped_column(default=0)

    def used_today(self, today: date) -> int:
        """Screenings opened on `today`, a date in UTC."""
        return self.used if self.used_on == today else 0
