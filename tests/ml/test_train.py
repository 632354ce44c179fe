"""Training: resumed runs, kept weights, losses, warm starts and what stops a run."""

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
from safetensors.torch import load_file, save_file

from ml.architectures import architecture_names, build_model
from ml.bundle import WEIGHTS, Bundle, load_bundle
from ml.data.manifest import load_dataset
from ml.errors import MLError, TrainingError
from ml.networks import batch_norms
from ml.predict import Classifier
from ml.runtime import TorchRuntime
from ml.train import choose_device, choose_precision, train
from ml.training.config import OperatingPoints, TrainingConfig
from ml.training.normaliser import Normaliser
from ml.training.optimisation import (
    Schedule,
    WeightAverage,
    class_weights,
    make_optimiser,
    reestimate_batch_norm,
    training_loss,
)
from ml.training.teacher import Teacher
from ml.training.warm_start import warm_start
from ml.transforms.serving import normalise
from ml.transforms.training import Augmentation

FOLDER = Path(__file__).parents[2]
# Settings of a run that takes a second or two.
TINY = TrainingConfig(
    architecture="lenet", weights="none", image_size=32, epochs=5, head_epochs=1, batch_size=8, average_decay=0.9,
    test_time_views="one", device="cpu", threads=1, workers=0, patience=5,
)  # fmt: skip


def run(config: TrainingConfig, data: Path, folder: Path, version: str = "1", **options: Any) -> Bundle:
    return train(config, data, folder / "run", folder / "models" / "t" / version, progress_bar=False, **options)


