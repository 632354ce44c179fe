"""A lock that is handed on in the order in which it was asked for, so that nobody who waits is overtaken for long."""

import threading
import time
from collections import deque


class Turns:
    """Like threading.Lock, whose order is left to chance, but first come, first served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._began = 0.0
        self._waiting: deque[threading.Event] = deque()

    def acquire(self, timeout: float) -> bool:
        """Wait for the turn for up to `timeout` seconds. Whether it came."""
        with self._lock:
            if not self._taken:
                self._taken = True
                self._began = time.monotonic()
                return True
            called = threading.Event()
            self._waiting.append(called)
        if called.wait(timeout):
            return True
        with self._lock:
            if called.is_set():  # it came at the very last moment
                return True
            self._waiting.remove(called)
            return False

    def locked(self) -> bool:
        """Whether somebody has the turn."""
        return self._taken

    def age(self) -> float:
        """For how many seconds whoever has the turn has had it; 0 where nobody has."""
        with self._lock:
            return time.monotonic() - self._began if self._taken else 0.0

    def release(self) -> None:
        """Hand the turn to whoever has waited longest."""
        with self._lock:
            self._began = time.monotonic()
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False
