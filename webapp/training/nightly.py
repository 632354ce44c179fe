"""The sweep of every night, where no timer of the system does it: the trainer, which is always there, starts it.

Whoever sweeps writes the file SWEPT in the folder of the instance, `flask screenings sweep` by a timer or by hand too,
so that it is done once a night: where a timer sweeps every day, the trainer leaves it to that. It runs in a process of
its own: it may load a model to answer what is pending.
"""

import logging
import os
import subprocess
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from webapp import clock
from webapp.config import Config
from webapp.training.processes import end_command, start_command

log = logging.getLogger("lesion_lens.trainer")

SWEPT = "swept"
OUTPUT = "sweep.log"
HOUR = 2
"""Of the night, UTC."""
REST_SECONDS = 60.0
"""Nothing is swept so soon after a start, when people wait for pages."""
RETRY_SECONDS = 3600.0
MISSED = timedelta(hours=26)
"""After so long nobody else's daily sweep is to be expected any more, however late a timer or a start may be."""
OWN = "nightly"
"""What the file says after the trainer's own sweep."""


def note_sweep(instance: Path, *, own: bool) -> None:
    """Remember that what is due in a night was done just now, and whether by the trainer's `own` sweep."""
    with suppress(OSError):
        (instance / SWEPT).write_text(OWN if own else "", encoding="utf-8")


def is_due(instance: Path, now: datetime) -> bool:
    """Whether nobody has swept since the last night began, or somebody else not for `MISSED`."""
    night = now.replace(hour=HOUR, minute=0, second=0, microsecond=0)
    if night > now:
        night -= timedelta(days=1)
    try:
        swept = (instance / SWEPT).stat().st_mtime
        own = (instance / SWEPT).read_text(encoding="utf-8") == OWN
    except (OSError, ValueError):
        return True
    return swept < (night if own else now - MISSED).timestamp()


class Nightly:
    """Starts the sweep when it is due, and tells how it ended. Not for threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._output = config.runs / OUTPUT
        self._not_before = time.monotonic() + REST_SECONDS

    def step(self) -> None:
        """Look whether a sweep is due, or how far the one under way is; returns at once."""
        if self._process is not None:
            if self._process.poll() is not None:
                self._tell(self._process.returncode)
                self.end()
        elif time.monotonic() >= self._not_before and is_due(self._config.instance, clock.now()):
            self._begin()

    def _begin(self) -> None:
        self._not_before = time.monotonic() + RETRY_SECONDS  # should it fail
        environment = {**os.environ, "INSTANCE": str(self._config.instance.resolve())}
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        try:
            self._config.runs.mkdir(parents=True, exist_ok=True)
            with self._output.open("wb") as output:
                self._process = start_command(["screenings", "sweep", "--nightly"], self._config, environment, output)
        except OSError as error:
            log.warning("nightly sweep: it cannot be started: %s", error.strerror)

    def _tell(self, status: int) -> None:
        lines = []
        with suppress(OSError):
            lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        say = log.info if status == 0 else log.warning
        say("nightly sweep: %s", " ".join(lines[-2:]) or f"ended with status {status}")

    def end(self) -> None:
        """End a sweep that is under way. What it has not done is done in the next one."""
        if self._process is None:
            return
        end_command(self._process)
        self._process = None
