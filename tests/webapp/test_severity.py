"""The second stage on the command line, on the result page and in the API."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select

from ml.bundle import Bundle
from ml.data.drawn import draw_lesion
from ml.data.prepare import prepare
from ml.severity_grades import NOTES
from tests.ml.tiny import TINY, run
from tests.webapp.api import send
from webapp.cli.data import data_cli
from webapp.cli.evaluate import evaluate_command
from webapp.cli.predict import predict_command
from webapp.cli.train import train_command
from webapp.config import Config
from webapp.extensions import db
from webapp.models.screening import ScreeningRow
from webapp.telegram.answers import answer_text

FAST = (
    *("--arch", "lenet", "--weights", "none", "--image-size", "32", "--epochs", "1", "--head-epochs", "0"),
    *("--batch-size", "8", "--device", "cpu", "--threads", "1", "--workers", "0", "--test-time-views", "one"),
)


@pytest.fixture(scope="session")
def severity_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny severity model of basal cell carcinoma, taught by folders that are called after the grades."""
    folder = tmp_path_factory.mktemp("clinical")
    for number in range(36):
        grade = ("mild", "moderate", "severe")[number % 3]
        (folder / "source" / grade).mkdir(parents=True, exist_ok=True)
        pixels = draw_lesion("bcc", np.random.default_rng(number), (120, 160))
        Image.fromarray(pixels).save(folder / "source" / grade / f"{number}.png")
    prepare(folder / "source", "folders", folder / "data", label_set="severity")
    return run(replace(TINY, label_set="severity", disease="bcc", epochs=2), folder / "data", folder)


@pytest.fixture
def bcc(photo: Callable[..., bytes], tiny_bundle: Bundle, lesion: Callable[..., Any]) -> bytes:
    """A photo that the tiny model names basal cell carcinoma."""
    from ml.screen import Screener

    seeds = list(range(8))
    answers = Screener(tiny_bundle).screen_batch([lesion("bcc", seed) for seed in seeds])
    seed = next(seed for seed, one in zip(seeds, answers, strict=True) if one.predicted == "bcc")
    return photo("bcc", seed, kind="PNG")


def place(bundle: Bundle, config: Config, source: str) -> None:
    """Put the severity model where the application looks for it, its grades being of this source."""
    folder = config.models / "severity-bcc" / "1"
    shutil.copytree(bundle.path, folder)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["stage"]["source"] = source
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    _sum(folder)


def _sum(folder: Path) -> None:
    from ml.bundle import CARD, CHECKSUMS
    from ml.files import sha256_file

    lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.endswith(f"  {CARD}")]
    (folder / CHECKSUMS).write_text(
        "\n".join([*kept, f"{sha256_file(folder / CARD)}  {CARD}"]) + "\n", encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("source", "words", "german"),
    [("proxy", "not a clinical grade", "kein klinischer"), ("clinical", "that clinicians gave", "Ärzten")],
)
def test_page_and_api_tell_the_grade_and_where_it_comes_from(
    config: Config,
    make_app: Callable[[Config], Flask],
    severity_bundle: Bundle,
    bcc: bytes,
    source: str,
    words: str,
    german: str,
) -> None:
    place(severity_bundle, config, source)
    client = make_app(replace(config, severity=True)).test_client()
    answer = send(client, bcc).json
    assert answer is not None
    severity = answer["screening"]["severity"]
    assert set(severity) == {"grade", "probabilities", "source", "note", "model"}
    assert severity["note"] == NOTES[source]
    assert (severity["source"], severity["model"]["name"]) == (source, severity_bundle.card.name)
    assert answer["photos"][0]["severity"] == severity
    page = client.get(f"/results/{answer['id']}")
    assert f'data-severity="{severity["grade"]}"' in page.text
    assert words in page.text
    app = client.application
    with app.app_context():
        row = db.session.scalars(select(ScreeningRow)).one()
        assert words in answer_text(row, compressed=False)
        assert row.severity is not None
        row.severity = {name: value for name, value in row.severity.items() if name != "note"}  # as stored before
        db.session.commit()
    again = client.get(f"/api/v1/screenings/{answer['id']}").json
    assert again is not None
    assert again["screening"]["severity"] == severity
    assert german in client.get(f"/results/{answer['id']}", headers={"Accept-Language": "de"}).text