SCRIPT = """
import sys
from pathlib import Path
from typing import Any
from ml.train import train
from tests.ml.test_train import TINY
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


def test_class_weights_balance_by_class_index() -> None:
    labels = np.repeat([0, 1, 2], [80, 15, 5])
    inverse = class_weights(labels, 3, "inverse")
    assert (inverse[1] / inverse[0]).item() == pytest.approx(80 / 15)
    assert (inverse[labels].mean()).item() == pytest.approx(1.0)
    root = class_weights(labels, 3, "sqrt")
    assert (root[2] / root[0]).item() == pytest.approx(4.0)
    assert class_weights(labels, 3, "none").tolist() == pytest.approx([1, 1, 1])


def test_the_loss_weighs_the_teacher_in() -> None:
    config = replace(TINY, label_smoothing=0.0, distillation=1.0, distillation_temperature=1.0)
    logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([1])
    loss = training_loss(config, torch.ones(2))
    assert loss(logits, labels, logits).item() == pytest.approx(0.0, abs=1e-6)
    assert loss(logits, labels, None).item() == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item())


def test_rates_rise_from_the_first_layer_to_the_head() -> None:
    network = build_model("lenet", 7, 32)
    rates = [group["initial_lr"] for group in make_optimiser(network, TINY).param_groups]
    assert rates[0] == pytest.approx(TINY.early_rate)
    assert rates == sorted(rates)
    assert rates[-1] == TINY.head_rate


def test_the_plateau_rule_is_that_of_torch() -> None:
    figures = [0.5, 0.6, 0.55, 0.58, 0.6, 0.59, 0.7, 0.6, 0.6, 0.6, 0.6]
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, "max", factor=0.3, patience=2, threshold=0.0)
    ours = Schedule(replace(TINY, warmup_epochs=0.0), 10)
    for figure in figures:
        theirs.step(figure)
        ours.epoch_ended(figure)
        assert ours.at(100) == pytest.approx(optimiser.param_groups[0]["lr"])


def test_the_cosine_warms_up_and_ends_low() -> None:
    schedule = Schedule(replace(TINY, schedule="cosine", epochs=10, warmup_epochs=1.0), 20)
    factors = [schedule.at(step) for step in range(200)]
    assert factors[0] < 0.1
    assert factors.index(max(factors)) in (19, 20)
    assert factors[-1] == pytest.approx(0.005, abs=0.002)


def test_the_average_follows_weights_and_statistics() -> None:
    network = build_model("lenet", 7, 32)
    average = WeightAverage(network, 0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    for _ in range(40):
        average.update(network)
    for name, value in average.network.state_dict().items():
        assert torch.allclose(value.float(), network.state_dict()[name].float(), atol=1e-3), name


def test_batch_norm_statistics_are_measured_anew() -> None:
    network = build_model("lenet", 7, 32)
    norm = batch_norms(network)[0]
    assert norm.running_mean is not None
    norm.running_mean.fill_(50.0)
    batches = [torch.randn(8, 3, 32, 32) for _ in range(3)]
    reestimate_batch_norm(network, batches)
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    expected = first(torch.cat(batches)).mean((0, 2, 3))
    assert torch.allclose(norm.running_mean, expected, atol=1e-4)
    assert norm.momentum == 0.1


def test_serving_and_training_normalise_alike(tiny_bundle: Bundle, drawn_data: Path) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    ours = Normaliser(tiny_bundle.card.mean, tiny_bundle.card.std, torch.device("cpu"))
    theirs = ours(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy())).numpy()
    assert theirs == pytest.approx(normalise(batch, tiny_bundle.card.mean, tiny_bundle.card.std), abs=1e-5)
    assert len(load_dataset(drawn_data).split("val")) > 0


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_torch_and_safetensors_files(tmp_path: Path, suffix: str) -> None:
    donor, network = build_model("mobilenet-v2", 7, 64), build_model("mobilenet-v2", 7, 64)
    state = {f"features.{k}": v.clone() for k, v in donor.backbone.features.state_dict().items()}  # type: ignore[union-attr]
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    else:
        save_file(state, path)
    warm_start(network, "mobilenet-v2", str(path))
    for name, value in donor.backbone.state_dict().items():
        assert torch.equal(value, network.backbone.state_dict()[name])


def test_weights_that_cannot_be_used_are_one_sentence(tmp_path: Path, tiny_bundle: Bundle) -> None:
    network = build_model("lenet", 7, 32)
    (tmp_path / "junk.pth").write_bytes(b"junk")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    for weights, complaint in (
        (str(tmp_path / "missing"), "No weights at"),
        (str(tmp_path / "junk.pth"), "not a readable"),
        (str(tmp_path / "other.safetensors"), "do not fit the architecture"),
        ("imagenet", "no ImageNet weights for lenet"),
    ):
        with pytest.raises(TrainingError, match=complaint):
            warm_start(network, "lenet", weights)
    with pytest.raises(TrainingError, match="is a lenet; it cannot start"):
        warm_start(network, "mobilenet-v2", str(tiny_bundle.path))


def test_a_bundle_starts_the_next_instalment(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    network = build_model("lenet", 7, 32)
    assert "20 of 20 tensors" in warm_start(network, "lenet", str(tiny_bundle.path))
    second = run(replace(TINY, weights=str(tiny_bundle.path), epochs=1), drawn_data, tmp_path)
    third = run(replace(TINY, weights=str(second.path), epochs=1), drawn_data, tmp_path, "2")
    assert [entry["name"] for entry in third.card.lineage] == ["tiny", "t"]
    assert third.card.lineage[0]["data"] == tiny_bundle.card.data
    assert third.card.training["config"]["weights"] == "t@1"
    assert str(tmp_path) not in (third.path / "card.json").read_text(), "a card names no folder of the machine"


@pytest.mark.parametrize("name", [n for n in architecture_names() if n not in ("lenet",)])
def test_every_architecture_answers(name: str) -> None:
    network = build_model(name, 5, 64).eval()
    with torch.inference_mode():
        logits, features = network.forward_with_features(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 5)
    assert features.shape == (2, network.width)


def test_mixup_and_a_teacher_take_part(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    plain = run(TINY, drawn_data, tmp_path / "plain")
    changes: dict[str, dict[str, Any]] = {"mixup": {"mixup": 0.4}, "teacher": {"teacher": str(tiny_bundle.path)}}
    for name, change in changes.items():
        other = run(replace(TINY, **change), drawn_data, tmp_path / name)
        first, second = (load_file(bundle.path / WEIGHTS) for bundle in (plain, other))
        assert not torch.equal(first["head.3.weight"], second["head.3.weight"]), name


def test_the_teacher_sees_what_its_own_normalisation_gives(tiny_bundle: Bundle) -> None:
    student = Normaliser((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), torch.device("cpu"))
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    answer = Teacher(tiny_bundle, tiny_bundle.card.classes, student).logits(student(pixels)).numpy()
    own = Normaliser(tiny_bundle.card.mean, tiny_bundle.card.std, torch.device("cpu"))(pixels)
    assert answer == pytest.approx(TorchRuntime(tiny_bundle).run(own.contiguous().numpy())[0], abs=1e-4)


def test_a_run_goes_on_from_what_it_started_from(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    config = replace(TINY, weights=str(tiny_bundle.path))
    run(config, drawn_data, tmp_path, stop_after=0.0)
    renewed = replace(config, weights=str(tmp_path / "models" / "t" / "1"))
    ended = run(renewed, drawn_data, tmp_path, "2", resume=True)
    assert [entry["name"] for entry in ended.card.lineage] == ["tiny"]


def test_the_head_is_linear_relu_dropout_linear() -> None:
    head = build_model("efficientnet-b4", 7, 64).head
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert [tuple(p.shape) for p in head.parameters()] == [(512, 1792), (512,), (7, 512), (7,)]
    assert "p=0.5" in repr(head[2])


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "b9"},
        {"schedule": "x"},
        {"class_weights": "x"},
        {"precision": "x"},
        {"test_time_views": "x"},
        {"epochs": 0},
        {"patience": 0},
        {"early_rate": 0.0},
        {"mixup": -1.0},
        {"dropout": 1.0},
        {"operating_points": OperatingPoints(missed=1.0)},
        {"augmentation": Augmentation(hue=0.9)},
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MLError):
        replace(TINY, **change).check()


def test_device_and_precision_can_be_chosen() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(TrainingError, match="no device 'toaster'"):
        choose_device("toaster")
    assert choose_precision("float32", torch.device("cpu")) is None
    assert choose_precision("bf16", torch.device("cpu")) is torch.bfloat16


def test_bf16_trains(drawn_data: Path, tmp_path: Path) -> None:
    bundle = run(replace(TINY, epochs=1, precision="bf16"), drawn_data, tmp_path)
    shutil.rmtree(tmp_path / "run")
    assert np.isfinite(Classifier(bundle).predict([np.zeros((40, 40, 3), np.uint8)]).logits).all()
