"""What `make run` starts: the web server and the trainer beside it, which end together.

Ctrl-C or SIGTERM ends both, each in its own good way. Where the web server ends by itself the trainer is ended too;
where the trainer does, that is said and uploads go on.
"""

import signal
import subprocess
import sys
import time
from types import FrameType

COMMANDS = {
    "The web server": [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"],
    "The trainer": [sys.executable, "-m", "flask", "--app", "wsgi", "trainer"],
}
POLL_SECONDS = 0.5
GRACE_SECONDS = 45


def main() -> int:
    """Start both and wait; the exit status is the web server's."""
    asked: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    # A group of its own for each: Ctrl-C in a terminal would reach them all at once, and this program besides.
    server, trainer = (
        subprocess.Popen(command, start_new_session=True)  # noqa: S603  # our own commands
        for command in COMMANDS.values()
    )
    told = False
    while not asked and server.poll() is None:
        if trainer.poll() is not None and not told:
            told = True
            _say(
                f"The trainer ended unexpectedly (status {trainer.returncode}); the lines above may say why. "
                "Uploads go on, runs wait. Start it again in another terminal: .venv/bin/flask trainer"
            )
        time.sleep(POLL_SECONDS)
    if not asked:
        _say(f"The web server ended unexpectedly (status {server.returncode}); the trainer is ended too.")
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
    return 0 if asked else server.returncode or 1


def _say(sentence: str) -> None:
    print(f"\n{sentence}\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
