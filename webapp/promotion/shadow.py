"""A challenger in the shadow: it answers new uploads too, after the person has theirs, and nobody is told.

Each process has one thread for it, of low priority, and a short queue. Where the queue is full, or the model that
people wait for stays busy, a screening is left out; the page with the differences says how many were. Nothing that goes
wrong here reaches the answer.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from contextlib import suppress

from flask import Flask, current_app
from sqlalchemy import select

from ml.errors import MLError
from ml.images import decode
from webapp import clock
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.inference import get_models
from webapp.models.screening import ScreeningRow, State
from webapp.models.second_answer import SecondAnswer
from webapp.photos import get_photos

log = logging.getLogger(__name__)

PURPOSE = "shadow"
WAITING = 8
"""Screenings that may wait for their second answer in one process."""
PATIENCE_SECONDS = 5.0
"""How long one of them waits for the model that people wait for to be idle."""
NICENESS = 15


class Shadow:
    """The queue and the thread of one process; both begin with the first screening."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.queue: queue.Queue[tuple[int, str]] = queue.Queue(WAITING)

    def offer(self, screening_id: int, reference: str) -> None:
        """Have a screening answered by the model `reference` when there is time; left out where too many wait."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
                self._thread.start()
        try:
            self.queue.put_nowait((screening_id, reference))
        except queue.Full:
            log.info("screening %d: no second answer, too many wait", screening_id)

    def _work(self) -> None:
        # On Linux a thread has a priority of its own, and the threads that the network starts from here inherit it.
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while True:
            screening_id, reference = self.queue.get()
            try:
                with self._app.app_context():
                    if _idle():
                        score(screening_id, reference)
                    else:
                        log.info("screening %d: no second answer, the model is busy", screening_id)
            except Exception:
                log.exception("screening %d: no second answer", screening_id)
            finally:
                self.queue.task_done()


def init_shadow(app: Flask) -> None:
    """Give the application its (still idle) shadow."""
    app.extensions["shadow"] = Shadow(app)


def offer(screening_id: int, label_set: str) -> None:
    """Called when a screening has been answered: where a challenger is in the shadow of its label set, it answers too.

    Returns at once, and never raises.
    """
    try:
        standing = get_models().standings().get(label_set)
        if standing is not None and standing.shadow is not None:
            current_app.extensions["shadow"].offer(screening_id, standing.shadow)
    except Exception:
        log.exception("screening %d: no second answer", screening_id)


def score(screening_id: int, reference: str) -> bool:
    """Let a model answer a screening that has its answer, and keep what it says. False where there is nothing to keep.

    Raises MLError where the model or a photo cannot be read.
    """
    row = db.session.get(ScreeningRow, screening_id, populate_existing=True)
    if row is None or row.deleted_at is not None or row.state != State.DONE:
        db.session.commit()
        return False
    names = [photo.name for photo in row.photos]
    db.session.commit()  # no transaction stays open while the network works
    try:
        pixels = [decode(get_photos().open(name)) for name in names]
    except FileNotFoundError:
        return False  # erased meanwhile
    screener = get_models().load(reference)
    if screener.card.label_set != row.label_set:
        raise MLError(f"{reference} answers another label set")
    answer = screener.screen(pixels)[0].to_dict()
    name, _, version = reference.rpartition("@")
    with write_transaction() as session:
        still = session.scalar(
            select(ScreeningRow.id)
            .where(ScreeningRow.id == screening_id, ScreeningRow.deleted_at.is_(None))
            .with_for_update()
        )
        known = session.scalar(
            select(SecondAnswer.id).where(
                SecondAnswer.screening_id == screening_id,
                SecondAnswer.purpose == PURPOSE,
                SecondAnswer.model_name == name,
                SecondAnswer.model_version == version,
            )
        )
        if still is None or known is not None:
            return False
        session.add(
            SecondAnswer(
                screening_id=screening_id,
                purpose=PURPOSE,
                model_name=name,
                model_version=version,
                answer=answer,
                created_at=clock.now(),
            )
        )
    return True


def _idle() -> bool:
    """Whether nobody waits for the model, or soon nobody does."""
    end = time.monotonic() + PATIENCE_SECONDS
    while get_models().busy():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
