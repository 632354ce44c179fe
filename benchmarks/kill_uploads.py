"""Kill a server's processes at random moments while people upload, and look whether anything is lost.

    python benchmarks/kill_uploads.py --kills 500 --preload --out docs/reliability/kill_uploads.json

Several gunicorn workers with a tiny model answer on loopback while clients upload through pages and API. Again and
again `kill -9` ends a worker, or the master, which is started anew. What counts as lost: an acknowledged screening
without its row, or with another answer; a row without a whole photo; a photo served in part; two rows for one
Idempotency-Key; files without a row that `flask photos sweep` leaves; and a database that is not sound.
"""

import argparse
import io
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import httpx  # noqa: E402
from PIL import Image  # noqa: E402

from benchmarks.reporting import report  # noqa: E402
from benchmarks.serving import TRANSPORT_ERRORS, Server, drawn_photo, post_api, post_web, tiny_model  # noqa: E402
from webapp.database import sqlite_module  # noqa: E402
from webapp.models.screening import token_hash  # noqa: E402

PAUSE = 0.2
"""Seconds that a client waits after an attempt that failed: nobody answers while a worker starts."""
PATIENCE = 30.0
"""Seconds to wait at most for an acknowledgement between two kills, so that each one hits a server at work."""


@dataclass
class Seen:
    """What clients were told. `acknowledged`: hash of a token -> the predicted class, None where it was not told."""

    acknowledged: dict[str, str | None] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    cut: int = 0
    photos_seen: int = 0
    half_photos: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, response: httpx.Response) -> None:
        with self.lock:
            self.statuses[response.status_code] = self.statuses.get(response.status_code, 0) + 1


