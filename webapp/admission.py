"""How many photos may wait for their answer at one time: whoever is taken is answered soon, the others told to return.

Each process has its own. Whoever comes is taken where those before and this one can be answered within WAIT_SECONDS,
judged by how long answers took lately, and how long those who waited for them were here: a slower machine or model
takes fewer at a time. QUEUE_LENGTH is the most. All others are refused at once, with a time to come back, instead of
waiting unanswered; the threads that are left keep pages and health checks quick.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps

from flask import Flask, current_app
from flask.typing import ResponseReturnValue

from webapp import metrics
from webapp.config import Config
from webapp.inference import Busy

FIRST_GUESS = 1.0
"""Seconds that an answer is taken to need until one has been measured."""
REMEMBERED = 16
"""Answers whose mean tells how long the next ones will take: as many as wait at most, so that one slow moment of the
machine does not send people away."""
BESIDE_THE_TURN = 0.5
"""Seconds that are kept, beside the turns, for what an upload needs before and after its own: reading, decoding,
storing."""
LONGEST_RETRY = 60


class QueueFull(Busy):
    """No more uploads could be answered in time; `seconds`: after how long there should be room."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


class Admission:
    """The places of one process, at most `places` and as many as can be answered within `promised` seconds.

    `turn_age` tells for how many seconds the present holder of the turn has had it, 0 where there is none.
    """

    def __init__(self, places: int, promised: float, turn_age: Callable[[], float]) -> None:
        self._places = places
        self._promised = promised
        self._turn_age = turn_age
        self._taken = 0
        self._served: deque[float] = deque(maxlen=REMEMBERED)
        self._paces: deque[float] = deque(maxlen=REMEMBERED)
        self._here = threading.local()
        self._lock = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while an upload is decoded and answered.

        Raises QueueFull where there is none. Where nobody holds one there always is, however slow the machine.
        """
        with self._lock:
            if self._taken and (self._taken >= self._places or self._expected() > self._promised):
                # Others wait to return as well: by then those that are here now have been answered.
                raise QueueFull(min(LONGEST_RETRY, max(1, math.ceil(self._taken * self._mean()))))
            self._taken += 1
            ahead = self._taken
            metrics.QUEUE.inc()
        began, self._here.turn = time.monotonic(), None
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1
                metrics.QUEUE.dec()
                if self._here.turn is not None:
                    self._paces.append(_pace(time.monotonic() - began, self._here.turn, ahead))

    def served(self, seconds: float) -> None:
        """Note for how long an answer had the turn."""
        with self._lock:
            self._served.append(seconds)
        self._here.turn = seconds

    def _mean(self) -> float:
        """Seconds between two answers while others wait."""
        return max(self._means())

    def _means(self) -> tuple[float, float]:
        """Seconds that an answer needs, by the turns and by the paces."""
        turn = _mean_of(self._served) if self._served else FIRST_GUESS
        return turn, _mean_of(self._paces) if self._paces else turn

    def _expected(self) -> float:
        """Seconds until whoever comes now is answered, all those who are here being answered before.

        The turns alone say too little where reading and storing the photos of those who wait slows them down. So it is
        counted by the paces as well: for how long each was here, shared among those before it and itself. These have
        everything in them that is beside the turns.
        """
        turn, pace = self._means()
        return max(self._until_answered(turn) + BESIDE_THE_TURN, self._until_answered(pace))

    def _until_answered(self, mean: float) -> float:
        """Seconds for all who are here and one more, at `mean` seconds each.

        What has taken long already is expected to take as long again, so that fewer are taken as soon as the turn
        stands still, and not only once it is over.
        """
        return max(mean, self._turn_age()) + self._taken * mean


def _pace(seconds: float, turn: float, ahead: int) -> float:
    """Seconds that each of those who were here may have needed, from how long the last of `ahead` was here.

    Of what one alone needs beside its turn half counts: where others are here it takes place during their turns.
    """
    return turn + (seconds - turn) / 2 if ahead == 1 else seconds / ahead


def _mean_of(seconds: Collection[float]) -> float:
    return sum(seconds) / len(seconds)


def init_admission(app: Flask, config: Config) -> None:
    """Give the application its queue. The models must be there already."""
    models = app.extensions["models"]
    app.extensions["admission"] = Admission(config.queue_length, config.wait_seconds, models.turn_age)
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
