"""Load on a real server with the shipped model: steady, a crowd, and slow clients behind nginx.

    python benchmarks/load.py --all --out docs/reliability/load.json
    python benchmarks/load.py --all --seconds 60                      each part for a minute
    python benchmarks/load.py --crowd --seconds 30                    a short look at one

- steady: 16 clients upload for 10 minutes. No answer of 500 or more, memory flat in the last half.
- crowd: 64 clients for 2 minutes. Only answers of 200 to 299 or 503 with Retry-After; whoever is taken is answered
  within 10 seconds.
- slow: 200 clients whose uploads take a minute, for 2 minutes, through an nginx with `deploy/nginx.conf` (without TLS).
  `/healthz` through the same nginx stays below half a second in 99 of 100 cases.

Everything is on 127.0.0.1 and on two cores. The machine should have nothing else to do. A line a minute tells how far
it is, and all of it takes a quarter of an hour: clients that are still unanswered a minute after the end of their part
are given up. A part that breaks off is written down as such, and the next one begins.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import httpx  # noqa: E402

from benchmarks.latency import drawn_photo, percentile_95  # noqa: E402
from benchmarks.proxy import Proxy  # noqa: E402
from benchmarks.serving import TRANSPORT_ERRORS, Server, post_api  # noqa: E402
from ml.files import write_json  # noqa: E402

CORES = 2
LONGEST_WAIT = 10.0
LARGEST_GROWTH = 0.05
HEALTH_P99 = 0.5
SLOW_UPLOAD = 60.0
"""Seconds that a slow client takes to send its photo."""
WARM_UP = 10
"""Uploads before a part begins, one after the other: the first loads the model, all tell how long an answer takes."""
GRACE = 60.0
"""Seconds after the end of a part in which clients may still get their answers."""
LONGEST_PAUSE = 5.0
"""A refused client of the crowd comes back after Retry-After, or this many seconds where that is longer."""


@dataclass
class Seen:
    """What clients were answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    without_retry: int = 0
    unanswered: int = 0
    failures: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Minutes:
    """Prints a line at most once a minute."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()

    def tell(self, words: Callable[[], str]) -> None:
        """Print how long it has taken and `words`, if the last time was a minute ago."""
        now = time.monotonic()
        if now - self._told >= 60:
            self._told = now
            print(f"{now - self._began:4.0f} s: {words()}", flush=True)


def upload_until(end: float, server: Server, photo: bytes, seen: Seen) -> None:
    """Upload again and again until `end`, each time until the answer is there."""
    with httpx.Client(base_url=server.address, timeout=GRACE / 2) as client:
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                response = post_api(client, photo, str(uuid.uuid4()))
                pause = wait_for_answer(client, response, began, seen)
            except TRANSPORT_ERRORS:
                with seen.lock:
                    seen.failures += 1
                pause = 0.5
            time.sleep(pause)


def wait_for_answer(client: httpx.Client, response: httpx.Response, began: float, seen: Seen) -> float:
    """Note a response, and for one that was taken how long its answer took; returns how long to pause."""
    with seen.lock:
        seen.statuses[response.status_code] += 1
        if response.status_code == 503 and "Retry-After" not in response.headers:
            seen.without_retry += 1
    if response.status_code != 201:
        return min(float(response.headers.get("Retry-After", 1)), LONGEST_PAUSE)
    state, place = response.json()["state"], response.headers["Location"]
    while state == "pending" and time.monotonic() - began < GRACE / 2:
        time.sleep(0.2)
        again = client.get(place)
        state = again.json().get("state", state)
    with seen.lock:
        seen.seconds.append(time.monotonic() - began)
        seen.unanswered += state == "pending"
    return 0.0


def run_clients(server: Server, clients: int, seconds: float) -> tuple[Seen, list[int]]:
    """Have clients upload; returns what they saw, and the server's memory every second or so."""
    seen, photo, end = Seen(), drawn_photo(), time.monotonic() + seconds
    threads = [
        threading.Thread(target=upload_until, args=(end, server, photo, seen), daemon=True) for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    memory, minutes = [], Minutes()
    while time.monotonic() < end:
        memory.append(server.memory())
        minutes.tell(lambda: f"{clients} clients, answered {dict(seen.statuses)}, memory {memory[-1] >> 20} MB")
        time.sleep(min(1.0, seconds / 20))
    for thread in threads:
        thread.join(max(0.0, end + GRACE - time.monotonic()))
    with seen.lock:
        seen.unanswered += sum(thread.is_alive() for thread in threads)
    return seen, memory


def growth(memory: Sequence[int]) -> float:
    """By which share memory grew in the last half: its last tenth against the tenth after the middle."""
    tenth = max(1, len(memory) // 10)
    middle = memory[len(memory) // 2 :][:tenth]
    return (sum(memory[-tenth:]) / tenth) / (sum(middle) / len(middle)) - 1


def told(seen: Seen, clients: int, seconds: float) -> dict[str, Any]:
    """What both kinds of load have in common."""
    return {
        "clients": clients,
        "seconds": round(seconds),
        "answered": len(seen.seconds),
        "answered_a_second": round(len(seen.seconds) / seconds, 2),
        "unanswered": seen.unanswered,
        "statuses": {str(code): number for code, number in sorted(seen.statuses.items())},
        "connections_failed": seen.failures,
        "p95_seconds": round(percentile_95(seen.seconds), 2) if seen.seconds else None,
        "longest_seconds": round(max(seen.seconds), 2) if seen.seconds else None,
    }


def steady(server: Server, seconds: float, clients: int = 16) -> dict[str, Any]:
    """16 clients, one upload after the other."""
    seen, memory = run_clients(server, clients, seconds)
    grown = growth(memory)
    good = set(seen.statuses) == {201} and not (seen.failures or seen.unanswered) and grown <= LARGEST_GROWTH
    return {
        **told(seen, clients, seconds),
        "memory_mb": round(max(memory) / 1024**2),
        "growth_last_half": round(grown, 4),
        "passed": good,
    }


def crowd(server: Server, seconds: float, clients: int = 64) -> dict[str, Any]:
    """64 clients: more than the queue takes."""
    seen, _ = run_clients(server, clients, seconds)
    good = set(seen.statuses) <= {201, 503} and not (seen.without_retry or seen.failures or seen.unanswered)
    in_time = bool(seen.seconds) and max(seen.seconds) <= LONGEST_WAIT
    return {**told(seen, clients, seconds), "without_retry_after": seen.without_retry, "passed": good and in_time}


def slow(server: Server, seconds: float, clients: int = 200) -> dict[str, Any]:
    """200 clients that send a few hundred bytes a second each, through nginx, while `/healthz` is asked."""
    with (
        tempfile.TemporaryDirectory(prefix="lesion-lens-nginx-") as place,
        Proxy(Path(place), server.port) as proxy,
        ThreadPoolExecutor(1) as thread,  # whoever calls may have an event loop already
    ):
        statuses, health = thread.submit(lambda: asyncio.run(_slow(proxy.port, clients, seconds))).result()
    ordered = sorted(health)
    p99 = ordered[max(0, -(-99 * len(ordered) // 100) - 1)]
    return {
        "clients": clients,
        "seconds": round(seconds),
        "uploads": {str(code): number for code, number in sorted(statuses.items())},
        "health_asked": len(health),
        "health_p99_seconds": round(p99, 3),
        "health_longest_seconds": round(ordered[-1], 3),
        "passed": p99 < HEALTH_P99,
    }


async def _slow(port: int, clients: int, seconds: float) -> tuple[Counter[int], list[float]]:
    end, statuses, health = time.monotonic() + seconds, Counter[int](), list[float]()
    request = httpx.Request(
        "POST",
        f"http://127.0.0.1:{port}/api/v1/screenings",
        data={"consent": "true"},
        files={"photos": ("photo.jpg", drawn_photo(), "image/jpeg")},
    )
    head = [f"POST /api/v1/screenings HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1:{port}"]
    head += [f"{name}: {request.headers[name]}" for name in ("Content-Type", "Content-Length")]
    body = request.read()

    async def trickle(number: int) -> None:
        await asyncio.sleep(number * min(SLOW_UPLOAD, seconds / 2) / clients)
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
                steps = max(1, int(min(SLOW_UPLOAD, seconds / 2)))
                for start in range(0, len(body), len(body) // steps + 1):
                    writer.write(body[start : start + len(body) // steps + 1])
                    await writer.drain()
                    await asyncio.sleep(1)
                line = await asyncio.wait_for(reader.readline(), 60)
                statuses[int(line.split()[1])] += 1
            except (TimeoutError, OSError, IndexError):
                statuses[0] += 1
            finally:
                writer.close()

    tasks = [asyncio.create_task(trickle(number)) for number in range(clients)]
    minutes = Minutes()
    async with httpx.AsyncClient(timeout=30) as client:
        while time.monotonic() < end:
            minutes.tell(lambda: f"{clients} slow clients, health asked {len(health)} times")
            began = time.monotonic()
            try:
                good = (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
            except TRANSPORT_ERRORS:
                good = False
            health.append(time.monotonic() - began if good else 30.0)
            await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return statuses, health


PARTS: dict[str, tuple[Callable[[Server, float], dict[str, Any]], float]] = {
    "steady": (steady, 600.0),
    "crowd": (crowd, 120.0),
    "slow": (slow, 120.0),
}


def measure(name: str, model: str, seconds: float | None) -> dict[str, Any]:
    """Run one part against a server of its own."""
    part, usual = PARTS[name]
    with tempfile.TemporaryDirectory(prefix="lesion-lens-load-") as place:
        settings = {"TRUSTED_PROXIES": "1"} if name == "slow" else {}
        server = Server(Path(place) / "instance", model, settings=settings)
        server.flask("db", "upgrade")
        server.start()
        try:
            server.wait()
            with httpx.Client(base_url=server.address, timeout=60) as client:
                for _ in range(WARM_UP):
                    post_api(client, drawn_photo(), str(uuid.uuid4())).raise_for_status()
            beside = {"cores": CORES, "model": model or "shipped", "load_before": round(os.getloadavg()[0], 1)}
            return {**beside, **part(server, seconds or usual)}
        finally:
            server.kill_master()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; the exit status is 1 where a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in PARTS:
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--seconds", type=float, help="instead of each part's own length: 600, 120 and 120")
    parser.add_argument("--model", default="", help="instead of the shipped one")
    parser.add_argument("--out", type=Path, help="JSON file; parts that are not run now stay in it")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    found = json.loads(options.out.read_text(encoding="utf-8")) if options.out and options.out.is_file() else {}
    chosen = [name for name in PARTS if options.all or getattr(options, name)]
    for name in chosen:
        print(f"{name}: begins", flush=True)
        try:
            found[name] = measure(name, options.model, options.seconds)
        except Exception as error:
            traceback.print_exc()
            found[name] = {"broke_off": type(error).__name__, "passed": False}  # its words could name folders
        print(json.dumps({name: found[name]}, indent=2), flush=True)
        if options.out:
            write_json(options.out, found)
    return 0 if all(found[name]["passed"] for name in chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
