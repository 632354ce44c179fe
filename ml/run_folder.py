"""The files of a run's folder, and how a run is watched and stopped from outside while it goes on. Needs no torch."""

import csv
import json
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ml.files import write_json

LAST = "last.pt"
PREVIOUS = "previous.pt"
"""The checkpoint before the last one, which a run goes on from where the last one is damaged."""
HISTORY = "history.csv"
PROGRESS = "progress.json"
RESULT = "result.json"
LOG = "train.log"
STOP = "stop"
"""Whoever makes this file asks the run to end now, with a bundle of the best epoch so far; the run removes it then."""

TELL_SECONDS = 2.0


class Watch:
    """What a run tells of itself in its folder, and whether it was asked to stop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told = float("-inf")
        self._phase, self._since = "", 0.0

    def tell(self, phase: str, epoch: int, step: int = 0, steps: int = 0) -> None:
        """Write that the run is in `phase` (preparing, training or finishing), in epoch `epoch` (from 1) after `step`
        of `steps`, and since when it is in that phase. At most every TELL_SECONDS; a disk that is full is no reason to
        end here."""
        now = time.monotonic()
        if phase == self._phase and now - self._told < TELL_SECONDS:
            return
        if phase != self._phase:
            self._phase, self._since = phase, time.time()
        self._told = now
        found = {"phase": phase, "epoch": epoch, "step": step, "steps": steps, "since": round(self._since, 1)}
        with suppress(OSError):
            write_json(self._folder / PROGRESS, found)

    def stop_asked(self) -> bool:
        """Whether someone asked the run to end."""
        return (self._folder / STOP).exists()


def has_checkpoint(folder: Path) -> bool:
    """Whether a run in this folder can go on."""
    return (folder / LAST).exists() or (folder / PREVIOUS).exists()


def forget(folder: Path, names: Iterable[str]) -> None:
    """Remove files of the folder, those that are there."""
    for name in names:
        (folder / name).unlink(missing_ok=True)


def read_history(folder: Path) -> list[dict[str, float]]:
    """One row an epoch that is finished, oldest first; empty before the first."""
    try:
        with (folder / HISTORY).open(encoding="utf-8", newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError):
        return []


def read_progress(folder: Path) -> dict[str, Any] | None:
    """What `Watch.tell` wrote last; None where it has not."""
    return _read_json(folder / PROGRESS)


def read_result(folder: Path) -> dict[str, Any] | None:
    """`bundle`, NAME@VERSION, of the run that ended in this folder; None before."""
    return _read_json(folder / RESULT)


def log_tail(folder: Path, lines: int = 30, most_bytes: int = 8000) -> str:
    """The last lines of the run's log; empty before there is one."""
    try:
        with (folder / LOG).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - most_bytes))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    found = text.splitlines()
    return "\n".join((found[1:] if size > most_bytes else found)[-lines:])


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return values
    except (OSError, ValueError):
        return None
