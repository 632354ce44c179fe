"""`flask compare` and `flask export` as a person runs them."""

import json
from pathlib import Path

from flask import Flask

from ml.bundle import Bundle


def test_compare_prints_a_table_and_writes_files(app: Flask, tiny_bundle: Bundle, tmp_path: Path) -> None:
    arguments = ["compare", str(tiny_bundle.path), "--out", str(tmp_path / "out"), "--runs", "1"]
    result = app.test_cli_runner().invoke(args=arguments)
    assert result.exit_code == 0, result.output
    assert "tiny has no evaluation of test beside it" in result.stderr
    assert "| LeNet, published |" in result.stdout
    kinds = ("csv", "html", "json", "md", "svg")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"comparison.{kind}" for kind in kinds]
    assert (tmp_path / "out" / "comparison.md").read_text() == result.stdout
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["machine"]["threads"] == 1
    assert content["models"][0]["onnx"] is None
    renamed = {**content, "models": [{**content["models"][0], "name": "gone"}]}
    (tmp_path / "before.json").write_text(json.dumps(renamed))
    both = app.test_cli_runner().invoke(args=[*arguments, "--earlier", str(tmp_path / "before.json")])
    assert both.exit_code == 0, both.output
    assert "| gone |" in both.stdout
    (tmp_path / "before.json").write_text("[]")
    wrong = app.test_cli_runner().invoke(args=[*arguments, "--earlier", str(tmp_path / "before.json")])
    assert "before.json is no comparison.json that this command wrote." in wrong.stderr


def test_export_writes_a_folder(app: Flask, tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "phone"
    result = app.test_cli_runner().invoke(args=["export", str(tiny_bundle.path), "--format", "onnx", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert f"{out / 'model.onnx'}  " in result.stdout
    assert f"How to use it: {out / 'README.md'}" in result.stdout


def test_an_unknown_model_is_one_sentence(app: Flask, tmp_path: Path) -> None:
    for arguments in (["compare", "nothing"], ["export", "nothing", "--out", str(tmp_path)]):
        result = app.test_cli_runner().invoke(args=arguments)
        assert result.exit_code == 1
        assert "There is no model 'nothing'." in result.stderr
        assert "Traceback" not in result.output
