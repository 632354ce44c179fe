"""The queue of long work: in order, one run of a kind at a time, and never the same run for two trainers."""

from collections.abc import Callable

from flask import Flask

from tests.times import Clock
from webapp.extensions import db
from webapp.models.training_run import Kind, RunState, TrainingRun
from webapp.training import queue


def state(run_id: int) -> str:
    row = db.session.get(TrainingRun, run_id, populate_existing=True)
    assert row is not None
    return row.state


def test_runs_are_taken_one_at_a_time_and_in_order(app: Flask, add: Callable[..., int]) -> None:
    first, second, promotion = add(), add(), add(Kind.PROMOTION)
    with app.app_context():
        taken = queue.claim(Kind.TRAIN, "one")
        assert taken is not None
        assert (taken.id, taken.state, taken.attempts) == (first, RunState.RUNNING, 1)
        assert queue.claim(Kind.TRAIN, "two") is None, "one run of a kind at a time"
        other = queue.claim(Kind.PROMOTION, "two")
        assert other is not None
        assert other.id == promotion, "a promotion need not wait for a training run"
        assert queue.tell(first, "two") is None
        assert queue.tell(first, "one", epoch=1) == RunState.RUNNING
        assert queue.release(first, "one", RunState.DONE, bundle="spots@1")
        assert not queue.release(first, "one", RunState.FAILED)
        taken = queue.claim(Kind.TRAIN, "two")
        assert taken is not None
        assert taken.id == second


def test_a_run_that_was_left_behind_is_taken_over(app: Flask, add: Callable[..., int], clock: Clock) -> None:
    run = add()
    with app.app_context():
        assert queue.claim(Kind.TRAIN, "one") is not None
        clock.forward(seconds=queue.LEASE_SECONDS - 1)
        assert queue.claim(Kind.TRAIN, "two") is None
        assert queue.tell(run, "one") == RunState.RUNNING
        clock.forward(seconds=queue.LEASE_SECONDS + 1)
        taken = queue.claim(Kind.TRAIN, "two")
        assert taken is not None
        assert (taken.id, taken.lease, taken.attempts) == (run, "two", 2)
        assert queue.tell(run, "one") is None, "the first trainer has lost it"
        assert not queue.release(run, "one", RunState.DONE)


def test_what_waits_is_stopped_at_once_and_what_runs_is_asked_to(app: Flask, add: Callable[..., int]) -> None:
    running, waiting = add(), add()
    with app.app_context():
        assert queue.claim(Kind.TRAIN, "one") is not None
        assert queue.request_stop(waiting)
        assert state(waiting) == RunState.STOPPED
        assert queue.request_stop(running)
        assert queue.tell(running, "one") == RunState.STOPPING
        assert not queue.request_stop(running), "once is enough"
        assert not queue.put_back(running)
        assert queue.release(running, "one", RunState.STOPPED)
        assert queue.put_back(running)
        assert state(running) == RunState.QUEUED


def test_an_interrupted_run_goes_before_the_others(app: Flask, add: Callable[..., int]) -> None:
    first, _second = add(), add()
    with app.app_context():
        assert queue.claim(Kind.TRAIN, "one") is not None
        assert queue.release(first, "one", RunState.INTERRUPTED)
        row = db.session.get(TrainingRun, first)
        assert row is not None
        assert row.finished_at is None
        taken = queue.claim(Kind.TRAIN, "two")
        assert taken is not None
        assert taken.id == first
