"""`flask data`: several sources, folds and a label set of one's own from the command line."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from PIL import Image

from ml.data.drawn import draw_lesion
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


def test_preview_shows_what_training_would_see(app: Flask, drawn_data: Path, tmp_path: Path) -> None:
    command = ["data", "preview", "--data", str(drawn_data), "--out", str(tmp_path), "--image-size", "32"]
    options = "--pictures 1 --views 2 --skin-tones 1 --faults 0.2 --balanced-sampling --class-weights none"
    result = app.test_cli_runner().invoke(args=[*command, *options.split()])
    assert result.exit_code == 0, result.output
    assert re.search(r"^mel +\d+ +\d+\.\d% +\d+ +1\.00 +\d+\.\d%$", result.output, re.MULTILINE)
    page = (tmp_path / "preview.html").read_text()
    assert len(re.findall(r"<figcaption>epoch \d, tone [IV]+</figcaption>", page)) == 14
    result = app.test_cli_runner().invoke(args=[*command, "--skin-tones", "2"])
    assert result.exit_code == 2
    result = app.test_cli_runner().invoke(args=[*command, "--crop-min", "0"])
    assert result.exit_code == 1
    assert "crop" in result.output


def test_preview_shows_hair_removal(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        pixels = draw_lesion("nv", np.random.default_rng(number), (150, 200))
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "manifest.csv").write_text("file,ratings\n0.png,0\n1.png,1\n2.png,2\n")
    command = ["data", "preview", "--hair", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    result = app.test_cli_runner().invoke(args=command)
    assert result.exit_code == 0, result.output
    assert "Pictures 3, hair on" in result.output
    assert (tmp_path / "out" / "hair.html").is_file()
    wrong = app.test_cli_runner().invoke(args=["data", "preview", "--hair", "--out", str(tmp_path)])
    assert wrong.exit_code == 2
    assert "--source" in wrong.output
