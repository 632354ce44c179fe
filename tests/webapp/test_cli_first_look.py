"""A first look from the command line: trained, found by its label set, measured, and asked alone."""

import json
from pathlib import Path

import pytest
from flask import Flask

from ml.data.prepare import prepare
from ml.preliminary import find_first_look, load_first_look
from tests.ml.tiny import write_rashes


@pytest.fixture(autouse=True)
def no_second_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command starts itself anew with its allocator tuned, unless that is set; here it must not."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.top_pad=131072")


def test_it_is_trained_found_and_measured(app: Flask, drawn_data: Path, tmp_path: Path) -> None:
    runner = app.test_cli_runner()
    trained = runner.invoke(args=["train", "--preliminary", "--data", str(drawn_data)])
    assert trained.exit_code == 0, trained.output
    folder = find_first_look("ham10000", app.config["LENS"].models)
    assert folder is not None
    card = load_first_look(folder).card
    assert f"{card.name}@{card.version}" in trained.output
    assert folder.parent.name == card.name == "ham10000-first-look"
    command = ["evaluate", "--first-look", "--data", str(drawn_data), "--split", "test", "--out", str(tmp_path / "out")]
    measured = runner.invoke(args=[*command, "--resamples", "5"])
    assert measured.exit_code == 0, measured.output
    assert f"{card.name}@{card.version} on" in measured.output
    (figures,) = (tmp_path / "out").glob("*.json")
    assert 0 <= json.loads(figures.read_text())["macro_f1"] <= 1


def test_data_with_folds_needs_one_of_them(app: Flask, tmp_path: Path) -> None:
    prepare(write_rashes(tmp_path / "source", 24), "folders", tmp_path / "data", label_set="msid", folds=2)
    runner, data = app.test_cli_runner(), ["--data", str(tmp_path / "data")]
    for fold, words in (((), "say which one with --fold"), (("--fold", "all"), "one fold: give its number")):
        refused = runner.invoke(args=["train", "--preliminary", *data, *fold])
        assert refused.exit_code
        assert words in refused.output
    trained = runner.invoke(args=["train", "--preliminary", *data, "--fold", "2"])
    assert trained.exit_code == 0, trained.output
    folder = find_first_look("msid", app.config["LENS"].models)
    assert folder is not None
    assert load_first_look(folder).card.data["fold"] == 2
    out = ["--out", str(tmp_path / "out"), "--resamples", "5"]
    measured = runner.invoke(args=["evaluate", "--first-look", *data, "--fold", "2", "--split", "test", *out])
    assert measured.exit_code == 0, measured.output


def test_data_that_is_not_there_is_one_sentence(app: Flask, tmp_path: Path) -> None:
    for command in ("train --preliminary", "evaluate --first-look --out out"):
        result = app.test_cli_runner().invoke(args=[*command.split(), "--data", str(tmp_path / "none")])
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") == 1
