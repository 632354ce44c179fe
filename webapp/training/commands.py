"""Which command does the work of a run: one for each kind, run in a child process by `flask trainer`."""

import os
from pathlib import Path
from typing import Any

from webapp.config import Config
from webapp.models.training_run import Kind, TrainingRun


def run_folder(config: Config, run_id: int) -> Path:
    """Where a run keeps checkpoints, history and logs."""
    return config.runs / str(run_id)


def default_threads() -> int:
    """Half of the cores, so that answers to people stay quick."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // 2)


def arguments_of(run: TrainingRun, config: Config) -> list[str]:
    """What follows `flask` on the command line.

    `options` of a promotion are {"arguments": [...]}: what follows `flask models`. Those of a training run are
    `architecture`, `weights`, `image_size`, `epochs`, `threads` and `include_reviewed`.
    """
    options: dict[str, Any] = run.options
    if run.kind == Kind.PROMOTION:
        return ["models", *options["arguments"]]
    threads = int(options.get("threads") or default_threads())
    given = {
        "--data": run.data,
        "--label-set": run.label_set,
        "--out": run.name,
        "--arch": options["architecture"],
        "--weights": options["weights"],
        "--image-size": options["image_size"],
        "--epochs": options["epochs"],
        "--threads": threads,
        "--workers": threads // 2,
        "--run": run_folder(config, run.id),
    }
    if config.gate_folder is not None:
        given["--gate-negatives"] = config.gate_folder
    flags = ["--include-reviewed"] if options.get("include_reviewed") else []
    return ["train", *(str(part) for pair in given.items() for part in pair), *flags, "--resume"]
