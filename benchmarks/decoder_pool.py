"""Measure what decoding in a process of its own costs beside decoding in this one.

    python benchmarks/decoder_pool.py --out docs/reliability/decoder_pool.json

Two drawn photos, as an upload is read: 4032 x 3024 as phones take them, 600 x 450 as HAM10000 keeps dermatoscopic ones.
Both ways take turns, so that what else the machine does meets them alike; medians of wall time, in milliseconds.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from benchmarks.reporting import report  # noqa: E402
from ml import decoding, images  # noqa: E402
from ml.data.drawn import draw_lesion  # noqa: E402

PHOTOS = {"phone": (4032, 3024), "dermatoscopic": (600, 450)}
MAX_SIDE = 2400
MILLISECONDS = 5.0


def measure(size: tuple[int, int], runs: int) -> dict[str, float]:
    """Medians in milliseconds for a photo of this width and height."""
    drawn = Image.fromarray(draw_lesion("nv", np.random.default_rng(2), (450, 600))).resize(size)
    data = images.encode_jpeg(np.asarray(drawn))
    ways: dict[str, Callable[..., Any]] = {"in_process": images.decode, "pool": decoding.decode}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs + 2):
        for name, decode in ways.items():
            started = time.perf_counter()
            decode(data, max_side=MAX_SIDE)
            times[name].append(1000 * (time.perf_counter() - started))
    medians = {name: round(statistics.median(found[2:]), 2) for name, found in times.items()}
    differences = [pool - own for own, pool in zip(times["in_process"][2:], times["pool"][2:], strict=True)]
    return {**medians, "difference": round(statistics.median(differences), 2)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; the exit status is 1 where a photo costs more than 5 ms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {name: measure(size, options.runs) for name, size in PHOTOS.items()}
    found["runs"] = options.runs
    found["load"] = round(os.getloadavg()[0], 1)
    found["passed"] = all(found[name]["difference"] <= MILLISECONDS for name in PHOTOS)
    report(found, options.out)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
