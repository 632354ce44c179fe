"""The trainer: takes queued runs, starts a child process for each, tells how far it is, and never loses one."""

import logging
import secrets
import threading
import time
from pathlib import Path

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from webapp import clock
from webapp.config import Config
from webapp.models.training_run import Kind, RunState
from webapp.training import queue
from webapp.training.commands import default_threads
from webapp.training.nightly import Nightly
from webapp.training.work import CannotBegin, Work

log = logging.getLogger("lesion_lens.trainer")

POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 3.0
LOST_SECONDS = 0.5 * queue.LEASE_SECONDS
"""After this long without having reached the database a run is given up: one more write may wait for a lock until then
(webapp.database.BUSY_SECONDS) and the process take its time to end (processes.GRACE_SECONDS), and yet it is over before
another trainer may take the run."""
SIGN = "trainer"
"""A file in the folder of runs, touched with every heartbeat, by which pages know that a trainer is there."""


class Trainer:
    """Works off the queue until told to stop: of each kind of run one at a time."""

    def __init__(self, app: Flask, stop: threading.Event) -> None:
        self._app, self._stop = app, stop
        self._config: Config = app.config["LENS"]
        self._lease = secrets.token_hex(8)
        self._works: dict[Kind, Work] = {}
        self._told = float("-inf")

    def serve(self) -> None:
        """Work until `stop` is set; runs that are under way then are interrupted, to be taken up again.

        Once a night what `flask screenings sweep` does is done, where nobody else has done it.
        """
        nightly = Nightly(self._config)
        try:
            while not self._stop.is_set():
                self._give_sign()
                nightly.step()
                for kind in Kind:
                    self._step(kind)
                self._stop.wait(POLL_SECONDS)
        finally:
            nightly.end()
            for work in self._works.values():
                self._interrupt(work)

    def _step(self, kind: Kind) -> None:
        """Take up a run of this kind, or look after the one that is under way."""
        work = self._works.get(kind)
        if work is not None and time.monotonic() - work.renewed > LOST_SECONDS:
            log.warning("run %d: given up until the database is back", work.id)
            self._works.pop(kind).kill()
            return
        try:
            with self._app.app_context():
                if work is None:
                    self._take(kind)
                else:
                    self._look_after(work)
        except SQLAlchemyError:
            log.warning("the database cannot be used at the moment", exc_info=True)

    def _take(self, kind: Kind) -> None:
        run = queue.claim(kind, self._lease)
        if run is None:
            return
        if kind == Kind.TRAIN and "threads" not in run.options:
            # Kept with the run: resumed elsewhere it must compute the same.
            threads = self._config.training_threads or default_threads()
            queue.tell(run.id, self._lease, options={**run.options, "threads": threads})
            run = queue.read(run.id)
        try:
            work = Work(run, self._config)
        except CannotBegin as error:
            state = RunState.STOPPED if run.state == RunState.STOPPING else RunState.FAILED
            queue.release(run.id, self._lease, state, error=str(error))
            log.info("run %d (%s): %s", run.id, run.name, error)
            return
        except OSError as error:
            self._fail(run.id, error)
            return
        self._works[kind] = work
        log.info("run %d (%s): begins, attempt %d", run.id, run.name, run.attempts)

    def _look_after(self, work: Work) -> None:
        try:
            self._follow(work)
        except OSError as error:
            self._works.pop(work.kind, None)
            work.kill()
            self._fail(work.id, error)

    def _fail(self, run_id: int, error: OSError) -> None:
        """End a run for something that the system refused, so that the queue goes on."""
        log.error("run %d: it cannot be worked on", run_id, exc_info=error)
        reason = error.strerror or "reading or writing failed"
        sentence = f"The folder or the process of this run cannot be used: {reason}. What it has learnt is kept."
        queue.release(run_id, self._lease, RunState.FAILED, error=sentence)

    def _follow(self, work: Work) -> None:
        now = time.monotonic()
        if not work.over() and now - work.renewed < HEARTBEAT_SECONDS:
            return
        state = queue.tell(work.id, self._lease, **work.news())
        if state is None:
            log.warning("run %d: another trainer has it", work.id)
            self._works.pop(work.kind).kill()
            return
        work.renewed = now
        ending = work.ending(state)
        if ending is not None:
            del self._works[work.kind]
            queue.release(work.id, self._lease, ending.state, **ending.values)
            log.info("run %d (%s): %s %s", work.id, work.name, ending.state, ending.values.get("error") or "")
        elif state == RunState.STOPPING:
            work.stop()

    def _interrupt(self, work: Work) -> None:
        work.kill()
        try:
            with self._app.app_context():
                row = queue.read(work.id)
                if row.state == RunState.STOPPING:
                    return  # its lease runs out, and the next trainer ends it
                queue.release(work.id, self._lease, RunState.INTERRUPTED, **work.news())
            log.info("run %d (%s): interrupted; the next start goes on with it", work.id, work.name)
        except SQLAlchemyError:
            log.warning("run %d: its interruption could not be written; its lease runs out by itself", work.id)

    def _give_sign(self) -> None:
        now = time.monotonic()
        if now - self._told >= HEARTBEAT_SECONDS:
            self._told = now
            try:
                self._config.runs.mkdir(parents=True, exist_ok=True)
                (self._config.runs / SIGN).touch()
            except OSError as error:
                log.warning("the folder for runs cannot be written to: %s", error.strerror)


def trainer_is_there(runs: Path) -> bool:
    """Whether a trainer has given a sign lately in the folder of runs."""
    try:
        return clock.now().timestamp() - (runs / SIGN).stat().st_mtime < 5 * HEARTBEAT_SECONDS
    except OSError:
        return False
