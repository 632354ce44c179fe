"""Flask commands that the trainer has run beside it: how they begin and how they end."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from webapp.config import PROJECT_FOLDER, Config

GRACE_SECONDS = 10.0
"""How long a process that is told to end may take before it is killed."""


def start_command(
    arguments: Sequence[str], config: Config, environment: Mapping[str, str], output: IO[bytes]
) -> subprocess.Popen[bytes]:
    """What follows `flask`, at low priority and with all that it prints in `output`; it ends when its trainer does.

    Raises OSError where the system starts no process.
    """
    child = [sys.executable, "-m", "webapp.training.child", str(config.training_niceness), "--app", "wsgi"]
    return subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
        [*child, *arguments],
        cwd=PROJECT_FOLDER,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C in a terminal is for the trainer alone
    )


def end_command(process: subprocess.Popen[bytes]) -> None:
    """End it now, by force where it does not end by itself."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin:
        process.stdin.close()
