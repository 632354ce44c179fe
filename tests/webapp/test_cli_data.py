"""`flask data`: several sources, folds and a label set of one's own from the command line."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from ml.data.manifest import load_dataset
from ml.labels import load_taxonomy, use_own_label_sets
from tests.ml.data.layouts import drawn_rashes, write_folds, write_picture
from webapp import create_app
from webapp.config import Config

OWN = """
title = "Two kinds"
[[class]]
code = "dark"
name = "Dark"
status = "malignant"
description = "Dark."
also = ["mel"]
[[class]]
code = "pale"
name = "Pale"
status = "benign"
description = "Pale."
also = ["nv"]
"""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[FlaskCliRunner]:
    app: Flask = create_app(Config(instance=tmp_path / "instance", secret_key="for tests only", testing=True))
    yield app.test_cli_runner()
    use_own_label_sets(None)


@pytest.fixture
def folders(tmp_path: Path) -> Callable[[str, int], Path]:
    def make(name: str, seed: int) -> Path:
        for code in ("mel", "nv"):
            for number in range(8):
                write_picture(tmp_path / name / code / f"{number}.jpg", code, 100 * seed + number)
        return tmp_path / name

    return make


def test_folds_of_several_sources(runner: FlaskCliRunner, folders: Callable[[str, int], Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    sources = [part for seed, name in enumerate("ab") for part in ("--source", str(folders(name, seed)))]
    formats = ["--format", "folders", "--format", "folders"]
    common = ["--label-set", "melanoma-nevus", "--folds", "4", "--out", str(out)]
    result = runner.invoke(args=["data", "prepare", *sources, *formats, *common])
    assert result.exit_code == 0, result.output
    assert "Test pictures of each fold:" in result.output
    assert "fold 1" in result.output
    assert "Not every picture" not in result.output
    assert len(load_dataset(out, fold=4).records) == 32
    audit = runner.invoke(args=["data", "audit", str(out)])
    assert audit.exit_code == 0, audit.output
    assert "fold 4 test" in audit.output
    wrong = runner.invoke(args=["data", "prepare", *sources, *formats[:2], *common])
    assert wrong.exit_code == 2
    assert "2 --source and 1 --format" in wrong.output


def test_augmented_pictures_are_counted(runner: FlaskCliRunner, tmp_path: Path) -> None:
    source = write_folds(tmp_path / "source", drawn_rashes(tmp_path / "drawn", patients=3), folds=3)
    arguments = ["--source", str(source), "--format", "msld-folds", "--label-set", "mpox", "--out", str(tmp_path / "o")]
    result = runner.invoke(args=["data", "prepare", *arguments])
    assert result.exit_code == 0, result.output
    assert "of them augmented)" in result.output


def test_a_label_set_given_as_a_file_is_kept(
    runner: FlaskCliRunner, folders: Callable[[str, int], Path], tmp_path: Path
) -> None:
    own = tmp_path / "shades.toml"
    own.write_text(OWN)
    arguments = [
        "data",
        "prepare",
        "--source",
        str(folders("a", 0)),
        "--format",
        "folders",
        "--out",
        str(tmp_path / "o"),
    ]
    result = runner.invoke(args=[*arguments, "--label-set", str(own)])
    assert result.exit_code == 0, result.output
    assert load_taxonomy("shades").codes == load_dataset(tmp_path / "o").classes == ("dark", "pale")
    own.unlink()
    assert runner.invoke(args=[*arguments, "--label-set", "shades"]).exit_code == 0
    for text, words in (
        (OWN.replace("Two kinds", "Other kinds"), "There is another label set called 'shades'"),
        (OWN.replace("benign", "fine"), "class 2: status 'fine' is not one of"),
        (OWN.replace("[[class]]", "[[class", 1), "line 3, column"),
    ):
        own.write_text(text)
        refused = runner.invoke(args=[*arguments, "--label-set", str(own)])
        assert refused.exit_code == 2
        assert words in " ".join(refused.output.split())
    unknown = runner.invoke(args=[*arguments, "--label-set", "moles"])
    assert "No readable label set 'moles'. Known ones: ham10000" in " ".join(unknown.output.split())
