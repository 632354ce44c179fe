"""What a model costs to keep and to ask: parameters, multiplications, bytes and milliseconds."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ml.architectures import build_model
from ml.bundle import CHECKSUMS, WEIGHTS, Bundle
from ml.networks import count_parameters
from ml.onnx_export import example_inputs, onnx_bytes, open_session
from ml.screen import Screener
from ml.transforms.serving import VIEWS

WARM_UP, RUNS = 3, 20
PHOTO = (450, 600)
"""Rows and columns of the photo that latency is measured with: the size of HAM10000's."""

LATENCY_PROTOCOL = (
    "One photo of 600 x 450 pixels, already decoded, at a time, after {warm_up} answers that do not count; median and "
    "95th percentile of {runs} answers with {threads} thread{s}. 'As served' is every view that the model averages "
    "over, and the gate; 'one view' is the network alone on a tensor; 'ONNX' is that in ONNX Runtime. Processor time "
    "is the median of what the process itself used: it tells more than the clock where a machine is busy with other "
    "things."
)
MACS_PROTOCOL = (
    "Multiply-accumulate operations of convolutions and matrix products, for one photo, counted by torch's "
    "FlopCounterMode (half of its floating-point operations); over all networks of a model."
)


def measure_costs(bundle: Bundle) -> dict[str, Any]:
    """`parameters`, `macs_per_view` (all networks, one view each), `macs_per_photo` (all views), `weights_bytes`,
    `bundle_bytes` (every file that SHA256SUMS lists)."""
    parameters = per_view = per_photo = 0
    for member in bundle.networks():
        card = member.card
        network = build_model(card.architecture, len(card.classes), card.image_size).eval()
        parameters += count_parameters(network)
        macs = count_macs(network, card.image_size)
        per_view += macs
        per_photo += macs * len(VIEWS[card.test_time_views])
    listed = [line.split(maxsplit=1)[1] for line in (bundle.path / CHECKSUMS).read_text().splitlines()]
    return {
        "parameters": parameters,
        "macs_per_view": per_view,
        "macs_per_photo": per_photo,
        "weights_bytes": (bundle.path / WEIGHTS).stat().st_size,
        "bundle_bytes": sum((bundle.path / name).stat().st_size for name in listed),
    }


def count_macs(network: torch.nn.Module, side: int) -> int:
    """Multiply-accumulate operations of one input [1, 3, side, side]."""
    with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side))
    return int(counter.get_total_flops()) // 2


def measure_latency(bundle: Bundle, threads: int, runs: int = RUNS) -> dict[str, Any]:
    """`served` and `one_view`: median, 95th percentile and median processor time in milliseconds (see `timed`)."""
    photo = np.random.default_rng(0).integers(0, 256, (*PHOTO, 3), dtype=np.uint8)
    with _threads(threads):
        screener = Screener(bundle)
        runtimes = screener.classifier.runtimes
        tensors = list(example_inputs(bundle, 1).values())
        return {
            "served": timed(lambda: screener.screen_batch([photo]), runs),
            "one_view": timed(lambda: [r.run(t) for r, t in zip(runtimes, tensors, strict=True)], runs),
        }


def measure_onnx(bundle: Bundle, threads: int, runs: int = RUNS) -> dict[str, Any]:
    """The size of the bundle as an ONNX file in `bytes`, and its latency on one view in ONNX Runtime (see `timed`)."""
    content = onnx_bytes(bundle)
    session, inputs = open_session(content, threads), example_inputs(bundle, 1)
    return {"bytes": len(content), **timed(lambda: session.run(None, inputs), runs)}


def timed(call: Callable[[], object], runs: int) -> dict[str, float]:
    """Milliseconds that a call takes: `median`, `p95`, and `processor`, the median of the process's own time."""
    for _ in range(WARM_UP):
        call()
    clock, processor = [], []
    for _ in range(runs):
        started, used = time.perf_counter(), time.process_time()
        call()
        clock.append(1000 * (time.perf_counter() - started))
        processor.append(1000 * (time.process_time() - used))
    return {
        "median": round(float(np.median(clock)), 2),
        "p95": round(float(np.percentile(clock, 95)), 2),
        "processor": round(float(np.median(processor)), 2),
    }


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe_machine() -> dict[str, Any]:
    """What latency was measured on: processor, number of cores, system and releases."""
    import onnxruntime

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
