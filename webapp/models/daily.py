"""What was counted of each day, so that a page about months need not read every screening of them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UTCDateTime


class DailyFigures(Base):
    """The figures of one day (UTC, by the time of the answer): one cell for each label set, model and channel.

    Counts, sums and coarse histograms only: no token, no photo, no features, no time finer than the day. They stay when
    a screening is deleted. `complete` is false for a day that was not over when it was counted. See webapp.insights.
    """

    __tablename__ = "daily_figures"

    day: Mapped[date] = mapped_column(primary_key=True)
    counted_at: Mapped[datetime] = mapped_column(UTCDateTime)
    complete: Mapped[bool]
    cells: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