def test_it_is_off_by_default_and_a_missing_model_is_no_error(
    config: Config, make_app: Callable[[Config], Flask], severity_bundle: Bundle, bcc: bytes
) -> None:
    on = send(make_app(replace(config, severity=True)).test_client(), bcc).json
    place(severity_bundle, config, "proxy")
    off = send(make_app(config).test_client(), bcc).json
    for answer in (on, off):
        assert answer is not None
        assert answer["state"] == "done"
        assert answer["screening"]["severity"] is None


def test_a_severity_model_does_not_answer_by_itself(
    config: Config, make_app: Callable[[Config], Flask], severity_bundle: Bundle
) -> None:
    app = make_app(replace(config, model=str(severity_bundle.path)))
    assert app.test_client().get("/readyz").status_code == 503
    photo, path = str(config.instance / "photo.png"), str(severity_bundle.path)
    Image.fromarray(draw_lesion("mel", np.random.default_rng(0))).save(photo)
    for command in (
        ["predict", photo, "--model", path],
        ["export", path, "--out", str(config.instance / "out")],
        ["compare", path],
        ["conditions", "--data", "nowhere", "--out", "nowhere", "--model", path],
    ):
        result = app.test_cli_runner().invoke(args=command)
        assert result.exit_code == 1, result.output
        assert "only grades" in result.stderr
        assert "benign" not in result.output


def test_from_the_proxy_to_an_evaluation_on_the_command_line(
    config: Config, make_app: Callable[[Config], Flask], tmp_path: Path, bcc: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.top_pad=131072")  # or training starts the command anew
    source = tmp_path / "source"
    codes = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    for code in codes:
        (source / code).mkdir(parents=True)
        for number in range(60 if code == "bcc" else 8):
            pixels = draw_lesion(code, np.random.default_rng(number), (90, 120))
            Image.fromarray(pixels).save(source / code / f"{number}.png")
    prepare(source, "folders", tmp_path / "prepared")
    invoke = make_app(replace(config, severity=True)).test_cli_runner().invoke

    def run_one(command: Any, *arguments: str) -> str:
        result = invoke(command, list(arguments))
        assert result.exit_code == 0, result.output
        return str(result.output)

    graded = str(tmp_path / "graded")
    told = run_one(
        data_cli, "severity-proxy", "--data", str(tmp_path / "prepared"), "--disease", "bcc", "--out", graded
    )
    assert "not a clinical grade" in told
    refused = invoke(data_cli, ["severity-proxy", "--data", graded, "--disease", "mel", "--out", str(tmp_path / "x")])
    assert refused.exit_code == 1
    assert "examined promptly" in refused.output
    train = ("--data", graded, "--stage", "severity", "--run", str(tmp_path / "run"), *FAST)
    assert "belong together" in invoke(train_command, train).output
    assert "severity-bcc@" in run_one(train_command, *train, "--disease", "bcc")
    lines = run_one(
        evaluate_command, "--data", graded, "--split", "test", "--model", "severity-bcc", "--out",
        str(tmp_path / "report"), "--resamples", "20",
    )  # fmt: skip
    assert "against an image-based proxy, not a clinical grade: quadratic kappa" in lines
    (tmp_path / "photo.png").write_bytes(bcc)
    photo, sheet = str(tmp_path / "photo.png"), tmp_path / "sheet.html"
    printed = run_one(predict_command, photo, "--contact-sheet", str(sheet))
    assert "(proxy)" in printed
    assert NOTES["proxy"] in printed
    assert f',proxy,"{NOTES["proxy"]}"\n' in run_one(predict_command, photo, "--format", "csv")
    assert NOTES["proxy"] in run_one(predict_command, photo, "--format", "jsonl")
    assert NOTES["proxy"] in sheet.read_text(encoding="utf-8")
