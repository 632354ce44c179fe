"""One run under way: its child process, what that has written, and how it ended."""

import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.run_folder import (
    LAST,
    PREVIOUS,
    STOP,
    forget,
    has_checkpoint,
    log_tail,
    read_history,
    read_progress,
    read_result,
)
from webapp.config import Config
from webapp.models.training_run import Kind, RunState, TrainingRun
from webapp.reviews.copies import TAKEN
from webapp.training.allocator import tuned
from webapp.training.commands import arguments_of, run_folder
from webapp.training.processes import end_command, start_command

log = logging.getLogger("lesion_lens.trainer")

OUTPUT = "output.log"
FREE_BYTES = 1 << 30
"""Room that must be left on the disk before a run begins."""
MOST_ATTEMPTS = 3
"""How often a run may be ended by the system without having finished another epoch before it counts as failed."""

NOT_BEGUN = "Stopped before the first epoch was finished, so there is no model of it."


class CannotBegin(Exception):
    """A run that must not be started; carries the sentence."""


@dataclass(frozen=True)
class Ending:
    """How a run ended: its new state and the columns that go with it."""

    state: RunState
    values: dict[str, Any]


class Work:
    """A run whose child process was started. Raises CannotBegin where it must not be."""

    def __init__(self, run: TrainingRun, config: Config) -> None:
        self.id, self.kind, self.name = run.id, Kind(run.kind), run.name
        self.renewed = time.monotonic()
        self._attempts, self._epoch = run.attempts, run.epoch
        self._folder = run_folder(config, run.id)
        self._check(run)
        forget(self._folder, (TAKEN,))
        if run.state == RunState.STOPPING and not self._can_go_on():
            raise CannotBegin(NOT_BEGUN)
        if run.state != RunState.STOPPING:
            forget(self._folder, (STOP,))
        self._written = self._output.stat().st_size if self._output.exists() else 0
        with self._output.open("ab") as output:
            self._process = start_command(arguments_of(run, config), config, _environment(run, config), output)

    @property
    def _output(self) -> Path:
        return self._folder / OUTPUT

    def _check(self, run: TrainingRun) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise CannotBegin(f"The folder for runs cannot be used: {error.strerror}.") from error
        if free < FREE_BYTES:
            raise CannotBegin("Less than 1 GB is free on the disk. Make room and start the run again.")
        if run.data is not None and not Path(run.data).is_dir():
            raise CannotBegin("The data folder of this run is gone. Prepare the data again, or choose another folder.")

    def _can_go_on(self) -> bool:
        return self.kind == Kind.TRAIN and has_checkpoint(self._folder)

    def news(self) -> dict[str, Any]:
        """What is new of the run, as columns of its row."""
        history = read_history(self._folder)
        found: dict[str, Any] = {
            "progress": read_progress(self._folder), "log_tail": log_tail(self._folder) or self._tail()
        }  # fmt: skip
        if history:
            found |= {"epoch": int(history[-1]["epoch"]), "metrics": history[-1]}
            if found["epoch"] > self._epoch:
                found["attempts"] = 1
            self._epoch, self._attempts = found["epoch"], found.get("attempts", self._attempts)
        return found

    def stop(self) -> None:
        """Have the run end as soon as it can: with a model, where an epoch is finished."""
        if self._can_go_on():
            (self._folder / STOP).touch()
        elif self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process now. The run goes on from its checkpoint, whenever and wherever that is."""
        end_command(self._process)

    def over(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def ending(self, state: str) -> Ending | None:
        """How the run ended, `state` being that of its row; None while it goes on."""
        code = self._process.poll()
        if code is None:
            return None
        self.kill()
        result = read_result(self._folder) or {}
        made = {**self.news(), "progress": None, "bundle": result.get("bundle")}
        if state == RunState.STOPPING:
            sentence = None if result or self.kind == Kind.PROMOTION else NOT_BEGUN
            return Ending(RunState.STOPPED, {**made, "error": sentence})
        if code == 0:
            forget(self._folder, (LAST, PREVIOUS))  # as large as several models, and nothing goes on from them
            return Ending(RunState.DONE, made)
        if code < 0 and self._attempts < MOST_ATTEMPTS:
            log.warning("run %d: ended by signal %d; it is taken up again.", self.id, -code)
            return Ending(RunState.INTERRUPTED, made)
        if (self._folder / TAKEN).exists() and self._attempts < MOST_ATTEMPTS:
            log.info("run %d: reviewed cases were taken away before it had read them; it is taken up again.", self.id)
            return Ending(RunState.INTERRUPTED, made)
        return Ending(RunState.FAILED, {**made, "error": self._sentence(code)})

    def _sentence(self, code: int) -> str:
        if code < 0:
            return (
                f"The system ended this run {self._attempts} times without another epoch being finished, most likely "
                "because memory ran out. Train on smaller images or a smaller network."
            )
        _before, stated, sentence = self._tail(200).rpartition("Error: ")
        if not stated or "Traceback" in self._tail(200):
            return f"The run failed, and not for a reason that was foreseen; runs/{self.id}/{OUTPUT} has the details."
        return " ".join(sentence.split())

    def _tail(self, lines: int = 30) -> str:
        """The last lines that this start of the run has printed."""
        try:
            with self._output.open("rb") as file:
                file.seek(max(self._written, file.seek(0, os.SEEK_END) - 16_000))
                return "\n".join(file.read().decode("utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def _environment(run: TrainingRun, config: Config) -> dict[str, str]:
    """The trainer's own environment, with the threads of numerical libraries bounded, and for training the allocator
    set up: the command would start itself a second time for that."""
    threads = str(run.options.get("threads") or 1)
    bounded = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    own = (tuned() if run.kind == Kind.TRAIN else None) or os.environ
    return {**own, **bounded, "INSTANCE": str(config.instance.resolve())}
