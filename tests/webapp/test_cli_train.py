"""`flask train`: one command from prepared data to a bundle, and clear sentences when that is not possible."""

import os
import platform
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from ml.bundle import load_bundle
from ml.screening import USABLE
from webapp.config import Config
from webapp.training.allocator import TUNABLES, VARIABLE

TINY = "--arch lenet --weights none --epochs 2 --head-epochs 0 --batch-size 8 --workers 0 --threads 1"


@pytest.fixture(autouse=True)
def no_second_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command starts itself anew with its allocator tuned, unless that is set; here it must not."""
    monkeypatch.setenv(VARIABLE, "glibc.malloc.top_pad=131072")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_it_starts_once_more_with_its_allocator_set_up(
    app: Flask, drawn_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, list[str], dict[str, str]]] = []

    def execve(program: str, arguments: list[str], environment: dict[str, str]) -> NoReturn:
        started.append((program, arguments, environment))
        raise SystemExit(0)

    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(os, "execve", execve)
    command = ["train", "--data", str(drawn_data)]
    monkeypatch.setattr(sys, "orig_argv", ["flask", *command])
    wrong = app.test_cli_runner().invoke(args=["train", "--data", "nowhere"])
    assert "not a prepared dataset" in wrong.output, "what is wrong with the data is said before"
    assert app.test_cli_runner().invoke(args=command).exit_code == 0
    ((program, arguments, environment),) = started
    assert (program, arguments) == (sys.executable, [sys.executable, *command])
    assert environment == {**os.environ, VARIABLE: TUNABLES}


def test_a_run_ends_in_a_bundle_with_history_and_curves(app: Flask, drawn_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["train", "--data", str(drawn_data), "--out", "mine", "--run", str(run), *TINY.split()]
    result = app.test_cli_runner().invoke(args=command)
    assert result.exit_code == 0, result.output
    (folder,) = (app.config["LENS"].models / "mine").iterdir()
    assert load_bundle(folder).card.training["progress"]["epoch"] == 2
    assert f"mine@{folder.name}" in result.output
    assert (run / "history.csv").read_text().count("\n") == 3
    assert Image.open(run / "curves.png").width > 500
    assert "epoch 2/2" in (run / "train.log").read_text()
    again = app.test_cli_runner().invoke(args=["train", *command[1:], "--resume", "--epochs", "3"])
    assert again.exit_code == 0, again.output
    assert len(list((app.config["LENS"].models / "mine").iterdir())) == 2


@pytest.mark.parametrize("options", ["--label-set birds", "--out a@b", "--out ../b", "--out x/y", "--out .x"])
def test_names_that_cannot_be_used_are_refused_before_anything_runs(app: Flask, options: str) -> None:
    result = app.test_cli_runner().invoke(args=["train", "--data", "nowhere", *options.split()])
    assert result.exit_code == 2
    assert "Invalid value" in result.output


def test_gate_pictures_are_learnt_and_measured(app: Flask, drawn_data: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, low in (("not_skin", 0), ("clinical_photos", 120)):
        folder = tmp_path / "others" / name
        folder.mkdir(parents=True)
        for number in range(12):
            noise = random.integers(low, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((320, 240)).save(folder / f"{name}{number}.png")
    (tmp_path / "others" / "not_skin" / "broken.jpg").write_bytes(b"no picture")
    command = f"train --data {drawn_data} --out gated --run {tmp_path}/run --gate-negatives {tmp_path}/others {TINY}"
    result = app.test_cli_runner().invoke(args=command.split())
    assert result.exit_code == 0, result.output
    (folder,) = (app.config["LENS"].models / "gated").iterdir()
    gate = load_bundle(folder).card.gate
    assert set(gate["measured"]) == {"not_skin", "not_dermatoscopic"}
    refused = sum(count for verdicts in gate["measured"].values() for v, count in verdicts.items() if v != USABLE)
    assert refused > 0
    assert "broken.jpg is not a picture" in (tmp_path / "run" / "train.log").read_text()


def test_gate_pictures_of_the_installation_are_learnt_where_none_are_named(
    app: Flask, config: Config, drawn_data: Path, tmp_path: Path
) -> None:
    (config.instance / "gate-pictures").mkdir()
    command = f"train --data {drawn_data} --run {tmp_path}/run {TINY}".split()
    assert "No pictures in" in app.test_cli_runner().invoke(args=command).output


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--data nowhere", "not a prepared dataset"),
        ("--data {data} --gate-negatives nowhere", "No pictures in nowhere"),
        ("--data {data} --weights nowhere", "No weights at 'nowhere'"),
        ("--data {data} --device toaster", "no device 'toaster'"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    app: Flask, drawn_data: Path, tmp_path: Path, options: str, complaint: str
) -> None:
    command = f"train {TINY} --run {tmp_path}/run {options.format(data=drawn_data)}"
    result = app.test_cli_runner().invoke(args=command.split())
    assert result.exit_code == 1
    assert complaint in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", ["../mine", "a/b", "a@1", ""])
def test_a_name_is_that_of_a_folder(app: Flask, name: str) -> None:
    for command in (["train"], ["ensemble", "one", "two"]):
        result = app.test_cli_runner().invoke(args=[*command, "--data", "nowhere", "--out", name])
        assert result.exit_code == 2
        assert "begin with a letter or digit" in result.output
