"""What `make run` starts, with real processes: web server and trainer begin and end together."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from flask import Flask

from benchmarks.serving import TRANSPORT_ERRORS, children, free_port, post_api
from ml.bundle import Bundle
from tests.webapp.training.processes import wait_for
from webapp.config import PROJECT_FOLDER, Config
from webapp.extensions import db
from webapp.models.screening import ScreeningRow
from webapp.training.trainer import trainer_is_there

pytestmark = pytest.mark.slow

STARTING_SECONDS = 200
ENDING_SECONDS = 120


@dataclass
class Both:
    """The program, the processes that it started, and where the server answers."""

    process: "subprocess.Popen[bytes]"
    server: int
    trainer: int
    address: str
    log: Path

    def said(self) -> str:
        """All that was printed."""
        return self.log.read_text(encoding="utf-8")

    def nothing_left(self) -> bool:
        """Whether all of them are gone, and nobody listens any more."""
        with suppress(*TRANSPORT_ERRORS):
            httpx.get(f"{self.address}/healthz", timeout=5)
            return False
        return not any(alive(pid) for pid in (self.server, self.trainer))


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return False


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ")


@contextmanager
def running(config: Config, model: Path, folder: Path) -> Iterator[Both]:
    """The program on the database and folders of an application, once both are at work."""
    port = free_port()
    environment = {
        **os.environ, "INSTANCE": str(config.instance), "PORT": str(port), "MODEL": str(model), "WEB_CONCURRENCY": "1",
        "OMP_NUM_THREADS": "1", "API_RATE": "100000 per minute",
    }  # fmt: skip
    log, address = folder / "both.log", f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "deploy/serve.py"], cwd=PROJECT_FOLDER, env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    left: list[int] = []
    try:

        def up() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            with suppress(*TRANSPORT_ERRORS):
                return httpx.get(f"{address}/readyz", timeout=60).status_code == 200 and trainer_is_there(config.runs)
            return False

        wait_for(up, STARTING_SECONDS)
        left = children(process.pid)
        (server,) = (pid for pid in left if "gunicorn" in command_of(pid))
        (trainer,) = (pid for pid in left if pid != server)
        yield Both(process, server, trainer, address, log)
    finally:
        process.kill()
        process.wait()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def states(app: Flask) -> list[str]:
    with app.app_context():
        return [row.state for row in db.session.query(ScreeningRow)]


def test_both_end_at_ctrl_c_and_finish_what_was_accepted(
    app: Flask, config: Config, tiny_bundle: Bundle, photo: Callable[..., bytes], tmp_path: Path
) -> None:
    acknowledged: list[int] = []
    with running(config, tiny_bundle.path, tmp_path) as both:

        def upload() -> None:
            with suppress(*TRANSPORT_ERRORS), httpx.Client(base_url=both.address, timeout=60) as client:
                while True:
                    acknowledged.append(post_api(client, photo("nv", 1), str(uuid.uuid4())).status_code)

        clients = [threading.Thread(target=upload) for _ in range(3)]
        for client in clients:
            client.start()
        wait_for(lambda: 201 in acknowledged, ENDING_SECONDS)
        os.killpg(both.process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        assert both.process.wait(ENDING_SECONDS) == 0
        for client in clients:
            client.join(ENDING_SECONDS)
        assert both.nothing_left()
        said = both.said()
    assert "Stopping: uploads that were accepted are answered first" in said
    assert "Stopped." in said, "the trainer ended by itself"
    assert "unexpectedly" not in said
    assert "Traceback" not in said
    assert set(acknowledged) <= {201, 503}
    assert states(app) == ["done"] * acknowledged.count(201)


def test_a_trainer_that_crashes_leaves_uploads_going_on(
    app: Flask, config: Config, tiny_bundle: Bundle, photo: Callable[..., bytes], tmp_path: Path
) -> None:
    with running(config, tiny_bundle.path, tmp_path) as both:
        os.kill(both.trainer, signal.SIGKILL)
        wait_for(lambda: "The trainer ended unexpectedly (status -9)" in both.said(), ENDING_SECONDS)
        with httpx.Client(base_url=both.address, timeout=60) as client:
            assert post_api(client, photo("nv", 1), str(uuid.uuid4())).status_code == 201
        both.process.send_signal(signal.SIGTERM)
        assert both.process.wait(ENDING_SECONDS) == 0
        assert both.nothing_left()
        assert both.said().count("ended unexpectedly") == 1, "it is said once"


def test_a_server_that_crashes_ends_the_trainer(
    app: Flask, config: Config, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with running(config, tiny_bundle.path, tmp_path) as both:
        os.kill(both.server, signal.SIGKILL)
        assert both.process.wait(ENDING_SECONDS) == 1
        wait_for(both.nothing_left, ENDING_SECONDS)
        assert "The web server ended unexpectedly (status -9); the trainer is ended too." in both.said()
        assert "Stopped." in both.said()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells processes that their parent is gone")
def test_neither_outlives_the_program_that_started_it(
    app: Flask, config: Config, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with running(config, tiny_bundle.path, tmp_path) as both:
        both.process.kill()
        wait_for(both.nothing_left, ENDING_SECONDS)
        assert "Stopped." in both.said()
