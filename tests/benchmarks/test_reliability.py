"""The benchmarks of reliability in short: they run, find nothing lost, and what they write becomes a table."""

import json
import random
import runpy
import shutil
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from benchmarks import kill_uploads, load, locked, serving, sqlite_writers
from benchmarks.serving import TRANSPORT_ERRORS, Server, drawn_photo, post_api, started_by
from ml.bundle import Bundle
from webapp.database import sqlite_module

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
def test_processes_killed_during_uploads_lose_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    random.seed(1)
    server = Server(tmp_path / "instance", str(tiny_bundle.path), 2, {"OMP_NUM_THREADS": "1", "CLAIM_SECONDS": "5"})
    try:
        found = kill_uploads.run(server, kills=4, clients=2, pause=0.2, masters=0.3)
    finally:
        server.kill_master()
    assert found["passed"], found
    assert found["acknowledged"] > 0
    told = runpy.run_path(str(PROJECT / "docs" / "update_reliability.py"))["kills"](found)
    assert "4 kills" in told


def test_four_writers(tmp_path: Path) -> None:
    out = tmp_path / "writers.json"
    assert sqlite_writers.main(["--processes", "4", "--transactions", "10", "--out", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["transactions"], found["lost"], found["refused"]) == (40, 0, 0)
    told = runpy.run_path(str(PROJECT / "docs" / "update_reliability.py"))["writers"](found)
    assert "4 processes, 40 write transactions" in told


@pytest.mark.slow
def test_a_locked_database_is_waited_out(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """In short: longer than anybody waits, with one client of each kind."""
    server = Server(tmp_path / "instance", str(tiny_bundle.path), 1, {"OMP_NUM_THREADS": "1"})
    try:
        found = locked.run(server, seconds=12.0, clients=4)
    finally:
        server.kill_master()
    assert found["integrity"] == ["ok"]
    assert found["faults"] == {}
    assert found["recovered"] == 4
    assert (found["strays"], found["lost"]) == (0, 0)
    assert set(found["statuses"]) == {"503"}
    assert "4 clients (2 API, 1 page, 1 log-in), locked for 12 s" in runpy.run_path(
        str(PROJECT / "docs" / "update_reliability.py")
    )["locked"](found)


@pytest.mark.slow
def test_the_memory_of_decoders_is_counted(tiny_bundle: Bundle, tmp_path: Path) -> None:
    server = Server(tmp_path / "instance", str(tiny_bundle.path), 1, {"OMP_NUM_THREADS": "1"})
    server.flask("db", "upgrade")
    server.start()
    try:
        server.wait()
        with httpx.Client(base_url=server.address, timeout=60) as client:
            assert post_api(client, drawn_photo(side=240), str(uuid.uuid4())).status_code == 201
        (worker,) = server.worker_pids()
        (fork_server,) = started_by(worker)
        assert started_by(fork_server), "decoders are there"
        seen: list[int] = []

        def noted(pid: int) -> list[int]:
            seen.append(pid)
            return started_by(pid)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(serving, "started_by", noted)
            assert server.memory() > 0
        assert fork_server in seen
    finally:
        server.kill_master()


@pytest.mark.slow
def test_a_stop_answers_what_was_accepted(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """SIGTERM in the middle of uploads: every row that was opened was acknowledged to whoever sent it."""
    server = Server(tmp_path / "instance", str(tiny_bundle.path), 1, {"OMP_NUM_THREADS": "1"})
    server.flask("db", "upgrade")
    server.start()
    acknowledged: list[int] = []
    photo = drawn_photo(side=240)

    def upload() -> None:
        try:
            while True:
                with httpx.Client(base_url=server.address, timeout=60) as client:
                    acknowledged.append(post_api(client, photo, str(uuid.uuid4())).status_code)
        except TRANSPORT_ERRORS:
            return  # nobody listens any more

    try:
        server.wait()
        clients = [threading.Thread(target=upload) for _ in range(6)]
        for client in clients:
            client.start()
        while len(acknowledged) < 5:
            time.sleep(0.05)
        assert server.stop() == 0
        for client in clients:
            client.join(60)
    finally:
        server.kill_master()
    with closing(sqlite_module().connect(server.database)) as connection:
        states = [state for (state,) in connection.execute("SELECT state FROM screenings")]
    assert set(acknowledged) <= {201, 503}
    assert len(states) == acknowledged.count(201)
    assert set(states) == {"done"}


@pytest.mark.slow
def test_load_in_short(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    parts = ["steady", "crowd", *(["slow"] if shutil.which("nginx", path="/usr/sbin:/usr/bin") else [])]
    load.main(["--seconds", "4", "--model", str(tiny_bundle.path), "--out", str(out), *(f"--{name}" for name in parts)])
    found = json.loads(out.read_text(encoding="utf-8"))
    assert list(found) == parts
    assert set(found["crowd"]["statuses"]) <= {"201", "503"}
    assert found["crowd"]["without_retry_after"] == 0
    told = runpy.run_path(str(PROJECT / "docs" / "update_reliability.py"))
    for name in parts:
        assert f"{found[name]['clients']} " in told[name](found[name])


def test_a_part_that_breaks_off_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def measure(name: str, model: str, seconds: float | None) -> dict[str, object]:
        if name == "crowd":
            raise TimeoutError("no answer")
        return {"passed": True, "seconds": seconds}

    monkeypatch.setattr(load, "measure", measure)
    out = tmp_path / "load.json"
    assert load.main(["--all", "--seconds", "5", "--out", str(out)]) == 1
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["steady"] == found["slow"] == {"passed": True, "seconds": 5}
    assert found["crowd"] == {"broke_off": "TimeoutError", "passed": False}
    assert "crowd: begins" in capsys.readouterr().out
    docs = runpy.run_path(str(PROJECT / "docs" / "update_reliability.py"))
    row = next(row for row in docs["ROWS"] if row.part == "crowd")
    assert docs["told"](row, found["crowd"]) == "**not met**: the run broke off (TimeoutError)"
    assert docs["told"](row, None) == "not measured yet"


def test_memory_growth_looks_at_the_last_half() -> None:
    assert load.growth([50, 90, *[100] * 8]) == pytest.approx(0)
    assert load.growth([*[100] * 10, *[110] * 10]) == pytest.approx(0)
    assert load.growth([*[100] * 14, *[120] * 6]) == pytest.approx(0.2)
