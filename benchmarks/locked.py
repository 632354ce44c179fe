"""Another program locks the database for longer than anybody waits: a sentence for everyone, and nothing to mend.

    python benchmarks/locked.py --seconds 20 --clients 20 --out docs/reliability/locked.json

A real gunicorn with a tiny model, and clients that go on all the time: half of them upload through the API, a quarter
on the page, and a quarter log in. When all have succeeded once, a connection of this program begins an immediate
transaction and keeps it. What is asked then must be answered 503 with Retry-After and a sentence, and `/healthz` must
go on answering. Once it lets go, every client must succeed again by itself, the integrity check must be clean, and no
photo may lie there that no row names.
"""

import argparse
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import httpx  # noqa: E402

from benchmarks.reporting import report  # noqa: E402
from benchmarks.serving import (  # noqa: E402
    FORM_TOKEN,
    TRANSPORT_ERRORS,
    Server,
    drawn_photo,
    post_api,
    post_web,
    tiny_model,
)
from webapp.database import sqlite_module  # noqa: E402

USER = "anna"
HEALTH_SECONDS = 1.0
RECOVERY_SECONDS = 120.0
LONGEST_PAUSE = 1.0
INTERNAL = ("sqlite", "traceback", "operationalerror")
GOOD = (200, 201, 303)


@dataclass
class Client:
    """One of those who go on all the time, and what it was answered while the database was locked and after."""

    act: Callable[[httpx.Client], httpx.Response]
    kind: str
    done: int = 0
    locked: "Counter[str]" = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    back: float | None = None


@dataclass
class Times:
    """When the lock began and ended, by the monotonic clock."""

    began: float = float("inf")
    ended: float = float("inf")
    over: bool = False


def log_in(password: str) -> Callable[[httpx.Client], httpx.Response]:
    """Logs in anew each time."""

    def act(client: httpx.Client) -> httpx.Response:
        client.cookies.clear()
        found = FORM_TOKEN.search(client.get("/login").text)
        fields = {"csrf_token": found.group(1) if found else "", "name": USER, "password": password}
        return client.post("/login", data=fields)

    return act


def go_on(server: Server, one: Client, times: Times) -> None:
    """Ask again and again until it is over."""
    with httpx.Client(base_url=server.address, timeout=60) as client:
        while not times.over:
            began = time.monotonic()
            try:
                answer = one.act(client)
            except TRANSPORT_ERRORS as error:
                one.faults.append(type(error).__name__)
                continue
            ended = time.monotonic()
            if times.began < began and ended < times.ended:
                note(one, answer, ended - began)
            elif answer.status_code in GOOD:
                one.done += 1
                if began > times.ended and one.back is None:
                    one.back = ended - times.ended
            elif answer.status_code != 503:
                one.faults.append(f"{answer.status_code} without a lock")
            time.sleep(min(float(answer.headers.get("Retry-After", 0.2)), LONGEST_PAUSE))


def says_something(answer: httpx.Response) -> bool:
    """Whether there is a sentence for a person in an answer, and nothing of the inside."""
    if answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        told = bool(answer.json().get("detail"))
    else:
        told = "<h1" in answer.text and "<p" in answer.text
    return told and not any(word in answer.text.lower() for word in INTERNAL)


def note(one: Client, answer: httpx.Response, seconds: float) -> None:
    """Look at an answer that was asked for and given while the database was locked."""
    one.locked[str(answer.status_code)] += 1
    one.seconds.append(seconds)
    if answer.status_code != 503:
        one.faults.append(f"{answer.status_code} from a locked database")
    elif "Retry-After" not in answer.headers:
        one.faults.append("503 without Retry-After")
    elif not says_something(answer):
        one.faults.append("503 without a sentence")


