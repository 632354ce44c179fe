"""Networks side by side: the same answers in the same order, on threads that keep to one core each."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ml import threads
from ml.bundle import Bundle
from ml.data.manifest import load_dataset, read_image
from ml.predict import Classifier
from ml.threads import side_by_side

PROJECT = Path(__file__).resolve().parents[2]
LOOK = """
import torch
torch.set_num_threads(3)
from ml.threads import side_by_side
inside = side_by_side([torch.get_num_threads] * 3)
few = side_by_side([torch.get_num_threads] * 2)
import threading
later = []
thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
thread.start(); thread.join()
print(inside, few, torch.get_num_threads(), later)
"""

BLAS = """
import os
os.environ["OMP_NUM_THREADS"] = "2"
import numpy
from threadpoolctl import threadpool_info
from ml.threads import side_by_side
side_by_side([lambda: None] * 2, compiled=True)
print({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
"""


def doubled(number: int) -> int:
    time.sleep(0.02 * (3 - number % 4))
    return 2 * number


@pytest.fixture(params=[0, 2])
def pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """No threads, or two."""
    count: int = request.param
    found = (ThreadPoolExecutor(count), count) if count else None
    monkeypatch.setattr(threads, "_pool", lambda: found)
    return count


def test_results_keep_their_order_and_errors_come_out(pool: int) -> None:
    tasks: list[Callable[[], int]] = [partial(doubled, number) for number in range(6)]
    assert side_by_side(tasks) == [0, 2, 4, 6, 8, 10]
    assert side_by_side(tasks[:1]) == [0]
    with pytest.raises(ZeroDivisionError):
        side_by_side([*tasks, lambda: 1 // 0])


def test_answers_are_the_same_however_the_passes_are_shared_out(
    tiny_bundle: Bundle, drawn_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [read_image(record, 640) for record in load_dataset(drawn_data).split("val")[:3]]
    answers = []
    for found in (None, (ThreadPoolExecutor(2), 2), (ThreadPoolExecutor(2), 99)):
        monkeypatch.setattr(threads, "_pool", lambda found=found: found)
        answers.append(Classifier(tiny_bundle).predict(photos, heatmaps=True))
    for name in ("logits", "probabilities", "predicted", "features", "heatmaps"):
        one, *others = (getattr(answer, name) for answer in answers)
        assert all(np.allclose(one, other, atol=1e-5) for other in others), name


def test_each_thread_has_one_of_torchs_and_all_others_keep_theirs() -> None:
    ended = subprocess.run(  # a process of its own: what is set here would stay
        [sys.executable, "-c", LOOK], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.strip() == "[1, 1, 1] [3, 3] 3 [3]"


def test_beside_compiled_passes_products_keep_to_the_thread_that_asks_for_them() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BLAS], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.strip() == "{1}"
