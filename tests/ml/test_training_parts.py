"""The parts of training: losses, rates, averages, warm starts, architectures and settings."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ml.architectures import architecture_names, build_model
from ml.bundle import Bundle
from ml.data.manifest import load_dataset
from ml.errors import MLError, TrainingError
from ml.networks import batch_norms
from ml.preprocess import Preprocessing, chosen_steps
from ml.runtime import TorchRuntime
from ml.train import choose_device, choose_precision, new_version
from ml.training.config import OperatingPoints
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
from tests.ml.tiny import TINY


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


@pytest.mark.parametrize("name", [n for n in architecture_names() if n not in ("lenet",)])
def test_every_architecture_answers(name: str) -> None:
    network = build_model(name, 5, 64).eval()
    with torch.inference_mode():
        logits, features = network.forward_with_features(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 5)
    assert features.shape == (2, network.width)


def test_the_teacher_sees_what_its_own_normalisation_gives(tiny_bundle: Bundle) -> None:
    student = Normaliser((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), torch.device("cpu"))
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    answer = Teacher(tiny_bundle, tiny_bundle.card.classes, student, Preprocessing()).logits(student(pixels)).numpy()
    own = Normaliser(tiny_bundle.card.mean, tiny_bundle.card.std, torch.device("cpu"))(pixels)
    assert answer == pytest.approx(TorchRuntime(tiny_bundle).run(own.contiguous().numpy()).logits, abs=1e-4)


def test_a_teacher_of_pictures_prepared_in_another_way_is_refused(tiny_bundle: Bundle) -> None:
    student = Normaliser((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), torch.device("cpu"))
    with pytest.raises(TrainingError, match="prepared in another way"):
        Teacher(tiny_bundle, tiny_bundle.card.classes, student, chosen_steps(("hair_removal",)))


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
        {"cutmix": -1.0},
        {"focal_gamma": -1.0},
        {"loss": "x"},
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


def test_versions_sort_by_time_and_differ_within_a_second() -> None:
    versions = []
    for _ in range(5):
        versions.append(new_version())
        time.sleep(0.002)
    assert versions == sorted(set(versions))
