"""The benchmarks of reliability in short: they run, find nothing lost, and what they write becomes a table."""

import json
import random
import runpy
from pathlib import Path

import pytest

from benchmarks import kill_uploads, sqlite_writers
from benchmarks.serving import Server
from ml.bundle import Bundle

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
