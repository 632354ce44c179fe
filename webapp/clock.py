"""The time, in one place, so that tests can set it; and what is to be done when the machine's clock is set back."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

TOLERANCE = 60.0
"""Seconds that a clock may be set back, as time servers do, without anything being thought of it."""


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


class Setback:
    """Notices that the machine's clock was set back, and then calls `forget`.

    Rate limits are counted until a time of day: after a clock was set back by a day, a minute would last that day.
    """

    def __init__(self, forget: Callable[[], object]) -> None:
        self._forget = forget
        self._offset = time.time() - time.monotonic()

    def look(self) -> None:
        """Compare the clock with one that only goes forward."""
        offset = time.time() - time.monotonic()
        if offset < self._offset - TOLERANCE:
            self._forget()
        self._offset = offset
