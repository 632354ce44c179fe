"""Training runs: resumed ones, kept weights, instalments, and what stops a run."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml.architectures import build_model
from ml.bundle import WEIGHTS, Bundle, load_bundle
from ml.errors import TrainingError
from ml.predict import Classifier
from ml.training import loop
from ml.training.config import TrainingConfig
from ml.training.optimisation import (
    Schedule,
)
from ml.training.warm_start import warm_start
from tests.ml.tiny import TINY, run

FOLDER = Path(__file__).parents[2]


SCRIPT = """
import sys
from pathlib import Path
from typing import Any
from ml.train import train
from tests.ml.tiny import TINY
data, folder = Path(sys.argv[1]), Path(sys.argv[2])
train(TINY, data, folder / "run", folder / "models" / "t" / sys.argv[3], resume=True, progress_bar=False)
"""


def test_a_killed_run_resumes_to_the_very_same_weights(drawn_data: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(FOLDER), "OMP_NUM_THREADS": "1"}

    def start(folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SCRIPT, str(drawn_data), str(folder), "1"]
        return subprocess.Popen(command, env=environment, cwd=FOLDER, stderr=subprocess.PIPE)

    assert start(whole).wait(120) == 0
    process = start(killed)
    deadline = time.monotonic() + 120
    while not (killed / "run" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert not (killed / "models").exists(), "the run was over before it was killed"
    assert start(killed).wait(120) == 0
    expected, found = (load_file(folder / "models" / "t" / "1" / WEIGHTS) for folder in (whole, killed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    histories = [
        [{**row, "seconds": ""} for row in csv.DictReader((folder / "run" / "history.csv").open())]
        for folder in (whole, killed)
    ]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 5


def test_stopping_early_leaves_a_usable_bundle_to_go_on_from(drawn_data: Path, tmp_path: Path) -> None:
    first = run(TINY, drawn_data, tmp_path, stop_after=0.0)
    assert first.card.training["progress"]["epoch"] == 1
    with pytest.raises(TrainingError, match=r"unfinished run in .* \(1 of 5 epochs\). Add --resume"):
        run(TINY, drawn_data, tmp_path, "1b")
    second = run(TINY, drawn_data, tmp_path, "2", resume=True)
    assert second.card.training["progress"]["epoch"] == 5
    with pytest.raises(TrainingError, match="other settings \\(seed\\)"):
        run(replace(TINY, seed=1), drawn_data, tmp_path, "3", resume=True)


def test_curves_are_drawn_at_the_end_and_not_for_each_quick_epoch(
    drawn_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(loop, "draw_curves", lambda folder, rows: drawn.append(len(rows)))
    run(TINY, drawn_data, tmp_path)
    assert drawn == [5]
    monkeypatch.setattr(loop, "CURVES_SECONDS", 0)
    run(replace(TINY, epochs=2), drawn_data, tmp_path, "2")
    assert drawn == [5, 1, 2, 2]


def test_a_bundle_can_be_served_at_another_size_than_it_was_trained_at(drawn_data: Path, tmp_path: Path) -> None:
    first = run(replace(TINY, epochs=1), drawn_data, tmp_path)
    second = run(replace(TINY, epochs=1, serving_size=40), drawn_data, tmp_path, "2", resume=True)
    assert (first.card.image_size, second.card.image_size) == (32, 40)
    assert second.card.training["config"]["image_size"] == 32
    assert np.isfinite(Classifier(second).predict([np.zeros((60, 60, 3), np.uint8)]).logits).all()


def test_a_damaged_checkpoint_is_one_sentence(drawn_data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_bytes(b"half a file")
    with pytest.raises(TrainingError, match="cannot be read"):
        run(TINY, drawn_data, tmp_path, resume=True)


def test_the_best_weights_are_the_ones_kept(drawn_data: Path, tmp_path: Path) -> None:
    """With a learning rate that wrecks the network after a good start, the bundle must still answer as the best did."""
    config = replace(TINY, epochs=6, patience=6, average_decay=0.0, class_weights="none")
    good = run(config, drawn_data, tmp_path / "good")
    slow: dict[str, Any] = {"warmup_epochs": 0.0, "head_rate": 1e-7, "backbone_rate": 1e-7, "early_rate": 1e-7}
    wrecking = replace(config, weights=str(good.path), epochs=3, head_epochs=0, batch_norm_momentum=1e-6, **slow)
    reference = run(replace(wrecking, epochs=1), drawn_data, tmp_path / "reference")
    wrecked = train_and_wreck(wrecking, drawn_data, tmp_path / "wrecked")
    rows = list(csv.DictReader((tmp_path / "wrecked" / "run" / "history.csv").open()))
    figures = [float(row["validation_balanced_accuracy"]) for row in rows]
    assert figures[0] > figures[-1] + 0.1, "the wrecking did not work"
    assert wrecked.card.training["progress"]["best_epoch"] == 1
    images = [np.random.default_rng(n).integers(0, 256, (40, 40, 3), dtype=np.uint8) for n in range(4)]
    expected, found = (Classifier(b).predict(images).logits for b in (reference, wrecked))
    assert found == pytest.approx(expected, abs=1e-2)


def train_and_wreck(config: TrainingConfig, data: Path, folder: Path) -> Bundle:
    """One quiet epoch, then the same run with every rate a million times higher."""
    factor = Schedule.at
    try:
        Schedule.at = lambda self, step: 1.0 if step < self.steps_per_epoch else 1e6  # type: ignore[method-assign]
        return run(config, data, folder)
    finally:
        Schedule.at = factor  # type: ignore[method-assign]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(drawn_data: Path, tmp_path: Path) -> None:
    config = replace(TINY, warmup_epochs=0.0)
    factor = Schedule.at
    try:
        Schedule.at = lambda self, step: 1.0 if step < self.steps_per_epoch else float("inf")  # type: ignore[method-assign]
        with pytest.raises(TrainingError, match="no longer a finite number in epoch 2"):
            run(config, drawn_data, tmp_path)
    finally:
        Schedule.at = factor  # type: ignore[method-assign]
    kept = load_bundle(tmp_path / "models" / "t" / "1")
    assert kept.card.training["progress"]["epoch"] == 1
    Classifier(kept)


def test_a_data_set_of_other_classes_is_refused(drawn_data: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("".join(f"[[class]]\ncode='{c}'\nname='{c}'\nstatus='benign'\ndescription='d'\n" for c in "ab"))
    with pytest.raises(TrainingError, match="Prepare it again with --label-set own"):
        run(replace(TINY, label_set=str(own)), drawn_data, tmp_path)


def test_a_bundle_starts_the_next_instalment(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    network = build_model("lenet", 7, 32)
    assert "20 of 20 tensors" in warm_start(network, "lenet", str(tiny_bundle.path))
    second = run(replace(TINY, weights=str(tiny_bundle.path), epochs=1), drawn_data, tmp_path)
    third = run(replace(TINY, weights=str(second.path), epochs=1), drawn_data, tmp_path, "2")
    assert [entry["name"] for entry in third.card.lineage] == ["tiny", "t"]
    assert third.card.lineage[0]["data"] == tiny_bundle.card.data
    assert third.card.training["config"]["weights"] == "t@1"
    assert str(tmp_path) not in (third.path / "card.json").read_text(), "a card names no folder of the machine"


def test_mixup_and_a_teacher_take_part(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    plain = run(TINY, drawn_data, tmp_path / "plain")
    changes: dict[str, dict[str, Any]] = {"mixup": {"mixup": 0.4}, "teacher": {"teacher": str(tiny_bundle.path)}}
    for name, change in changes.items():
        other = run(replace(TINY, **change), drawn_data, tmp_path / name)
        first, second = (load_file(bundle.path / WEIGHTS) for bundle in (plain, other))
        assert not torch.equal(first["head.3.weight"], second["head.3.weight"]), name
        taught = [entry["name"] for entry in other.card.lineage]
        assert taught == (["tiny"] if name == "teacher" else []), "what a teacher learnt from has a part in the weights"


def test_a_run_goes_on_from_what_it_started_from(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    config = replace(TINY, weights=str(tiny_bundle.path))
    run(config, drawn_data, tmp_path, stop_after=0.0)
    renewed = replace(config, weights=str(tmp_path / "models" / "t" / "1"))
    ended = run(renewed, drawn_data, tmp_path, "2", resume=True)
    assert [entry["name"] for entry in ended.card.lineage] == ["tiny"]


def test_bf16_trains(drawn_data: Path, tmp_path: Path) -> None:
    bundle = run(replace(TINY, epochs=1, precision="bf16"), drawn_data, tmp_path)
    shutil.rmtree(tmp_path / "run")
    assert np.isfinite(Classifier(bundle).predict([np.zeros((40, 40, 3), np.uint8)]).logits).all()