class Uploader(threading.Thread):
    """A client that uploads, looks at its photos, and sends again what got no answer."""

    def __init__(self, number: int, server: Server, photos: Sequence[bytes], seen: Seen, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._number, self._server, self._photos, self._seen, self._stop_ = number, server, photos, seen, stop

    def run(self) -> None:
        upload = self._by_api if self._number % 2 else self._by_page
        with httpx.Client(base_url=self._server.address, timeout=60) as client:
            while not self._stop_.is_set():
                upload(client, random.choice(self._photos))  # noqa: S311

    def _by_api(self, client: httpx.Client, photo: bytes) -> None:
        key = str(uuid.uuid4())
        while not self._stop_.is_set():
            try:
                response = post_api(client, photo, key)
            except TRANSPORT_ERRORS:
                self._cut()
                continue
            self._seen.answer(response)
            if response.status_code == 201:
                body = response.json()
                with self._seen.lock:
                    predicted = (body["screening"] or {}).get("predicted")
                    self._seen.acknowledged[token_hash(body["id"])] = predicted
                    self._seen.keys.setdefault(key, set()).add(body["id"])
            return

    def _by_page(self, client: httpx.Client, photo: bytes) -> None:
        try:
            response = post_web(client, photo)
            self._seen.answer(response)
            if response.status_code != 303:
                return
            place = response.headers["Location"]
            with self._seen.lock:
                self._seen.acknowledged.setdefault(token_hash(place.rsplit("/", 1)[1]), None)
            small = client.get(f"{place}/photos/1", params={"size": random.choice(("small", "large"))})  # noqa: S311
        except TRANSPORT_ERRORS:
            self._cut()
            return
        if small.status_code == 200:
            with self._seen.lock:
                self._seen.photos_seen += 1
                self._seen.half_photos += not is_whole(small.content)

    def _cut(self) -> None:
        with self._seen.lock:
            self._seen.cut += 1
        time.sleep(PAUSE)


def is_whole(content: bytes) -> bool:
    """Whether the bytes are a JPEG file from its first to its last one."""
    try:
        Image.open(io.BytesIO(content)).load()
    except (OSError, SyntaxError):
        return False
    return content.endswith(b"\xff\xd9")


def kill_one(server: Server, whole: bool) -> bool:
    """kill -9 the master, which is started anew, or a random worker. Whether there was one to kill."""
    if whole:
        server.kill_master(random.uniform(0, 0.5))  # noqa: S311
        server.start()
        return True
    workers = server.worker_pids()
    if not workers:
        return False
    with suppress(ProcessLookupError):
        os.kill(random.choice(workers), signal.SIGKILL)  # noqa: S311
        return True
    return False


def files_of(folder: Path) -> Iterator[Path]:
    """All files in the photo folder."""
    return (path for path in folder.rglob("*") if path.is_file())


def examine(server: Server, seen: Seen) -> dict[str, Any]:
    """What is lost, counted, once everything has come to rest."""
    server.flask("screenings", "sweep")
    connection = sqlite_module().connect(server.database)
    rows = {
        key: (state, said)
        for key, state, said in connection.execute("SELECT token_hash, state, predicted FROM screenings")
    }
    names = [name for (name,) in connection.execute("SELECT name FROM photos")]
    bare = connection.execute(
        "SELECT count(*) FROM screenings WHERE id NOT IN (SELECT screening_id FROM photos)"
    ).fetchone()[0]
    integrity = [line for (line,) in connection.execute("PRAGMA integrity_check")]
    foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()
    store = server.instance / "photos"
    kept = {f"{name}{kind}.jpg" for name in names for kind in ("", "-small")}
    paths = list(files_of(store))
    found = {path.name for path in paths}
    broken = sum(not is_whole(path.read_bytes()) for path in paths if path.name in kept)
    strays = [path for path in paths if path.name not in kept]
    for path in strays:
        os.utime(path, (0, 0))  # as if a day had passed
    server.flask("photos", "sweep")
    states = [state for state, _ in rows.values()]
    return {
        "rows": len(rows),
        "done": states.count("done"),
        "failed": states.count("failed"),
        "pending": states.count("pending"),
        "acknowledged": len(seen.acknowledged),
        "acknowledged_lost": sum(key not in rows for key in seen.acknowledged),
        "answers_changed": sum(
            said is not None and key in rows and rows[key][1] != said for key, said in seen.acknowledged.items()
        ),
        "keys_with_two_rows": sum(len(tokens) > 1 for tokens in seen.keys.values()),
        "rows_without_photo": bare + sum(f"{name}.jpg" not in found for name in names),
        "half_files_kept": broken,
        "photos_looked_at": seen.photos_seen,
        "half_photos_served": seen.half_photos,
        "strays": len(strays),
        "strays_left": len({path.name for path in files_of(store)} - kept),
        "photos_swept_wrongly": len(kept - {path.name for path in files_of(store)}) - len(kept - found),
        "integrity": integrity,
        "foreign_keys_broken": len(foreign),
        "connections_cut": seen.cut,
        "statuses": {str(code): number for code, number in sorted(seen.statuses.items())},
    }


LOSSES = (
    "acknowledged_lost", "answers_changed", "keys_with_two_rows", "rows_without_photo", "half_files_kept",
    "half_photos_served", "strays_left", "photos_swept_wrongly", "foreign_keys_broken", "pending",
)  # fmt: skip


def run(server: Server, *, kills: int, clients: int, pause: float, masters: float) -> dict[str, Any]:
    """Upload and kill, then look; returns the findings. `pause`: mean seconds from an acknowledgement to a kill."""
    seen, stop, started = Seen(), threading.Event(), time.monotonic()
    photos = [drawn_photo(seed, side=240) for seed in range(8)]
    server.flask("db", "upgrade")
    server.start()
    server.wait()
    uploaders = [Uploader(number, server, photos, seen, stop) for number in range(clients)]
    for uploader in uploaders:
        uploader.start()
    killed = {"workers": 0, "masters": 0}
    while sum(killed.values()) < kills:
        before, end = len(seen.acknowledged), time.monotonic() + PATIENCE
        while len(seen.acknowledged) == before and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(random.uniform(0, 2 * pause))  # noqa: S311
        whole = random.random() < masters  # noqa: S311
        if kill_one(server, whole):
            killed["masters" if whole else "workers"] += 1
            print(f"\r{sum(killed.values())} kills, {len(seen.acknowledged)} acknowledged", end="", file=sys.stderr)
    stop.set()
    for uploader in uploaders:
        uploader.join(90)
    server.stop()
    found = examine(server, seen)
    lost = sum(found[name] for name in LOSSES)
    return {
        "kills": killed,
        "workers": server.workers,
        "clients": clients,
        "seconds": round(time.monotonic() - started),
        **found,
        "sqlite": sqlite_module().sqlite_version,
        "passed": lost == 0 and found["integrity"] == ["ok"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; the exit status is 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.2, help="mean seconds from an acknowledgement to a kill")
    parser.add_argument("--masters", type=float, default=0.04, help="share of the kills that hit the master")
    parser.add_argument("--model", default="", help="folder of a bundle; a tiny one is trained when left out")
    parser.add_argument("--preload", action="store_true", help="replace killed workers at once: minutes, not an hour")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    random.seed(options.seed)
    with tempfile.TemporaryDirectory(prefix="lesion-lens-kill-") as place:
        model = options.model or str(tiny_model(Path(place)))
        settings = {"OMP_NUM_THREADS": "1", "CLAIM_SECONDS": "5"}
        server = Server(Path(place) / "instance", model, options.workers, settings, preload=options.preload)
        try:
            found = run(
                server, kills=options.kills, clients=options.clients, pause=options.pause, masters=options.masters
            )
        finally:
            server.kill_master()
    report(found, options.out)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
