"""A real server to measure: gunicorn on loopback with a tiny model, and clients that upload to it.

Shared by the benchmarks of `docs/reliability.md`. All traffic goes to 127.0.0.1.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).resolve().parent.parent
FORM_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
UNLIMITED = "1000000 per minute"
TRANSPORT_ERRORS = (httpx.TransportError, httpx.RemoteProtocolError)


def tiny_model(folder: Path) -> Path:
    """Train a small network on drawn lesions, which takes seconds; returns the folder of its bundle."""
    from ml.data.drawn import write_drawn_dataset
    from ml.data.prepare import prepare
    from ml.train import train
    from ml.training.config import TrainingConfig

    bundle = folder / "models" / "tiny" / "1"
    if bundle.is_dir():
        return bundle
    prepare(write_drawn_dataset(folder / "source", per_class=12), "ham10000", folder / "data")
    config = TrainingConfig(
        architecture="lenet", weights="none", image_size=32, epochs=6, head_epochs=0, batch_size=8, average_decay=0.9,
        test_time_views="four", device="cpu", threads=1, workers=0,
    )  # fmt: skip
    return train(config, folder / "data", folder / "run", bundle, progress_bar=False).path


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def started_by(pid: int) -> list[int]:
    """The processes that any thread of a process has started; none where it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(one) for one in path.read_text(encoding="ascii").split()]
    return found


def children(pid: int) -> list[int]:
    """The processes that the first thread of a process has started; none where it is gone."""
    with suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


@dataclass
class Server:
    """gunicorn as `make run` starts it, with settings of its own. `model` is empty for the shipped ones.

    With `preload` its workers are forked from a master that has imported everything, so that they start at once.
    """

    instance: Path
    model: str = ""
    workers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    preload: bool = False
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.instance / "lesion-lens.sqlite"

    def environment(self) -> dict[str, str]:
        """The environment of its processes and of `flask` commands beside it."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "OMP_NUM_THREADS", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "INSTANCE": str(self.instance),
            "MODEL": self.model,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(self.workers),
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(("UPLOAD_RATE", "VIEW_RATE", "API_RATE", "LOGIN_RATE"), UNLIMITED),
            **self.settings,
        }

    def flask(self, *arguments: str) -> str:
        """Run a `flask` command on its data; what it says. Raises CalledProcessError where it fails."""
        command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
        done = subprocess.run(  # noqa: S603
            command, cwd=PROJECT, env=self.environment(), check=True, capture_output=True, text=True
        )
        return done.stdout

    def start(self) -> None:
        """Start it; returns at once. Its log goes to a file beside its data."""
        self.instance.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"]
        command += ["--preload", "benchmarks.preloaded:app"] if self.preload else ["wsgi:app"]
        with (self.instance / "server.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                command, cwd=PROJECT, env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )

    def wait(self, seconds: float = 120, path: str = "/readyz") -> None:
        """Until it answers 200 at `path`. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(*TRANSPORT_ERRORS):
                if httpx.get(self.address + path, timeout=60).status_code == 200:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"no answer at {path}: see {self.instance / 'server.log'}")

    def worker_pids(self) -> list[int]:
        """Its worker processes."""
        return children(self.process.pid) if self.process else []

    def memory(self) -> int:
        """Resident memory in bytes of all its processes: decoders too, which threads that answer have started."""
        pids = [self.process.pid] if self.process else []
        for pid in pids:
            pids.extend(started_by(pid))
        total = 0
        for pid in pids:
            with suppress(OSError, IndexError):
                total += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return total * os.sysconf("SC_PAGE_SIZE")

    def kill_master(self, mercy: float = 0.0) -> None:
        """kill -9 the master and, `mercy` seconds later, the workers that it leaves behind."""
        if self.process is None:
            return
        orphans = self.worker_pids()
        self.process.kill()
        self.process.wait()
        time.sleep(mercy)
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, as systemd sends; returns the exit status."""
        if self.process is None:
            return 0
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


def drawn_photo(seed: int = 2, code: str = "nv", side: int = 300) -> bytes:
    """A drawn lesion as a JPEG file."""
    import io

    import numpy as np
    from PIL import Image

    from ml.data.drawn import draw_lesion

    file = io.BytesIO()
    Image.fromarray(draw_lesion(code, np.random.default_rng(seed), (side, side * 4 // 3))).save(file, "JPEG")
    return file.getvalue()


def post_api(client: httpx.Client, photo: bytes, key: str) -> httpx.Response:
    """Upload through the API, under an Idempotency-Key."""
    files: Any = {"photos": ("photo.jpg", photo, "image/jpeg")}
    headers = {"Idempotency-Key": key}
    return client.post("/api/v1/screenings", data={"consent": "true"}, files=files, headers=headers)


def post_web(client: httpx.Client, photo: bytes) -> httpx.Response:
    """Upload as a browser does: the page with its form first. A page that is no form is the answer."""
    page = client.get("/")
    found = FORM_TOKEN.search(page.text)
    if page.status_code != 200 or found is None:
        return page
    files: Any = {"photos": ("photo.jpg", photo, "image/jpeg")}
    return client.post("/", data={"csrf_token": found.group(1), "consent": "y"}, files=files)
