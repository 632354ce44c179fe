"""Send bad picture files through the real upload and see that each ends as a picture or as a clear refusal.

    python benchmarks/bad_files.py --count 20000 --state runs/bad-files --out docs/reliability/bad_files.json

A gunicorn with a tiny model answers on loopback; half of the files go through the page, half through the API. A file
passes where it is answered with a whole picture and finite probabilities, or with a 4xx that says why in a
sentence. The files are made by benchmarks/mutations.py; those in the folder that LESION_BAD_FILES
names come after them. The run ends by itself and goes on where it was stopped, when `--state` names the same folder.
"""

import argparse
import json
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import httpx  # noqa: E402

from benchmarks.mutations import bad_file  # noqa: E402
from benchmarks.reporting import report  # noqa: E402
from benchmarks.serving import FORM_TOKEN, TRANSPORT_ERRORS, Server, children, post_api, started_by, tiny_model  # noqa: E402
from ml.errors import InvalidImage  # noqa: E402
from ml.files import write_json  # noqa: E402
from ml.images import MIN_SIDE, decode  # noqa: E402

SECONDS, MEGABYTES = 5.0, 512
PART = 250
REFUSALS = frozenset({400, 413, 415, 422})
SAID = re.compile(r"data-error[^>]*>[^<]+\.</p>")
INTERNAL = ("Traceback", "site-packages", '.py", line', "sqlalchemy", "PIL.", "/proc/", "Errno")


@dataclass
class Findings:
    """What came of the files so far."""

    done: int = 0
    pictures: int = 0
    refused: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    slow: list[int] = field(default_factory=list)
    slowest_seconds: float = 0.0
    slowest_alone_seconds: float = 0.0
    peak_megabytes: float = 0.0
    workers_lost: int = 0
    seconds: float = 0.0


class Memory(threading.Thread):
    """Watches the processes that decode: the largest resident size that the system has seen of any."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server, self.peak, self.going = server, 0.0, True

    def run(self) -> None:
        """Look a hundred times a second; the system keeps each process's peak until it ends."""
        while self.going:
            for worker in self._server.worker_pids():
                for started in started_by(worker):
                    for child in children(started):
                        with suppress(OSError, IndexError, ValueError):
                            status = Path(f"/proc/{child}/status").read_text(encoding="ascii")
                            peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
                            self.peak = max(self.peak, peak)
            time.sleep(0.01)


