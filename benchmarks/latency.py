"""Measure how long one photo takes through a model, from the bytes of the file to the answer and its heatmap.

    python benchmarks/latency.py --threads 2 --out docs/latency.json

The photo is drawn by the project, so that anybody can measure the same. Times are wall time; what else the machine was
doing is told by its load, which is recorded. `make docs` writes the sentence in docs/model.md.
"""

import argparse
import io
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

PARTS = ("decode", "gate", "network")
SIDES = (450, 600)
"""Height and width of the drawn photo: those of HAM10000's pictures."""


def percentile_95(values: Sequence[float]) -> float:
    """The value that 95 % of `values` (at least one) do not exceed: the nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-95 * len(ordered) // 100) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, in seconds."""
    return {"median": round(statistics.median(values), 4), "p95": round(percentile_95(values), 4)}


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def drawn_photo() -> bytes:
    """A drawn lesion, one that the shipped model answers, as a JPEG file."""
    import numpy as np
    from PIL import Image

    from ml.data.drawn import draw_lesion

    file = io.BytesIO()
    Image.fromarray(draw_lesion("nv", np.random.default_rng(2), SIDES)).save(file, "JPEG", quality=95)
    return file.getvalue()


def measure(model: str, *, threads: int, warm_up: int, runs: int) -> dict[str, Any]:
    """Times of `runs` screenings of the drawn photo after `warm_up` others. Raises BundleError for no such model.

    `threads` must be in OMP_NUM_THREADS before numerical libraries are loaded.
    """
    from ml.bundle import DEFAULT_MODEL, find_bundle, load_bundle
    from ml.images import decode
    from ml.screen import Screener

    content = drawn_photo()
    started = time.perf_counter()
    bundle = load_bundle(find_bundle(model or str(DEFAULT_MODEL), PROJECT / "instance" / "models"))
    screener = Screener(bundle)
    screener.screen([decode(content)])
    first = time.perf_counter() - started
    times: dict[str, list[float]] = {"whole": [], **{part: [] for part in PARTS}}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    for number in range(warm_up + runs):
        started = time.perf_counter()
        pixels = decode(content)
        decoded = time.perf_counter() - started
        screening = screener.screen([pixels])[0]
        whole = time.perf_counter() - started
        if number >= warm_up:
            for name, value in {**screening.seconds, "decode": decoded, "whole": whole}.items():
                times[name].append(value)
    return {
        "model": f"{bundle.card.name}@{bundle.card.version}",
        "threads": threads,
        "runs": runs,
        "photo": {"height": SIDES[0], "width": SIDES[1], "bytes": len(content)},
        "answered": screening.predicted is not None,
        "first_seconds": round(first, 2),
        "seconds": {name: summary(values) for name, values in times.items()},
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": None if load is None else round(load, 2),
        "engine": "ONNX Runtime" if all(runtime.compiled for runtime in screener.classifier.runtimes) else "PyTorch",
    }


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="NAME, NAME@VERSION or a path; the shipped one when left out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    options = parser.parse_args(arguments)
    # Read when the libraries are loaded, so before they are.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    from ml.files import write_json

    found = measure(options.model, threads=options.threads, warm_up=options.warm_up, runs=max(1, options.runs))
    for name, value in found["seconds"].items():
        print(f"{name:8} median {value['median']:.3f} s, 95th percentile {value['p95']:.3f} s")
    if options.out:
        write_json(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
