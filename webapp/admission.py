"""How many photos may wait for their answer at one time: whoever is taken is answered soon, the others told to return.

Each process has its own. Past its end an upload is refused at once, with a time to come back, instead of waiting
unanswered; the threads that are left keep pages and health checks quick.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

from flask import Flask, current_app
from flask.typing import ResponseReturnValue

from webapp import metrics
from webapp.config import Config
from webapp.inference import Busy

FIRST_GUESS = 1.0
"""Seconds that an upload is taken to need until some have been measured."""
LONGEST_RETRY = 60


class QueueFull(Busy):
    """As many uploads as may wait do so already; `seconds`: after how long there should be room."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


class Admission:
    """The places of one process, and how long one is taken on average."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0
        self._mean = FIRST_GUESS
        self._lock = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while an upload is decoded and answered. Raises QueueFull where all are taken."""
        with self._lock:
            if self._taken >= self._places:
                # Those that hold a place share the processor: each one's time holds the others' waiting already.
                raise QueueFull(min(LONGEST_RETRY, max(1, math.ceil(self._mean))))
            self._taken += 1
            metrics.QUEUE.inc()
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1
                self._mean += 0.2 * (time.monotonic() - started - self._mean)
                metrics.QUEUE.dec()


def init_admission(app: Flask, config: Config) -> None:
    """Give the application its queue."""
    app.extensions["admission"] = Admission(config.queue_length)
    metrics.QUEUE_PLACES.set(config.queue_length)


def get_admission() -> Admission:
    """The queue of the current application."""
    admission: Admission = current_app.extensions["admission"]
    return admission


def admitted(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """A view that holds a place in the queue while it works. Raises QueueFull where there is none."""

    @wraps(view)
    def held(*args: object, **kwargs: object) -> ResponseReturnValue:
        try:
            place = get_admission().place()
            with place:
                return view(*args, **kwargs)
        except QueueFull:
            metrics.REFUSALS.labels("queue_full").inc()
            raise

    return held
