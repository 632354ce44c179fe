"""The trainer as a process: a real, tiny run is done, stopped, interrupted, killed and taken up again."""

import errno
import platform
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from ml.bundle import find_bundle, load_bundle
from ml.run_folder import HISTORY, LAST
from tests.webapp.training.conftest import OPTIONS
from tests.webapp.training.processes import children, ended, run_of, trainer, wait_for
from webapp import clock
from webapp.config import Config
from webapp.database import BUSY_SECONDS, write_transaction
from webapp.models.training_run import Kind, RunState, TrainingRun
from webapp.training import queue
from webapp.training.allocator import TUNABLES, VARIABLE
from webapp.training.processes import GRACE_SECONDS
from webapp.training.trainer import HEARTBEAT_SECONDS, LOST_SECONDS, Trainer
from webapp.training.work import OUTPUT, Work

pytestmark = pytest.mark.slow

Add = Callable[..., int]


def many(epochs: int) -> dict[str, object]:
    return {"options": {**OPTIONS, "epochs": epochs}, "epochs": epochs}


def test_runs_are_worked_off_one_after_the_other_by_one_of_two_trainers(
    app: Flask, config: Config, add: Add, drawn_data: Path
) -> None:
    first, second = add(data=str(drawn_data), **many(2)), add(data=str(drawn_data), name="other", **many(200))
    with trainer(app), trainer(app):
        wait_for((config.runs / str(second) / HISTORY).exists)
        with app.app_context():
            assert queue.request_stop(second)
        wait_for(ended(app, second))
    done, stopped = run_of(app, first), run_of(app, second)
    assert (done.state, done.error, done.attempts, done.epoch) == (RunState.DONE, None, 1, 2)
    assert "epoch 2/2" in (done.log_tail or "")
    assert not (config.runs / str(first) / LAST).exists()
    assert (stopped.state, stopped.error, stopped.attempts) == (RunState.STOPPED, None, 1)
    assert 1 <= stopped.epoch < 200
    for run in (done, stopped):  # a stopped one makes a model of its whole epochs
        assert run.bundle is not None
        card = load_bundle(find_bundle(run.bundle, config.models)).card
        assert card.training["progress"]["epoch"] == run.epoch
    assert stopped.started_at is not None
    assert done.finished_at is not None
    assert stopped.started_at >= done.finished_at - timedelta(seconds=5)


def test_a_killed_and_an_interrupted_run_go_on_where_they_were(
    app: Flask, config: Config, add: Add, drawn_data: Path
) -> None:
    run_id = add(data=str(drawn_data), **many(200))
    folder = config.runs / str(run_id)
    with trainer(app) as process:
        wait_for((folder / HISTORY).exists)
        (child,) = children(process.pid)
        # The C library cuts the value up in its place when it has read it.
        allocator = f"\0{VARIABLE}={TUNABLES.partition(':')[0]}\0"
        assert platform.libc_ver()[0] != "glibc" or allocator in Path(f"/proc/{child}/environ").read_text()
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{child}").exists(), 30)
    assert run_of(app, run_id).state == RunState.RUNNING
    with app.app_context(), write_transaction() as session:  # as a minute later
        past = clock.now() - timedelta(seconds=queue.LEASE_SECONDS + 1)
        session.execute(update(TrainingRun).values(heartbeat_at=past))
    log = folder / "train.log"
    with trainer(app) as process:
        wait_for(lambda: log.read_text().count("Going on after epoch") == 1)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    run = run_of(app, run_id)
    assert (run.state, run.lease, run.finished_at) == (RunState.INTERRUPTED, None, None)
    with trainer(app):
        wait_for(lambda: log.read_text().count("Going on after epoch") == 2)
        with app.app_context():
            assert queue.request_stop(run_id)
        wait_for(ended(app, run_id))
    run = run_of(app, run_id)
    assert (run.state, run.error) == (RunState.STOPPED, None)
    assert run.bundle is not None
    assert load_bundle(find_bundle(run.bundle, config.models)).card.training["progress"]["epoch"] == run.epoch


def test_what_cannot_be_trained_fails_in_a_sentence_and_the_queue_goes_on(
    app: Flask, config: Config, add: Add, drawn_data: Path
) -> None:
    gone = add(data="/nowhere")
    (config.instance / "empty").mkdir(parents=True)
    empty = add(data=str(config.instance / "empty"))
    damaged = add(data=str(drawn_data), options={**OPTIONS, "weights": "nowhere@1"})
    comparison = add(Kind.PROMOTION, options={"arguments": ["no-such-command"]})
    with trainer(app):
        for run_id in (gone, empty, damaged, comparison):
            wait_for(ended(app, run_id))
    for run_id, words in ((gone, "data folder"), (empty, "not a prepared dataset"), (damaged, "No weights at")):
        run = run_of(app, run_id)
        assert run.state == RunState.FAILED
        assert words in (run.error or "")
        assert "Traceback" not in (run.error or "")
    assert run_of(app, comparison).state == RunState.FAILED


def test_what_the_system_refuses_fails_one_run_and_the_queue_goes_on(
    app: Flask, config: Config, add: Add, drawn_data: Path
) -> None:
    unwritable, next_one = add(data=str(drawn_data)), add(data="/nowhere")
    (config.runs / str(unwritable) / OUTPUT).mkdir(parents=True)  # it cannot be opened, whoever one is
    trainer = Trainer(app, threading.Event())
    for _ in range(2):
        trainer._step(Kind.TRAIN)
    failed = run_of(app, unwritable)
    assert (failed.state, failed.lease) == (RunState.FAILED, None)
    assert (failed.error or "").startswith("The folder or the process of this run cannot be used: Is a directory.")
    assert "data folder" in (run_of(app, next_one).error or "")


class Fake(Work):
    """Work without a process."""

    def __init__(self, run: TrainingRun) -> None:
        self.id, self.kind, self.name, self.renewed, self.killed = run.id, Kind(run.kind), run.name, 0.0, False

    def over(self) -> bool:
        return False

    def news(self) -> dict[str, Any]:
        return {}

    def ending(self, state: str) -> None:
        return None

    def stop(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def kill(self) -> None:
        self.killed = True


@pytest.fixture
def working(app: Flask, add: Add) -> tuple[Trainer, Fake]:
    trainer, run_id = Trainer(app, threading.Event()), add(data="/nowhere")
    with app.app_context():
        assert queue.claim(Kind.TRAIN, trainer._lease) is not None
        work = Fake(queue.read(run_id))
    work.renewed = time.monotonic() - HEARTBEAT_SECONDS
    trainer._works[Kind.TRAIN] = work
    return trainer, work


def test_a_run_that_cannot_be_told_to_stop_fails(app: Flask, working: tuple[Trainer, Fake]) -> None:
    trainer, work = working
    with app.app_context():
        assert queue.request_stop(work.id)
    trainer._step(Kind.TRAIN)
    failed = run_of(app, work.id)
    assert (failed.state, work.killed, trainer._works) == (RunState.FAILED, True, {})
    assert "No space left on device" in (failed.error or "")


def test_a_run_is_given_up_in_time_without_another_write(app: Flask, working: tuple[Trainer, Fake]) -> None:
    trainer, work = working
    assert LOST_SECONDS + BUSY_SECONDS + GRACE_SECONDS < queue.LEASE_SECONDS
    before = run_of(app, work.id).heartbeat_at
    work.renewed = time.monotonic() - LOST_SECONDS - 1
    trainer._step(Kind.TRAIN)
    assert (work.killed, trainer._works) == (True, {})
    assert run_of(app, work.id).heartbeat_at == before
