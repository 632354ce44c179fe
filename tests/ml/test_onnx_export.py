"""A bundle as an ONNX file: the same answers at any length of batch, and a reader that stands alone."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml import onnx_reference
from ml.bundle import Bundle, load_bundle, save_bundle
from ml.data.manifest import load_dataset, read_image
from ml.errors import BundleError
from ml.onnx_export import MODEL, OPSET, REFERENCE, example_inputs, export_onnx, open_session
from ml.predict import Classifier
from ml.runtime import TorchRuntime, full_precision, load_state
from ml.training.config import OperatingPoints
from ml.training.ensemble import make_ensemble
from ml.transforms.serving import normalise, square
from tests.ml.tiny import TINY, run


@pytest.fixture(autouse=True)
def as_served() -> Iterator[None]:
    """Training sets a lower precision for all of its process, which the bundle's own answers would have here too."""
    with full_precision():
        yield


@pytest.fixture(scope="module")
def ensemble(tiny_bundle: Bundle, drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Two networks of different sizes and views, packed into bytes."""
    folder = tmp_path_factory.mktemp("ensemble")
    other = run(replace(TINY, image_size=44, epochs=2, test_time_views="eight"), drawn_data, folder)
    return make_ensemble([tiny_bundle, other], drawn_data, folder / "models" / "both" / "1", OperatingPoints())


@pytest.fixture(scope="module", params=["single", "ensemble"])
def exported(
    request: pytest.FixtureRequest, tiny_bundle: Bundle, ensemble: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, Path]:
    """A bundle and the folder that it was exported to."""
    bundle = tiny_bundle if request.param == "single" else ensemble
    return bundle, export_onnx(bundle, tmp_path_factory.mktemp("onnx") / request.param).parent


@pytest.fixture(scope="module")
def pictures(drawn_data: Path) -> list[NDArray[np.uint8]]:
    return [read_image(record, 400) for record in load_dataset(drawn_data).split("test")[:3]]


def test_the_file_stands_alone(exported: tuple[Bundle, Path]) -> None:
    bundle, folder = exported
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "card.json", "example.py", "model.onnx"]
    model = onnx.load(folder / MODEL, load_external_data=False)
    onnx.checker.check_model(model)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert {entry.version for entry in model.opset_import if entry.domain == ""} == {OPSET}
    assert [entry.name for entry in model.graph.input] == list(example_inputs(bundle, 1))
    assert json.loads((folder / "card.json").read_text()) == bundle.card.to_dict() | json.loads(
        (bundle.path / "card.json").read_text()
    )


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_each_network_answers_as_the_bundle_does(exported: tuple[Bundle, Path], batch: int, drawn_data: Path) -> None:
    bundle, folder = exported
    session = open_session((folder / MODEL).read_bytes(), threads=1)
    records = load_dataset(drawn_data).split("test")[:batch]
    members, inputs, wanted = bundle.networks(), {}, []
    for number, member in enumerate(members):
        card = member.card
        pixels = np.stack([square(read_image(record, 400), card.image_size) for record in records])
        inputs[f"images_{number}"] = normalise(pixels, card.mean, card.std)
        wanted.append(TorchRuntime(member).run(inputs[f"images_{number}"]).logits)
    *logits, probabilities = session.run(None, inputs)
    for found, own in zip(logits, wanted, strict=True):
        np.testing.assert_allclose(found, own, atol=1e-4)
    assert probabilities.shape == (batch, len(bundle.card.classes))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_probabilities_of_one_view_are_calibrated(
    tiny_bundle: Bundle, pictures: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    one_view = save_bundle(
        tmp_path / "models" / "one" / "1",
        replace(tiny_bundle.card, test_time_views="one"),
        {name: value.numpy() for name, value in load_state(tiny_bundle).items()},
        tiny_bundle.gate_arrays(),
    )
    session = open_session(export_onnx(one_view, tmp_path / "out").read_bytes())
    card = one_view.card
    pixels = np.stack([square(picture, card.image_size) for picture in pictures])
    found = session.run(["probabilities"], {"images_0": normalise(pixels, card.mean, card.std)})[0]
    np.testing.assert_allclose(found, Classifier(one_view).predict(pictures).probabilities, atol=1e-4)


def test_the_reader_gives_the_answers_of_the_bundle(
    exported: tuple[Bundle, Path], pictures: list[NDArray[np.uint8]]
) -> None:
    bundle, folder = exported
    session = open_session((folder / MODEL).read_bytes())
    card = json.loads((folder / "card.json").read_text())
    wanted = Classifier(bundle).predict(pictures)
    for picture, named, probabilities in zip(pictures, wanted.predicted, wanted.probabilities, strict=True):
        code, found = onnx_reference.answer(session, card, Image.fromarray(picture))
        np.testing.assert_allclose(found, probabilities, atol=1e-3)
        assert code == bundle.card.classes[named]


def test_the_reader_runs_by_itself(exported: tuple[Bundle, Path], photo: Callable[..., bytes], tmp_path: Path) -> None:
    bundle, folder = exported
    (tmp_path / "photo.jpg").write_bytes(photo("mel"))
    done = subprocess.run(
        [sys.executable, "-I", folder / REFERENCE, "photo.jpg"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("photo.jpg: ")
    assert all(f"{code} 0." in done.stdout or f"{code} 1." in done.stdout for code in bundle.card.classes)


def test_the_page_tells_what_is_needed(exported: tuple[Bundle, Path]) -> None:
    bundle, folder = exported
    text = (folder / "README.md").read_text()
    card = bundle.card
    assert f"opset {OPSET}" in text
    assert "**The gate is not in it.**" in text
    assert "second stage (severity)" in text
    assert f"{card.calibration['temperature']:.4f}" in text
    assert card.thresholds is not None
    for threshold in card.thresholds.values():
        assert f"{threshold:.4f}" in text
    for index, code in enumerate(card.classes):
        assert f"| {index} | `{code}` |" in text
    for member in bundle.networks():
        assert f"{member.card.image_size} | {', '.join(map(str, member.card.mean))}" in text
    assert card.licence in text


def test_a_packed_bundle_is_written_in_full(ensemble: Bundle, tmp_path: Path) -> None:
    assert any(name.endswith(":scale") for name in _tensor_names(ensemble))
    model = onnx.load(export_onnx(ensemble, tmp_path))
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.FLOAT in kinds
    assert onnx.TensorProto.INT8 not in kinds


def _tensor_names(bundle: Bundle) -> list[str]:
    from safetensors import safe_open

    with safe_open(bundle.path / "weights.safetensors", framework="numpy") as file:
        return list(file.keys())


def test_the_reader_refuses_what_it_cannot_prepare(tiny_bundle: Bundle) -> None:
    card: dict[str, Any] = tiny_bundle.card.to_dict()
    card["preprocessing"] = {"steps": {"hair_removal": {}}}
    with pytest.raises(ValueError, match="does not know"):
        onnx_reference.answer(None, card, Image.new("RGB", (40, 30)))


def test_a_folder_that_cannot_be_written_is_one_sentence(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match="Cannot write to"):
        export_onnx(load_bundle(tiny_bundle.path), tmp_path / "file" / "out")
