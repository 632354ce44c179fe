"""A model with one part made anew: what is not asked for stays, byte for byte."""

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from ml.bundle import GATE, GRAPH, WEIGHTS, Bundle, load_bundle
from ml.errors import TrainingError
from ml.training.config import OperatingPoints
from ml.training.rewriting import compile_model, refit_thresholds
from tests.ml.tiny import train_rash

KEPT = (WEIGHTS, GATE, GRAPH)


def test_only_the_thresholds_change(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    compiled = compile_model(tiny_bundle, tmp_path / "m" / "1")
    points = OperatingPoints(sensitivity=0.3, missed=0.4)
    found = refit_thresholds(compiled, drawn_data, tmp_path / "m" / "2", points, progress=False)
    assert all((found.path / name).read_bytes() == (compiled.path / name).read_bytes() for name in KEPT)
    assert found.card.thresholds is not None
    assert compiled.card.thresholds is not None
    assert found.card.thresholds["malignant"] > compiled.card.thresholds["malignant"]
    assert found.card.asked == {"sensitivity": 0.3, "missed": 0.4}
    told = found.card.validation
    assert told["malignant_specificity"] >= compiled.card.validation["malignant_specificity"]
    assert set(told) == set(compiled.card.validation)
    same = ("thresholds", "training", "validation", "version")
    assert replace(found.card, **{name: getattr(compiled.card, name) for name in same}) == compiled.card


def test_the_same_request_gives_the_thresholds_of_training(
    tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    points = OperatingPoints(**tiny_bundle.card.asked)
    found = refit_thresholds(tiny_bundle, drawn_data, tmp_path / "m" / "1", points, progress=False)
    # Training may have multiplied in a lower precision than serving does.
    assert found.card.thresholds == pytest.approx(tiny_bundle.card.thresholds, abs=0.03)


def test_what_it_cannot_be_done_for(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    rash = train_rash(tmp_path / "rash")
    with pytest.raises(TrainingError, match="has no malignant classes"):
        refit_thresholds(rash, tmp_path / "rash" / "data", tmp_path / "m" / "1", OperatingPoints())
    other = replace(tiny_bundle, card=replace(tiny_bundle.card, data={"split_digests": {}}))
    with pytest.raises(TrainingError, match="trained on other data"):
        refit_thresholds(other, drawn_data, tmp_path / "m" / "1", OperatingPoints())


def test_by_command(app: Flask, tiny_bundle: Bundle, drawn_data: Path) -> None:
    asked = ["models", "thresholds", str(tiny_bundle.path), "--data", str(drawn_data), "--missed", "0.3"]
    result = app.test_cli_runner().invoke(args=asked)
    assert result.exit_code == 0, result.output
    assert "malignant from 0." in result.output
    assert load_bundle(Path(result.output.split()[-1])).card.asked["missed"] == 0.3
    assert app.test_cli_runner().invoke(args=[*asked[:-1], "-1"]).exit_code == 2
