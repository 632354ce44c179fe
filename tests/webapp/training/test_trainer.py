"""The trainer as a process: a real, tiny run is done, stopped, interrupted, killed and taken up again."""

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update

from ml.bundle import find_bundle, load_bundle
from ml.run_folder import HISTORY, LAST
from tests.webapp.training.conftest import OPTIONS
from tests.webapp.training.processes import children, ended, run_of, trainer, wait_for
from webapp import clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.models.training_run import Kind, RunState, TrainingRun
from webapp.training import queue

pytestmark = pytest.mark.slow

Add = Callable[..., int]


def many(epochs: int) -> dict[str, object]:
    return {"options": {**OPTIONS, "epochs": epochs}, "epochs": epochs}


def test_runs_are_done_one_after_the_other_by_one_of_two_trainers(
    app: Flask, config: Config, add: Add, drawn_data: Path
) -> None:
    first, second = add(data=str(drawn_data), **many(2)), add(data=str(drawn_data), name="other", **many(1))
    with trainer(app), trainer(app):
        wait_for(ended(app, second))
    for run_id, epochs in ((first, 2), (second, 1)):
        run = run_of(app, run_id)
        assert (run.state, run.error, run.attempts, run.epoch) == (RunState.DONE, None, 1, epochs)
        assert run.bundle is not None
        assert load_bundle(find_bundle(run.bundle, config.models)).card.training["progress"]["epoch"] == epochs
        assert f"epoch {epochs}/{epochs}" in (run.log_tail or "")
        assert not (config.runs / str(run_id) / LAST).exists()
    begun = run_of(app, second).started_at
    assert begun is not None
    assert begun >= (run_of(app, first).finished_at or begun) - timedelta(seconds=5)


def test_a_stopped_run_makes_a_model_of_its_whole_epochs(
    app: Flask, config: Config, add: Add, drawn_data: Path
) -> None:
    run_id = add(data=str(drawn_data), **many(200))
    with trainer(app):
        wait_for((config.runs / str(run_id) / HISTORY).exists)
        with app.app_context():
            assert queue.request_stop(run_id)
        wait_for(ended(app, run_id))
    run = run_of(app, run_id)
    assert run.state == RunState.STOPPED, run.error
    assert run.bundle is not None
    assert load_bundle(find_bundle(run.bundle, config.models)).card.training["progress"]["epoch"] == run.epoch


def test_a_killed_and_an_interrupted_run_go_on_where_they_were(
    app: Flask, config: Config, add: Add, drawn_data: Path
) -> None:
    run_id = add(data=str(drawn_data), **many(200))
    folder = config.runs / str(run_id)
    with trainer(app) as process:
        wait_for((folder / HISTORY).exists)
        (child,) = children(process.pid)
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
    assert run_of(app, run_id).bundle is not None


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
