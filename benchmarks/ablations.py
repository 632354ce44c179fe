"""Measure what single choices of the training recipe are worth, each against one cheap baseline.

    python benchmarks/ablations.py --data dataset --out ablations --jobs 2
    python benchmarks/ablations.py --data dataset --out ablations --rows baseline,mixup --seeds 0,1

Every run is one process on one core. What is finished stays in the folder and is not done again; a run that was killed
goes on. The outcome is `ablations.json` in that folder: copied to docs/, `make docs` makes a table of it. Only the
validation split is measured.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.ablation_figures import summarise, with_earlier  # noqa: E402
from benchmarks.ablation_rows import BASELINE, BY_NAME, ROWS, Protocol, Row  # noqa: E402
from benchmarks.ablation_run import run_folder, run_one  # noqa: E402
from ml.errors import MLError  # noqa: E402
from ml.files import write_json  # noqa: E402

RESULT = "ablations.json"
# As `flask train` sets up the allocator: large tensors stay on the heap instead of being asked of the kernel each time.
TUNABLES = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456"
)

log = logging.getLogger("lesion_lens.train")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    usual = Protocol()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder made by `flask data prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and result")
    parser.add_argument("--rows", default=",".join(BY_NAME), help="names, separated by commas [default: all]")
    parser.add_argument("--seeds", default="0,1", help="numbers, separated by commas [default: 0,1]")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each")
    parser.add_argument("--arch", default=usual.architecture)
    parser.add_argument("--weights", default=usual.weights, help="imagenet, none or a file")
    parser.add_argument("--image-size", type=int, default=usual.image_size)
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    parser.add_argument("--batch-size", type=int, default=usual.batch_size)
    parser.add_argument("--largest-class", type=int, default=usual.largest_class, help="its training images at most")
    parser.add_argument("--teacher", help="bundle for the row 'distillation', which is left out without it")
    parser.add_argument("--figures", action="store_true", help="train nothing; write the result of what is finished")
    parser.add_argument("--earlier", type=Path, help="an ablations.json whose other rows are kept, if comparable")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.rows.split(",") if name not in BY_NAME]
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; the rows are {', '.join(BY_NAME)}")
    if not all(seed.isdigit() for seed in options.seeds.split(",")):
        parser.error("seeds are whole numbers, separated by commas")
    return options


def wanted(options: argparse.Namespace) -> list[tuple[Row, int]]:
    """The runs to make, in order. The baseline comes with every row, since each is compared with it."""
    names = {BASELINE, *options.rows.split(",")}
    rows = [row for row in ROWS if row.name in names and row.trained and (options.teacher or not row.needs_teacher)]
    return [(row, seed) for row in rows for seed in seeds(options)]


def seeds(options: argparse.Namespace) -> list[int]:
    """The seeds asked for."""
    return [int(seed) for seed in options.seeds.split(",")]


def start(row: Row, seed: int, arguments: list[str], out: Path) -> bool:
    """One run in a process of its own, its output in a file. Whether it ended well."""
    folder = run_folder(out, row.name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLIBC_TUNABLES": TUNABLES}
    command = [sys.executable, str(Path(__file__).resolve()), *arguments, "--one", f"{row.name}:{seed}"]
    began = time.monotonic()
    with (folder / "run.log").open("ab") as stream:
        # The command is this very file with the options that it was called with.
        ended = subprocess.run(command, env=environment, stdout=stream, stderr=stream, check=False)  # noqa: S603
    outcome = "done" if ended.returncode == 0 else f"failed, see {folder / 'run.log'}"
    print(
        f"{time.strftime('%H:%M:%S')}  {row.name}, seed {seed}: {outcome} ({time.monotonic() - began:.0f} s)",
        flush=True,
    )
    return ended.returncode == 0


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0 where every run ended well."""
    options = parse(arguments)
    protocol = Protocol(
        options.arch, options.weights, options.image_size, options.epochs, options.batch_size, options.largest_class,
        options.teacher,
    )  # fmt: skip
    try:
        if options.one:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
            name, _, seed = options.one.partition(":")
            run_one(BY_NAME[name], int(seed), protocol, options.data, options.out)
            return 0
        good = True
        if not options.figures:
            options.out.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(options.jobs) as pool:
                runs = [pool.submit(start, row, seed, arguments, options.out) for row, seed in wanted(options)]
            good = all([run.result() for run in runs])
        found = summarise(protocol, options.data, options.out, seeds(options))
        if options.earlier:
            found = with_earlier(found, json.loads(options.earlier.read_text(encoding="utf-8")))
        write_json(options.out / RESULT, found)
    except MLError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The result is in {options.out / RESULT}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
