"""What a process that decodes can reach: nothing beyond its channel, its memory and its time."""

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml import decoder_child, decoder_filter
from ml.decoding import DecoderPool
from tests.ml.test_decoding import LINUX, PROJECT, child_of
from tests.ml.test_images import PHOTOS


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    """A pool with one child, so that it is known which one reads a picture."""
    made = DecoderPool(children=1)
    yield made
    made.close()


@LINUX
def test_a_child_is_confined(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "of the application")
    pool.decode(PHOTOS["JPEG"])
    folder = Path(f"/proc/{child_of(pool)}")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (folder / "limits").read_text().splitlines()}
    assert limits["Max open files"] == ["0", "0"]
    assert limits["Max data size"] == [str(decoder_child.DATA_BYTES)] * 2
    assert limits["Max file size"] == [str(decoder_child.PIXEL_BYTES)] * 2
    assert limits["Max core file size"] == ["0", "0"]
    assert int(limits["Max cpu time"][0]) <= 2 + decoder_child.CPU_SECONDS
    status = (folder / "status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Threads:\t1" in status
    assert b"of the application" not in (folder / "environ").read_bytes()
    opened = sorted(os.readlink(link) for link in (folder / "fd").iterdir())
    assert opened[:5] == ["/dev/null"] * 3 + ["/memfd:picture (deleted)"] * 2
    assert [name.split(":")[0] for name in opened[5:]] == ["socket"]


TRIES = """
import ctypes, os, resource, signal, socket, sys, threading
from pathlib import Path
from ml import decoder_child

place, victim = Path(sys.argv[1]), int(sys.argv[2])
reached = os.open(place / "file", os.O_RDWR)
decoder_child._confine(os.getppid())
tries = {
    "unlink": lambda: os.unlink(place / "file"),
    "rename": lambda: os.rename(place / "file", place / "other"),
    "link": lambda: os.link(place / "file", place / "other"),
    "symlink": lambda: os.symlink("/etc/passwd", place / "other"),
    "mkdir": lambda: os.mkdir(place / "folder"),
    "rmdir": lambda: os.rmdir(place / "empty"),
    "truncate": lambda: os.truncate(place / "file", 0),
    "ftruncate": lambda: os.ftruncate(reached, 0),
    "chmod": lambda: os.chmod(place / "file", 0o777),
    "utime": lambda: os.utime(place / "file", (1, 1)),
    "open": lambda: os.open(place / "other", os.O_CREAT | os.O_WRONLY),
    "kill": lambda: os.kill(victim, signal.SIGKILL),
    "signal a thread": lambda: ctypes.CDLL(None, use_errno=True).tgkill(victim, victim, 9) and failed(),
    "queue": lambda: signal.pidfd_send_signal(reached, signal.SIGKILL),
    "limit": lambda: resource.prlimit(victim, resource.RLIMIT_CPU, (1, 1)),
    "fork": lambda: os.fork() or os._exit(0),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "socket": lambda: socket.socket(),
    "memory": lambda: os.memfd_create("more"),
}

def failed():
    raise OSError(ctypes.get_errno(), "refused")

for name, attempt in tries.items():
    try:
        attempt()
        print(name, "done")
    except PermissionError:
        pass
    except OSError as error:
        print(name, error)
thread = threading.Thread(target=lambda: print("thread"))
thread.start()
thread.join()
resource.setrlimit(resource.RLIMIT_CPU, (5, resource.getrlimit(resource.RLIMIT_CPU)[1]))
print("end", flush=True)
os.abort()
"""


@LINUX
@pytest.mark.skipif(platform.machine() not in decoder_filter.TABLES, reason="system calls of other processors")
def test_a_child_reaches_nothing_beyond_itself(pool: DecoderPool, tmp_path: Path) -> None:
    """No file by its name, no other process, no program; threads and its own limits it has."""
    (tmp_path / "file").write_text("kept")
    (tmp_path / "empty").mkdir()
    with subprocess.Popen(["/bin/sleep", "60"]) as victim:
        done = subprocess.run(
            [sys.executable, "-c", TRIES, str(tmp_path), str(victim.pid)], cwd=PROJECT, capture_output=True, text=True
        )
        assert victim.poll() is None
        victim.kill()
    assert done.stdout.split() == ["thread", "end"], (done.stdout, done.stderr)
    assert done.returncode == -signal.SIGABRT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]
    assert (tmp_path / "file").read_text() == "kept"
    pool.decode(PHOTOS["JPEG"])
    assert "Seccomp:\t2" in Path(f"/proc/{child_of(pool)}/status").read_text()


def test_the_children_know_neither_torch_nor_flask() -> None:
    program = "import sys, ml.decoder_child; print([m for m in ('torch', 'flask', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
