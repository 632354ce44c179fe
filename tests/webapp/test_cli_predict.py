"""`flask predict` and `flask evaluate` as a person runs them, with a really trained tiny model."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from flask import Flask
from PIL import Image

from ml.bundle import Bundle
from ml.data.manifest import load_dataset
from ml.errors import AnswerError
from ml.gate import GateModel
from ml.predict import Classifier
from ml.screening import NOT_DERMATOSCOPIC, Gate
from webapp.cli.evaluate import evaluate_command
from webapp.cli.predict import predict_command
from webapp.config import Config

FIELDS = {
    "path", "ok", "error", "label_set", "predicted", "probabilities", "status", "malignant_risk", "thresholds", "gate",
    "first_look", "severity", "model", "seconds",
}  # fmt: skip

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(app: Flask) -> Invoke:
    """Runs a command in the application, whose configured model is the tiny one."""
    return lambda command, *arguments: app.test_cli_runner().invoke(command, [str(a) for a in arguments])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with five readable photos at two depths, a broken one, and a file that is no photo."""
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("b.jpg", "a.png", "deeper/c.webp", "deeper/d.JPEG", "é.jpg"):
        Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)).save(folder / name)
    (folder / "deeper" / "broken.jpg").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("not a photo either")
    return folder


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_folders_are_answered_in_order_and_bad_files_do_not_stop_the_rest(
    invoke: Invoke, photos: Path, batch_size: int
) -> None:
    result = invoke(predict_command, photos, "--format", "jsonl", "--batch-size", batch_size)
    found = lines(result)
    names = ["a.png", "b.jpg", "deeper/broken.jpg", "deeper/c.webp", "deeper/d.JPEG", "é.jpg"]
    assert [line["path"] for line in found] == [f"{photos}/{name}" for name in names]
    assert [line["ok"] for line in found] == [True, True, False, True, True, True]
    assert found[2] == {"path": f"{photos}/deeper/broken.jpg", "ok": False, "error": "The file is not an image."}
    assert result.exit_code == 1


