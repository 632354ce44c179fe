"""A model with one part made anew: what is not asked for stays, byte for byte."""

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from ml.bundle import GATE, GRAPH, WEIGHTS, Bundle, load_bundle
from ml.errors import TrainingError
from ml.predict import Classifier
from ml.training.config import OperatingPoints
from ml.training.ensemble import make_ensemble
from ml.training.rewriting import compile_model, refit_thresholds, refit_views
from ml.transforms.serving import VIEWS
from tests.ml.tiny import TINY, run, train_rash
from webapp.cli.view_sets import VIEW_SETS

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


def test_other_views_change_what_is_fitted_on_answers_and_nothing_else(
    tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    found = refit_views(tiny_bundle, drawn_data, tmp_path / "m" / "1", "mixed", OperatingPoints(), progress=False)
    assert all((found.path / name).read_bytes() == (tiny_bundle.path / name).read_bytes() for name in (WEIGHTS, GATE))
    assert found.card.test_time_views == "mixed"
    assert found.card.calibration != tiny_bundle.card.calibration
    same = ("calibration", "thresholds", "prior_power", "test_time_views", "training", "validation", "version", "name")
    assert replace(found.card, **{name: getattr(tiny_bundle.card, name) for name in same}) == tiny_bundle.card
    # Back again, the choices are those of training, which may have multiplied in a lower precision.
    own = tiny_bundle.card
    back = refit_views(
        found, drawn_data, tmp_path / "m" / "2", own.test_time_views, OperatingPoints(**own.asked), progress=False
    )
    assert back.card.calibration["temperature"] == pytest.approx(own.calibration["temperature"], rel=0.05)
    assert back.card.thresholds == pytest.approx(own.thresholds, abs=0.03)
    assert set(back.card.validation) == set(own.validation)


def test_an_ensemble_looks_anew_with_each_of_its_networks(drawn_data: Path, tmp_path: Path) -> None:
    other = replace(TINY, image_size=48, seed=1, test_time_views="four")
    members = [run(TINY, drawn_data, tmp_path / "a"), run(other, drawn_data, tmp_path / "b")]
    both = make_ensemble(members, drawn_data, tmp_path / "both" / "1", OperatingPoints(), progress=False)
    found = refit_views(both, drawn_data, tmp_path / "both" / "2", "mixed", OperatingPoints(), progress=False)
    assert [network.card.test_time_views for network in found.networks()] == ["mixed", "mixed"]
    assert (found.path / WEIGHTS).read_bytes() == (both.path / WEIGHTS).read_bytes()
    alone = refit_views(
        both.member(0), drawn_data, tmp_path / "alone" / "1", "mixed", OperatingPoints(), progress=False
    ).card
    own = found.member(0).card
    assert own.calibration == alone.calibration
    assert own.thresholds == alone.thresholds
    assert len(Classifier(found)._members[1].views) == 4
    # Of the same views comes what the ensemble was made with.
    again = refit_views(found, drawn_data, tmp_path / "both" / "3", "four", OperatingPoints(), progress=False)
    fours = [
        refit_views(member, drawn_data, tmp_path / f"four-{index}" / "1", "four", OperatingPoints(), progress=False)
        for index, member in enumerate(members)
    ]
    four = make_ensemble(fours, drawn_data, tmp_path / "four" / "1", OperatingPoints(), progress=False)
    assert again.card.calibration["temperature"] == pytest.approx(four.card.calibration["temperature"], rel=0.05)


def test_views_by_command(app: Flask, tiny_bundle: Bundle, drawn_data: Path) -> None:
    asked = ["models", "views", str(tiny_bundle.path), "mixed", "--data", str(drawn_data)]
    result = app.test_cli_runner().invoke(args=asked)
    assert result.exit_code == 0, result.output
    assert "macro_auroc: " in result.output
    assert load_bundle(Path(result.output.split()[-1])).card.test_time_views == "mixed"
    assert app.test_cli_runner().invoke(args=[*asked[:3], "nine", *asked[4:]]).exit_code == 2
    assert tuple(VIEWS) == VIEW_SETS
