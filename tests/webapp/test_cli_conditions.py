"""`flask conditions` as a person runs it, with a really trained tiny model."""

import json
from pathlib import Path

from flask import Flask

from webapp.cli.conditions import conditions_command


def test_a_sentence_a_condition_and_three_files(app: Flask, drawn_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [
        "--data",
        drawn_data,
        "--split",
        "test",
        "--images",
        2,
        "--resamples",
        5,
        "--views",
        "card",
        "--out",
        out,
    ]
    result = app.test_cli_runner().invoke(conditions_command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"conditions.json", "conditions.csv", "report.html"}
    figures = json.loads((out / "conditions.json").read_text(encoding="utf-8"))
    assert (figures["n_images"], figures["views"], figures["bootstrap"]["resamples"]) == (2, "four", 5)
    for condition in figures["conditions"]:
        assert condition["sentence"] in result.stdout
    assert f"Report: {out / 'report.html'}" in result.stdout


def test_data_that_is_none_is_a_sentence(app: Flask, tmp_path: Path) -> None:
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "out")]
    result = app.test_cli_runner().invoke(conditions_command, arguments)
    assert result.exit_code == 1
    assert "not a prepared dataset" in result.stderr
    assert "Traceback" not in result.output
