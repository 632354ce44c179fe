"""Time as tests want it."""

from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def forward(self, **span: float) -> None:
        """Let time pass: `forward(minutes=5)`."""
        self.time += timedelta(**span)
