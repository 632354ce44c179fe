"""What belongs to the demonstration, so that it can be labelled and removed."""

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base


class DemoEntry(Base):
    """One thing that `flask demo` made: its kind ('screening', 'user', 'bundle', ...) and its id or name."""

    __tablename__ = "demo_entries"
    __table_args__ = (UniqueConstraint("kind", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(300))