def watch_health(server: Server, times: Times, seconds: list[float]) -> None:
    """Ask `/healthz` ten times a second while the database is locked; an answer that is none counts as endless."""
    with httpx.Client(base_url=server.address, timeout=30) as client:
        while not times.over:
            began = time.monotonic()
            try:
                right = client.get("/healthz").status_code == 200
            except TRANSPORT_ERRORS:
                right = False
            if times.began < began < times.ended:
                seconds.append(time.monotonic() - began if right else float("inf"))
            time.sleep(0.1)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for something; whether it came."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def run(server: Server, *, seconds: float, clients: int) -> dict[str, Any]:
    """Lock the database of a new server, let go of it, and look at what is left."""
    server.flask("db", "upgrade")
    password = server.flask("users", "create", USER, "--one-time").strip().splitlines()[-1]
    server.start()
    server.wait()
    photo = drawn_photo()
    acts: tuple[tuple[str, Callable[[httpx.Client], httpx.Response]], ...] = (
        ("API", lambda client: post_api(client, photo, str(uuid.uuid4()))),
        ("page", lambda client: post_web(client, photo)),
        ("API", lambda client: post_api(client, photo, str(uuid.uuid4()))),
        ("log-in", log_in(password)),
    )
    crowd = [Client(acts[number % 4][1], acts[number % 4][0]) for number in range(clients)]
    times, health = Times(), list[float]()
    threads = [threading.Thread(target=go_on, args=(server, one, times), daemon=True) for one in crowd]
    threads.append(threading.Thread(target=watch_health, args=(server, times, health), daemon=True))
    for thread in threads:
        thread.start()
    warm = until(lambda: all(one.done for one in crowd), 120)
    with closing(sqlite_module().connect(server.database, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        times.began = time.monotonic()
        time.sleep(seconds)
        times.ended = time.monotonic()
        other.execute("ROLLBACK")
    recovered = until(lambda: all(one.back is not None for one in crowd), RECOVERY_SECONDS)
    times.over = True
    for thread in threads:
        thread.join(60)
    server.stop()
    return outcome(server, crowd, health, seconds=seconds, warm=warm, recovered=recovered)


def outcome(
    server: Server, crowd: Sequence[Client], health: Sequence[float], *, seconds: float, warm: bool, recovered: bool
) -> dict[str, Any]:
    """What the clients saw and what lies there, as it goes to docs/reliability/locked.json."""
    with closing(sqlite_module().connect(server.database)) as connection:
        integrity = [line for (line,) in connection.execute("PRAGMA integrity_check")]
        named = {name for (name,) in connection.execute("SELECT name FROM photos")}
    kept = {path.name.removesuffix(".jpg") for path in (server.instance / "photos").glob("*/*/*.jpg")}
    full = {name for name in kept if not name.endswith("-small")}
    faults = Counter(fault for one in crowd for fault in one.faults)
    answered = sum((one.locked for one in crowd), Counter())
    slowest_health = max(health, default=float("inf"))
    found = {
        "seconds": seconds,
        "clients": len(crowd),
        "kinds": dict(Counter(one.kind for one in crowd)),
        "statuses": dict(answered),
        "longest_seconds": round(max((s for one in crowd for s in one.seconds), default=0.0), 2),
        "faults": dict(faults),
        "health_asked": len(health),
        "health_longest_seconds": round(slowest_health, 3) if health else None,
        "recovered": sum(one.back is not None for one in crowd),
        "recovery_seconds": round(max((one.back for one in crowd if one.back is not None), default=0.0), 2),
        "strays": len(full - named),
        "lost": len(named - full),
        "integrity": integrity,
    }
    right = not faults and not found["strays"] and not found["lost"] and integrity == ["ok"]
    told = sum(answered.values()) >= len(crowd) or seconds < 10
    return {**found, "passed": bool(warm and recovered and right and told and slowest_health <= HEALTH_SECONDS)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; the exit status is 1 where somebody was answered otherwise or something is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lesion-lens-locked-") as place:
        server = Server(Path(place) / "instance", str(tiny_model(Path(place))))
        try:
            found = run(server, seconds=options.seconds, clients=options.clients)
        finally:
            server.kill_master()
    report(found, options.out)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
