"""Compiled graphs: the same answers as torch, no weights of their own, and nothing accepted that does not fit."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import Flask

from ml.architectures import build_model
from ml.bundle import CHECKSUMS, GRAPH, Bundle, load_bundle, save_bundle, shipped_bundles
from ml.compiled import CompiledRuntime, compile_network, open_runtime
from ml.data.manifest import load_dataset, read_image
from ml.errors import BundleError
from ml.predict import Classifier
from ml.runtime import TorchRuntime, full_precision, load_arrays
from ml.training.config import OperatingPoints
from ml.training.ensemble import make_ensemble
from ml.training.rewriting import compile_model

PROJECT = Path(__file__).resolve().parents[2]
WITHOUT_TORCH = """
import sys
from pathlib import Path
import numpy as np
from ml.bundle import load_bundle
from ml.screen import Screener
screener = Screener(load_bundle(Path(sys.argv[1])))
photo = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
print(screener.screen([photo])[0].gate.verdict, "torch" in sys.modules)
"""


@pytest.fixture(autouse=True)
def as_served() -> Iterator[None]:
    """Training sets a lower precision for all of its process, which torch's answers would then have here too."""
    with full_precision():
        yield


@pytest.fixture(scope="module")
def compiled(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return compile_model(tiny_bundle, tmp_path_factory.mktemp("models") / "compiled" / "1")


def test_a_graph_holds_no_weights_and_both_ways_give_the_same_answers(
    tiny_bundle: Bundle, compiled: Bundle, drawn_data: Path
) -> None:
    assert (compiled.path / GRAPH).stat().st_size < 200_000
    assert isinstance(open_runtime(compiled), CompiledRuntime)
    assert isinstance(open_runtime(tiny_bundle), TorchRuntime)
    photos = [read_image(record, 400) for record in load_dataset(drawn_data).split("test")[:6]]
    one, other = (Classifier(bundle).predict(photos, heatmaps=True) for bundle in (tiny_bundle, compiled))
    np.testing.assert_array_equal(one.predicted, other.predicted)
    for name in ("logits", "probabilities", "features", "heatmaps"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-3, err_msg=name)


@pytest.mark.parametrize("path", shipped_bundles(), ids=lambda path: path.name)
def test_shipped_networks_are_compiled_and_answer_as_torch_does(path: Path) -> None:
    for network in load_bundle(path).networks():
        compiled = open_runtime(network)
        assert isinstance(compiled, CompiledRuntime)
        side = network.card.image_size
        pictures = np.random.default_rng(1).normal(size=(2, 3, side, side)).astype(np.float32)
        own, found = TorchRuntime(network).run(pictures, maps=True), compiled.run(pictures, maps=True)
        np.testing.assert_allclose(found.logits, own.logits, atol=1e-3)
        np.testing.assert_allclose(found.features, own.features, atol=1e-3)
        assert own.maps is not None
        assert found.maps is not None
        assert found.maps.shape == own.maps.shape


def test_answers_need_no_torch(compiled: Bundle) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(compiled.path)]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout.split()[-1] == "False"


def test_an_ensemble_takes_the_graphs_of_its_members_over(
    compiled: Bundle, tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    points = OperatingPoints()
    both = make_ensemble([compiled, compiled], drawn_data, tmp_path / "both" / "1", points, progress=False)
    assert {network.has_graph() for network in both.networks()} == {True}
    mixed = make_ensemble([compiled, tiny_bundle], drawn_data, tmp_path / "mixed" / "1", points, progress=False)
    assert [network.has_graph() for network in mixed.networks()] == [True, False]
    photos = [read_image(record, 400) for record in load_dataset(drawn_data).split("test")[:2]]
    one, other = (Classifier(bundle).predict(photos).probabilities for bundle in (both, mixed))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_damaged_or_missing_graph_is_refused(compiled: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "m" / "1"
    parts = {GRAPH: (compiled.path / GRAPH).read_bytes()}
    bundle = save_bundle(folder, compiled.card, load_arrays(compiled), compiled.gate_arrays(), graphs=parts)
    (folder / GRAPH).write_bytes(parts[GRAPH][:-1] + b"x")
    with pytest.raises(BundleError, match=f"{GRAPH} is not what it was"):
        load_bundle(bundle.path)
    (folder / GRAPH).unlink()
    with pytest.raises(BundleError, match=f"lacks {GRAPH}"):
        load_bundle(bundle.path)


def test_a_graph_of_another_network_is_refused(compiled: Bundle, tmp_path: Path) -> None:
    larger = replace(compiled.card, image_size=44)
    other = replace(compiled.card, architecture="mobilenet-v2")
    network = build_model(other.architecture, len(other.classes), other.image_size)
    graphs = {
        "another size": compile_network(larger, load_arrays(compiled)),
        "another network": compile_network(other, {name: v.numpy() for name, v in network.state_dict().items()}),
        "no graph": b"nonsense",
        "an empty one": b"",
    }
    for name, content in graphs.items():
        folder = tmp_path / name / "1"
        bundle = save_bundle(
            folder, compiled.card, load_arrays(compiled), compiled.gate_arrays(), graphs={GRAPH: content}
        )
        assert CHECKSUMS in [path.name for path in folder.iterdir()]
        with pytest.raises(BundleError, match="do not fit"):
            open_runtime(bundle)


def test_a_model_is_compiled_by_command(app: Flask, tiny_bundle: Bundle) -> None:
    result = app.test_cli_runner().invoke(args=["models", "compile", str(tiny_bundle.path)])
    assert result.exit_code == 0, result.output
    bundle = load_bundle(Path(result.output.split()[-1]))
    assert bundle.has_graph()
    assert bundle.card.version != tiny_bundle.card.version
    assert replace(bundle.card, version=tiny_bundle.card.version) == tiny_bundle.card
