"""The trainer as the process that it is, and waiting for what it does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from flask import Flask

from webapp.config import PROJECT_FOLDER, Config
from webapp.models.training_run import TrainingRun
from webapp.training import queue

PATIENCE = 280.0


def as_environment(config: Config) -> dict[str, str]:
    """The settings that are not as they come, as another process is given them."""
    given = {item.name: getattr(config, item.name) for item in fields(Config) if item.name != "testing"}
    return {name.upper(): str(value) for name, value in given.items() if value != getattr(Config, name)}


@contextmanager
def trainer(app: Flask) -> Iterator[subprocess.Popen[str]]:
    """`flask trainer` with the settings of an application; told to end, in the end.

    Runs do not end by themselves before their last epoch: a long one is there to be stopped, however fast the machine.
    """
    # Not behind everything else: on a busy machine a test would wait for a run that never gets a turn.
    own = {"TRAINING_NICENESS": "0", "OMP_NUM_THREADS": "1", "FLASK_TRAIN_PATIENCE": "1000"}
    environment = {**os.environ, **as_environment(app.config["LENS"]), **own}
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", "trainer"],
        cwd=PROJECT_FOLDER,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def wait_for(found: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until something is so; fails the test where it does not become so."""
    deadline = time.monotonic() + patience
    while not found():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def run_of(app: Flask, run_id: int) -> TrainingRun:
    """A run as the database has it now."""
    with app.app_context():
        return queue.read(run_id)


def ended(app: Flask, run_id: int) -> Callable[[], bool]:
    """Whether nothing more will happen to a run."""
    return lambda: run_of(app, run_id).finished_at is not None


def children(process: int) -> list[int]:
    """The processes that a process has started (Linux)."""
    tasks = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(number) for number in tasks.split()]
