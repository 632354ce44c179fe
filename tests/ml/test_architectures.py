"""Every architecture of the registry, from training to a heatmap: one short run each on small drawn pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.architectures import ARCHITECTURES, architecture_names
from ml.bundle import load_bundle
from ml.data.drawn import write_drawn_dataset
from ml.data.manifest import load_dataset, read_image
from ml.data.prepare import prepare
from ml.evaluate import evaluate
from ml.predict import HEATMAP_SIDE
from ml.screen import Screener
from ml.train import train
from tests.ml.tiny import TINY

SIDE = 64
NAMED = (
    "efficientnet-b4", "efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnet-b3",
    "efficientnet-lite2", "mobilenet-v2", "xception", "lenet",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn melanomas and naevi, a few of each."""
    folder = tmp_path_factory.mktemp("architectures")
    source = write_drawn_dataset(folder / "source", per_class=8, size=(90, 120))
    return prepare(source, "ham10000", folder / "prepared", label_set="melanoma-nevus").folder


def test_the_registry_is_what_the_documentation_names() -> None:
    assert tuple(architecture_names()) == NAMED


@pytest.mark.parametrize("name", NAMED)
def test_it_trains_evaluates_serves_and_explains(name: str, data: Path, tmp_path: Path) -> None:
    side = 32 if name == "lenet" else SIDE
    config = replace(TINY, label_set="melanoma-nevus", architecture=name, image_size=side, epochs=1, head_epochs=0)
    folder = tmp_path / "models" / name / "1"
    train(config, data, tmp_path / "run", folder, progress_bar=False)

    bundle = load_bundle(folder)
    assert bundle.card.architecture == name
    assert (bundle.card.mean, bundle.card.std) == (ARCHITECTURES[name].mean, ARCHITECTURES[name].std)

    figures = evaluate(bundle, data, "test", tmp_path / "evaluation", resamples=20, progress=False)
    assert figures["n_images"] == len(load_dataset(data).split("test"))
    assert figures["overlap_with_training"]["verdict"] == "none"
    assert 0 <= figures["balanced_accuracy"] <= 1

    screener = Screener(bundle)
    photo = read_image(load_dataset(data).split("train")[0], 400)
    lesion, (view,), _ = screener.screen([photo])
    assert lesion.model == {"name": name, "version": "1"}
    assert lesion.to_dict() | {"seconds": None} == view.to_dict() | {"seconds": None}
    found = screener.classifier.predict([photo], heatmaps=True)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    assert found.heatmaps is not None
    assert found.heatmaps.shape == (1, HEATMAP_SIDE, HEATMAP_SIDE)
    assert 0 <= found.heatmaps.min() <= found.heatmaps.max() <= 1
