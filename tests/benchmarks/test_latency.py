"""The benchmark of latency: it runs, and what it writes becomes a sentence."""

import json
import runpy
from pathlib import Path

import pytest

from benchmarks.latency import PARTS, main, percentile_95
from ml.bundle import Bundle

PROJECT = Path(__file__).resolve().parent.parent.parent


def test_measuring(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    out = tmp_path / "latency.json"
    arguments = ["--model", str(tiny_bundle.path), "--threads", "1", "--warm-up", "1", "--runs", "3", "--out", str(out)]
    assert main(arguments) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["model"] == f"{tiny_bundle.card.name}@{tiny_bundle.card.version}"
    assert set(found["seconds"]) == {"whole", *PARTS}
    assert 0 < found["seconds"]["whole"]["median"] <= found["seconds"]["whole"]["p95"]
    told = runpy.run_path(str(PROJECT / "docs" / "update_latency.py"))["sentences"](found)
    assert f"{found['seconds']['whole']['p95']:.2f} s" in told


def test_the_95th_percentile_is_the_nearest_rank() -> None:
    assert percentile_95([1.0]) == 1
    assert percentile_95([float(value) for value in range(100, 0, -1)]) == 95
    assert percentile_95([float(value) for value in range(1, 21)]) == 19
