"""`flask train --fold` and `flask evaluate --fold`: one model for each fold, mean and deviation over them."""

import json
import re
from pathlib import Path

import pytest
from flask import Flask

from ml.bundle import load_bundle
from ml.data.drawn import write_drawn_dataset
from ml.data.prepare import prepare
from ml.labels import use_own_label_sets
from webapp import create_app
from webapp.config import Config

TINY = "--arch lenet --weights none --epochs 1 --head-epochs 0 --batch-size 8 --workers 0 --threads 1"


@pytest.fixture(autouse=True)
def no_second_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command starts itself anew with its allocator tuned, unless that is set; here it must not."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.top_pad=131072")


def application(instance: Path) -> Flask:
    """The application, without the tables and the model that other tests need."""
    return create_app(Config(instance=instance, secret_key="for tests only", testing=True))


def test_all_folds_are_trained_and_evaluated(tmp_path: Path) -> None:
    source = write_drawn_dataset(tmp_path / "source", per_class=7, size=(48, 64))
    data = prepare(source, "ham10000", tmp_path / "data", folds=2, fractions={"train": 0.5, "val": 0.5}).folder
    app = application(tmp_path / "instance")
    runner, models = app.test_cli_runner(), app.config["LENS"].models
    common = ["train", "--data", str(data), "--out", "mine", "--run", str(tmp_path / "run"), *TINY.split()]
    assert "has 2 folds; say which one" in runner.invoke(args=common).output
    trained = runner.invoke(args=[*common, "--fold", "all"])
    assert trained.exit_code == 0, trained.output
    for number in (1, 2):
        (folder,) = (models / f"mine-fold-{number}").iterdir()
        assert load_bundle(folder).card.data["fold"] == number
        assert f"mine-fold-{number}@{folder.name}" in trained.output
    out = tmp_path / "out"
    ask = ["evaluate", "--data", str(data), "--out", str(out), "--resamples", "20", "--model"]
    found = runner.invoke(args=[*ask, "mine", "--fold", "all"])
    assert found.exit_code == 0, found.output
    assert "2 folds, 49 test images; mean, deviation, and each fold:" in found.output
    assert "balanced accuracy" in found.output
    content = json.loads((out / "folds.json").read_text())
    assert f"{content['figures']['accuracy']['mean']:.3f}" in found.output
    crossed = runner.invoke(args=[*ask, "mine-fold-1", "--fold", "2"])
    assert re.search(r"learnt from, or was tuned on, \d+ of these 21 images", crossed.output)
    missing = runner.invoke(args=[*ask, "other", "--fold", "all"])
    assert "There is no model 'other-fold-1'" in missing.output


@pytest.mark.parametrize("fold", ["0", "first", "-1"])
def test_folds_are_numbers_or_all(tmp_path: Path, fold: str) -> None:
    for command in (["train"], ["evaluate", "--out", "x"]):
        found = application(tmp_path).test_cli_runner().invoke(args=[*command, "--data", "nowhere", "--fold", fold])
        assert found.exit_code == 2
        assert "neither a number from 1 nor 'all'" in found.output
    use_own_label_sets(None)
