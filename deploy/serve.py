"""What `make run` starts: the web server and the trainer beside it, which end together.

Ctrl-C or SIGTERM ends both, each in its own good way: uploads that were accepted are answered first, and a training run
is interrupted, to be gone on with at the next start. Where the web server ends by itself the trainer is ended too, and
the exit status is not 0; where the trainer does, that is said and uploads go on.
"""

import ctypes
import signal
import subprocess
import sys
import time
from types import FrameType

SERVER = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
TRAINER = [sys.executable, "-m", "flask", "--app", "wsgi", "trainer"]
POLL_SECONDS = 0.2
GRACE_SECONDS = 45
"""More than gunicorn's graceful_timeout, and than what the trainer gives a run to end."""
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Start both and wait; the exit status is 0 where the end was asked for."""
    asked: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    server, trainer = start(SERVER), start(TRAINER)
    told = False
    while not asked and server.poll() is None:
        if trainer.poll() is not None and not told:
            told = True
            say(
                f"The trainer ended unexpectedly (status {trainer.returncode}); the lines above may say why. "
                "Uploads go on, runs wait. Start it again in another terminal: .venv/bin/flask trainer"
            )
        time.sleep(POLL_SECONDS)
    if asked:
        say("Stopping: uploads that were accepted are answered first, which takes up to half a minute.")
    else:
        say(f"The web server ended unexpectedly (status {server.returncode}); the trainer is ended too.")
    for process in (server, trainer):
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in (server, trainer):
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return 0 if asked else 1


def start(command: list[str]) -> "subprocess.Popen[bytes]":
    """Start one of the two. Its session is its own, since Ctrl-C in a terminal would reach it besides this program."""
    return subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_parent)  # noqa: S603  # our own commands


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent is gone, `kill -9` included (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def say(sentence: str) -> None:
    """Tell whoever watches the terminal."""
    print(f"\n{sentence}\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
