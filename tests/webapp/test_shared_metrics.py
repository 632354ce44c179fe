"""The metrics of several real gunicorn workers: counters add up over them, and what a dead one held is forgotten."""

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving import Server

NOWHERE = ("lesion_lens_request_seconds_count", (("method", "GET"), ("route", "(none)"), ("status", "404")))
PLACES = ("lesion_lens_queue_places", ())


def samples(server: Server) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What one of the workers tells, over a connection of its own."""
    text = httpx.get(server.address + "/metrics", timeout=60).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def files_of(pid: int) -> list[Path]:
    """The files in which a worker keeps its figures."""
    places = {Path("/dev/shm"), Path(tempfile.gettempdir())}  # noqa: S108
    return [file for place in places for file in place.glob(f"lesion-lens-metrics-*/*_{pid}.db")]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_counters_add_up_over_workers_and_dead_ones_are_forgotten(tmp_path: Path) -> None:
    server = Server(tmp_path / "instance", "", 2, {"METRICS": "on", "QUEUE_LENGTH": "7", "OMP_NUM_THREADS": "1"})

    def ask(times: int) -> None:
        for _ in range(times):
            assert httpx.get(server.address + "/nowhere", timeout=60).status_code == 404

    def counting() -> list[int]:
        """The workers that have a file of counters: those that have answered something."""
        return [pid for pid in server.worker_pids() if any("histogram" in file.name for file in files_of(pid))]

    server.start()
    try:
        server.wait(path="/healthz")
        wait_for(lambda: samples(server)[PLACES] == 14)  # both have started
        asked = 0
        while asked < 20 or len(counting()) < 2:
            ask(1)
            asked += 1
            assert asked < 2000
        assert samples(server)[NOWHERE] == samples(server)[NOWHERE] == asked

        victim = counting()[0]
        (folder,) = {file.parent for file in files_of(victim)}
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(set(server.worker_pids()) - {victim}) == 2 and samples(server)[PLACES] == 14)
        assert not any("gauge_live" in file.name for file in files_of(victim))
        ask(5)
        assert samples(server)[NOWHERE] == asked + 5  # what the dead one had counted stays counted

        assert server.stop() == 0
        assert not folder.exists()
    finally:
        server.kill_master()