def test_a_line_has_the_fields_of_a_screening(invoke: Invoke, photos: Path, drawn_data: Path) -> None:
    drawn = [record.path for record in load_dataset(drawn_data).split("train")[:5]]
    result = invoke(predict_command, *drawn, photos / "a.png", "--format", "jsonl")
    assert result.exit_code == 0
    found = lines(result)
    assert {line["status"] == "refused" for line in found} == {True, False}  # noise is refused, lesions are not
    for line in found:
        assert set(line) == FIELDS
        assert line["error"] is None
        assert set(line["gate"]) == {"verdict", "reason", "tip", "limit", "scores"}
        assert line["seconds"]["decode"] > 0
        if line["status"] == "refused":
            assert line["predicted"] is line["probabilities"] is line["malignant_risk"] is None
        else:
            assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_paths_are_shown_as_given(invoke: Invoke, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    found = lines(invoke(predict_command, "./a.png", "deeper/", ".", "--format", "jsonl"))
    assert found[0]["path"] == "./a.png"
    assert found[2]["path"] == "deeper/c.webp"
    assert found[4]["path"] == "./a.png"


def test_standard_output_holds_nothing_but_answers(invoke: Invoke, photos: Path) -> None:
    result = invoke(predict_command, photos / "a.png", "--format", "jsonl")
    assert len(lines(result)) == 1
    assert "1/1" in result.stderr  # the progress bar


def test_what_is_not_there_is_a_line_too(invoke: Invoke, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = invoke(predict_command, tmp_path / "gone.jpg", tmp_path / "empty", photos / "a.png", "--format", "jsonl")
    errors = [line["error"] for line in lines(result)]
    assert errors == ["There is no such file or folder.", "There are no photos in this folder.", None]
    assert result.exit_code == 1
    assert "2 of 3 could not be read." in result.stderr


@pytest.mark.parametrize("answered", [False, True])
def test_the_setting_decides_on_ordinary_photos(
    config: Config, make_app: Callable[[Config], Flask], photos: Path, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {
        "short_side": 300.0,
        "brightness": 150.0,
        "sharpness": 0.3,
        "steadiness": 0.3,
        "yellowness": 0.0,
        "hair": 0.0,
        "blockiness": 0.0,
    }
    ordinary = Gate.refused(NOT_DERMATOSCOPIC, NOT_DERMATOSCOPIC, good)
    monkeypatch.setattr(GateModel, "judge", lambda *_: ordinary)
    runner = make_app(replace(config, answer_not_dermatoscopic=answered)).test_cli_runner()
    (line,) = lines(runner.invoke(predict_command, [str(photos / "a.png"), "--format", "jsonl"]))
    assert line["gate"]["verdict"] == NOT_DERMATOSCOPIC
    assert (line["predicted"] is not None) is answered


def test_no_finite_number_is_one_sentence_and_no_answer(
    invoke: Invoke, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AnswerError("The model 'tiny' gave no finite numbers for a photo; nothing was answered.")

    monkeypatch.setattr(Classifier, "predict", fail)
    result = invoke(predict_command, photos, "--format", "jsonl")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no finite numbers" in result.stderr
    assert "Traceback" not in result.output


def test_csv_is_one_row_a_photo(invoke: Invoke, photos: Path) -> None:
    result = invoke(predict_command, photos, "--format", "csv")
    found = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["ok"] for row in found] == ["true", "true", "false", "true", "true", "true"]
    assert {"p_mel", "malignant_risk", "status", "gate_verdict", "gate_reason"} <= set(found[0])


def test_csv_has_no_cell_that_a_spreadsheet_computes(
    invoke: Invoke, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = '=HYPERLINK("http:x").png'
    (photos / "a.png").rename(photos / name)
    monkeypatch.chdir(photos)
    (row,) = csv.DictReader(io.StringIO(invoke(predict_command, name, "--format", "csv").stdout))
    assert row["path"] == f"'{name}"


def test_table_is_the_default(invoke: Invoke, photos: Path) -> None:
    result = invoke(predict_command, photos)
    rows = result.stdout.splitlines()
    assert rows[0].split() == ["status", "risk", "class", "probability", "path"]
    assert len(rows) == 9
    assert rows[-1].startswith("How good the model is: /model/")
    assert "broken.jpg: The file is not an image." in rows[3]


def test_trained_models_are_found_by_name(invoke: Invoke, photos: Path, tiny_bundle: Bundle, config: Config) -> None:
    shutil.copytree(tiny_bundle.path, config.instance / "models" / "mine" / "1")
    for reference in ("mine", "mine@1"):
        result = invoke(predict_command, photos / "a.png", "--model", reference, "--format", "jsonl")
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", [predict_command, evaluate_command])
def test_an_unknown_model_is_one_sentence(invoke: Invoke, photos: Path, command: Any) -> None:
    arguments = [photos] if command is predict_command else ["--data", photos, "--out", photos / "out"]
    result = invoke(command, *arguments, "--model", "no-such-model")
    assert result.exit_code == 1
    assert "There is no model 'no-such-model'." in result.stderr
    assert "Traceback" not in result.output


def test_evaluate_prints_headline_figures_and_writes_the_report(
    invoke: Invoke, drawn_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = invoke(evaluate_command, "--data", drawn_data, "--out", out, "--resamples", 20)
    assert result.exit_code == 0, result.output
    figures = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    low, high = figures["intervals"]["balanced_accuracy"]
    assert f"{figures['balanced_accuracy']:.3f}  [{low:.3f}, {high:.3f}]" in result.stdout
    assert f"Report: {out / 'report.html'}" in result.stdout
    assert (out / "report.html").is_file()
    assert "Warning" not in result.stderr


def test_evaluate_warns_of_images_that_were_trained_on(invoke: Invoke, drawn_data: Path, tmp_path: Path) -> None:
    result = invoke(evaluate_command, "--data", drawn_data, "--split", "train", "--out", tmp_path, "--resamples", 5)
    assert result.exit_code == 0
    assert "Warning: The model was trained on these very images" in result.stderr
    assert "These figures do not count." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_evaluate_without_prepared_data_is_one_sentence(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(evaluate_command, "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "run 'flask data prepare' first" in result.stderr
    assert not (tmp_path / "out").exists()
