"""A promotion reaches processes that were running before it, without a restart and without a failed request."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from ml.bundle import Bundle
from tests.promotion import MARGIN, install
from webapp.config import PROJECT_FOLDER, Config
from webapp.promotion.decisions import decide, make_pair, rollback

STARTING_SECONDS = 120
FOLLOWING_SECONDS = 60
"""On a machine that does much else; a promotion is followed at the next request."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def names(port: int) -> list[str]:
    status, content = get(port, "/api/v1/models")
    assert status == 200
    return [model["name"] for model in content["models"]]


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


@pytest.fixture
def config(config: Config, tiny_bundle: Bundle) -> Config:
    folder = config.instance / "promotion" / "ham10000"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text('{"label_set": "ham10000", "splits": {"promotion": {"images": 1}}}')
    (folder / "manifest.csv").write_text("")
    config = replace(config, model="good@1", promotion_margin=MARGIN)
    install(tiny_bundle, config.models, "good")
    install(tiny_bundle, config.models, "twin", limits=("The same network.",))
    return config


@pytest.fixture
def workers(app: Flask, config: Config) -> Iterator[list[int]]:
    """Two processes that serve the same installation; their ports."""
    environment = {
        **os.environ, "INSTANCE": str(config.instance), "MODEL": config.model, "SECRET_KEY": "for tests only",
        "API_RATE": "100000 per minute",
    }  # fmt: skip
    ports, processes = [free_port(), free_port()], []
    try:
        for port in ports:
            command = [sys.executable, "-m", "flask", "--app", "wsgi", "run", "--port", str(port)]
            processes.append(subprocess.Popen(command, cwd=PROJECT_FOLDER, env=environment, stderr=subprocess.DEVNULL))

        def up(port: int) -> bool:
            with contextlib.suppress(OSError):
                return get(port, "/healthz")[0] == 200
            return False

        wait_for(lambda: all(up(port) for port in ports), STARTING_SECONDS)
        yield ports
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


def test_two_running_processes_follow(workers: list[int], app: Flask, config: Config) -> None:
    assert [names(port) for port in workers] == [["good"], ["good"]]
    numbers: dict[str, Any] = {"passes": True, "reasons": [], "notes": []}
    with app.app_context():
        assert decide(make_pair(config, "twin"), numbers, "anna")
    wait_for(lambda: [names(port) for port in workers] == [["twin"], ["twin"]], FOLLOWING_SECONDS)
    with app.app_context():
        rollback("ham10000", "anna")
    wait_for(lambda: [names(port) for port in workers] == [["good"], ["good"]], FOLLOWING_SECONDS)