class Sender:
    """One client: a browser's session for the page, none for the API."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=120)
        self._token = ""

    def send(self, content: bytes, web: bool) -> httpx.Response:
        """Upload a file."""
        if not web:
            return post_api(self._client, content, str(uuid.uuid4()))
        if not self._token:
            found = FORM_TOKEN.search(self._client.get("/").text)
            self._token = found.group(1) if found else ""
        files: Any = {"photos": ("photo.jpg", content, "image/jpeg")}
        return self._client.post("/", data={"csrf_token": self._token, "consent": "y"}, files=files)

    def fault(self, answer: httpx.Response, web: bool) -> str:
        """What is wrong with an answer; empty where nothing is."""
        if answer.status_code in REFUSALS:
            sentence = "" if web else str(answer.json().get("detail", ""))
            told = SAID.search(answer.text) is not None if web else sentence.endswith(".")
            leaked = [word for word in INTERNAL if word in answer.text]
            return f"leaks {leaked}" if leaked else "" if told else "no sentence"
        if answer.status_code != (303 if web else 201):
            return f"status {answer.status_code}"
        if not web:
            screening = answer.json()["screening"]
            if screening is None:
                return ""  # waits for its turn
            shares = list((screening["probabilities"] or {}).values())
            return "" if not shares or abs(sum(shares) - 1) < 1e-3 else "probabilities"
        photo = self._client.get(f"{answer.headers['Location']}/photos/1")
        height, width, _ = decode(photo.content).shape
        return "" if min(height, width) >= MIN_SIDE and max(height, width) <= 2400 else f"a picture of {width}x{height}"


def corpus() -> list[Path]:
    """Files of the folder that LESION_BAD_FILES names."""
    folder = os.environ.get("LESION_BAD_FILES", "")
    return sorted(path for path in Path(folder).rglob("*") if path.is_file()) if folder else []


def run(server: Server, findings: Findings, files: Sequence[int | Path], seed: int, senders: int) -> Iterator[Findings]:
    """Send what is not done yet, part by part; the findings after each part."""
    memory, local, lock = Memory(server), threading.local(), threading.Lock()
    workers = server.worker_pids()
    memory.start()

    def send(place: int) -> None:
        one = files[place]
        content = bad_file(one, seed) if isinstance(one, int) else one.read_bytes()
        if not hasattr(local, "sender"):
            local.sender = Sender(server.address)
        web = place % 2 == 0
        started = time.monotonic()
        try:
            answer = local.sender.send(content, web)
            seconds = time.monotonic() - started
            status, fault = str(answer.status_code), local.sender.fault(answer, web)
        except (*TRANSPORT_ERRORS, InvalidImage, KeyError, TypeError, ValueError) as error:
            seconds, status, fault = time.monotonic() - started, "none", type(error).__name__
        with lock:
            findings.statuses[status] = findings.statuses.get(status, 0) + 1
            findings.pictures += status in ("201", "303")
            findings.refused += status.startswith("4")
            findings.slowest_seconds = round(max(findings.slowest_seconds, seconds), 3)
            if fault:
                findings.faults.append(f"{one}: {fault}")
            if seconds > SECONDS:
                findings.slow.append(place)

    with ThreadPoolExecutor(senders) as pool:
        while findings.done < len(files):
            started, end = time.monotonic(), min(findings.done + PART, len(files))
            list(pool.map(send, range(findings.done, end)))
            findings.done = end
            findings.peak_megabytes = max(findings.peak_megabytes, round(memory.peak, 1))
            findings.seconds += round(time.monotonic() - started, 1)
            now = server.worker_pids()
            findings.workers_lost += len(set(workers) - set(now))
            workers = now
            yield findings
    # A machine that is busy with others makes any file slow: those that were are sent again, one at a time.
    alone = Sender(server.address)
    alone.send(bad_file(0, seed), web=True)
    for place in findings.slow:
        one = files[place]
        content = bad_file(one, seed) if isinstance(one, int) else one.read_bytes()
        times = []
        for _ in range(3):
            started = time.monotonic()
            alone.send(content, place % 2 == 0)
            times.append(time.monotonic() - started)
        findings.slowest_alone_seconds = round(max(findings.slowest_alone_seconds, min(times)), 3)
    memory.going = False
    yield findings


def passed(findings: Findings) -> bool:
    """Whether nothing was wrong."""
    slowest = findings.slowest_alone_seconds if findings.slow else findings.slowest_seconds
    right = not findings.faults and not findings.workers_lost
    return right and slowest <= SECONDS and findings.peak_megabytes <= MEGABYTES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; the exit status is 1 where a file was answered wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--model", default="", help="folder of a bundle; a tiny one is trained when left out")
    parser.add_argument(
        "--state", type=Path, required=True, help="folder that keeps the server's data and how far it is"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    kept = options.state / "findings.json"
    findings = Findings(**json.loads(kept.read_text(encoding="utf-8"))) if kept.is_file() else Findings()
    files = [*range(options.count), *corpus()]
    model = options.model or str(tiny_model(options.state))
    settings = {"OMP_NUM_THREADS": "1", "MAX_UPLOAD_MB": "15"}
    server = Server(options.state.resolve() / "instance", model, options.workers, settings)
    server.flask("db", "upgrade")
    server.start()
    try:
        server.wait(600)
        for _ in run(server, findings, files, options.seed, options.senders):
            write_json(kept, asdict(findings))
            print(f"{findings.done} of {len(files)}: {asdict(findings)}"[:400], file=sys.stderr, flush=True)
    finally:
        server.stop()
    found = {**asdict(findings), "files": len(files), "seed": options.seed, "workers": options.workers}
    found |= {"faults": len(findings.faults), "slow": len(findings.slow), "passed": passed(findings)}
    report(found, options.out)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
