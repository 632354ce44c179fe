"""Kill a real, tiny training at random moments, resume it each time, and compare its end with that of an unbroken one.

    python benchmarks/kill_training.py --kills 50 --out docs/reliability/kill_training.json

Moments are drawn over the whole of a run, from its first epoch to its last steps, in which the bundle is written; a run
that ends before it is killed does not count. On a CPU with a fixed number of threads the weights, the
history and the choices on the card must be those of the unbroken run to the bit: whatever an epoch draws, it draws
from (seed, epoch). Times differ, and so do version and date.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

EPOCHS = 8


@dataclass(frozen=True)
class Pace:
    """Seconds that an epoch and the writing of the bundle take."""

    epoch: float
    finishing: float

    @property
    def whole(self) -> float:
        """Seconds of a whole run."""
        return EPOCHS * self.epoch + self.finishing


def work(data: Path, folder: Path) -> None:
    """The training; goes on where there is a checkpoint."""
    from ml.train import new_version, train
    from ml.training.config import TrainingConfig

    config = TrainingConfig(
        architecture="lenet", weights="none", image_size=32, epochs=EPOCHS, head_epochs=1, batch_size=4,
        average_decay=0.9, test_time_views="one", device="cpu", threads=1, workers=0, patience=EPOCHS,
    )  # fmt: skip
    bundle = folder / "models" / "t" / new_version()
    train(config, data, folder / "run", bundle, resume=True, progress_bar=False)


def start(data: Path, folder: Path) -> ForkServerProcess:
    """The training as a process. It is forked from one that has loaded the libraries and done nothing else, so that
    all the time before a kill is time at work."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ml.train"])
    process = context.Process(target=work, args=(data, folder))
    process.start()
    return process


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished run has come to, without times and versions."""
    from ml.bundle import GATE, WEIGHTS, load_bundle
    from ml.files import sha256_file
    from ml.run_folder import read_history

    newest = max((folder / "models" / "t").glob("[0-9]*"))
    bundle = load_bundle(newest)
    card = {k: v for k, v in bundle.card.to_dict().items() if k not in ("version", "training")}
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in read_history(folder / "run")]
    return {
        "weights": sha256_file(newest / WEIGHTS),
        "gate": sha256_file(newest / GATE),
        "card": json.dumps(card, sort_keys=True),
        "history": history,
    }


def reached(folder: Path, began: float) -> int:
    """The whole epochs of the run in `folder`, up to EPOCHS; that many only once the process that began at `began`
    (seconds since 1970) is writing the bundle."""
    from ml.run_folder import read_history, read_progress

    progress = read_progress(folder / "run") or {}
    if progress.get("phase") == "finishing" and progress["since"] >= round(began, 1):
        return EPOCHS
    return min(len(read_history(folder / "run")), EPOCHS - 1)


def killed_once(data: Path, folder: Path, target: int, later: float) -> dict[str, Any]:
    """Start or resume the run in `folder`, kill it `later` seconds after `target` whole epochs (EPOCHS: while it writes
    the bundle), and tell where that left it.

    `phase` is what it was at, `epoch` the whole epochs of its checkpoint, `ended` whether it was over before the kill.
    """
    from ml.run_folder import has_checkpoint
    from ml.training.checkpoint import load_checkpoint

    began = time.time()
    process = start(data, folder)
    while process.is_alive() and reached(folder, began) < target:
        process.join(0.02)
    process.join(later)
    if process.is_alive():
        process.kill()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit("A resumed run failed; the lines above say how.")
    epoch = load_checkpoint(folder / "run")["progress"].epoch if has_checkpoint(folder / "run") else 0
    writing = epoch == EPOCHS or reached(folder, began) == EPOCHS
    phase = "the writing of the bundle" if writing else f"epoch {epoch + 1}"
    return {"phase": phase, "epoch": epoch, "ended": process.exitcode == 0}


def runs(data: Path, place: Path, kills: int, pace: Pace, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Kill until `kills` have hit, each run at one to four places; yields what each left, and each run's `outcome`."""
    hits, number = 0, 0
    while hits < kills:
        number += 1
        folder = place / f"killed-{number}"
        for target in sorted(draw.randint(0, EPOCHS) for _ in range(min(draw.randint(1, 4), kills - hits))):
            later = draw.uniform(0.0, pace.finishing if target == EPOCHS else pace.epoch)
            left = killed_once(data, folder, target, later)
            if left["ended"]:
                break
            hits += 1
            yield left
        else:
            finished = start(data, folder)
            finished.join()
            if finished.exitcode != 0:
                raise SystemExit("A resumed run failed; the lines above say how.")
        yield {"outcome": outcome(folder)}
        shutil.rmtree(folder)


def unbroken(data: Path, folder: Path) -> Pace:
    """Let a run end by itself; how long its parts took."""
    from ml.run_folder import read_progress

    began = time.time()
    process = start(data, folder)
    process.join()
    ended = time.time()
    if process.exitcode != 0:
        raise SystemExit("The unbroken run failed.")
    finishing = float((read_progress(folder / "run") or {})["since"])
    return Pace((finishing - began) / EPOCHS, ended - finishing)


def measure(kills: int, seed: int, per_class: int = 12) -> dict[str, Any]:
    """Kill `kills` times; how often that hit which phase, how many runs there were and how many ended differently."""
    from ml.data.drawn import write_drawn_dataset
    from ml.data.prepare import prepare

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        prepare(write_drawn_dataset(place / "source", per_class=per_class), "ham10000", place / "data")
        for attempt in ("first", "unbroken"):  # the first one waits for libraries and decodes the pictures
            pace = unbroken(place / "data", place / attempt)
        expected = outcome(place / "unbroken")
        phases: dict[str, int] = {}
        finished = different = resumable = 0
        for step in runs(place / "data", place, kills, pace, random.Random(seed)):  # noqa: S311  # no secret
            if "outcome" in step:
                finished += 1
                different += step["outcome"] != expected
            else:
                phases[step["phase"]] = phases.get(step["phase"], 0) + 1
                resumable += step["epoch"] > 0
    return {
        "kills": kills, "seed": seed, "hits": dict(sorted(phases.items())), "epochs": EPOCHS, "runs": finished,
        "different": different, "with_whole_epochs": resumable, "unbroken_seconds": round(pace.whole, 1),
        "passed": different == 0,
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write where asked; 1 where a run ended differently."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    options = parser.parse_args(arguments)

    from benchmarks.reporting import report

    found = measure(options.kills, options.seed)
    report(found, options.out)
    return 1 if found["different"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
