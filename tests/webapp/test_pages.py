"""What every response carries, health, errors and languages."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from ml.bundle import Bundle
from ml.errors import BundleError, InvalidImage
from webapp import create_app, health
from webapp.config import Config
from webapp.i18n import LANGUAGES, percent


def test_security_headers(client: FlaskClient) -> None:
    for path in ("/", "/login", "/healthz", "/nowhere", "/static/js/upload.js"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
    assert client.get("/login").headers["Cache-Control"] == "private, no-store"
    assert "max-age=31536000" in client.get("/static/js/upload.js").headers["Cache-Control"]


def test_no_inline_code_and_nothing_from_elsewhere() -> None:
    for template in Path("templates").rglob("*.html"):
        content = template.read_text(encoding="utf-8")
        for forbidden in ("<style", " style=", " onclick", " onload", "http://", "https://", "|safe}}"):
            assert forbidden not in content, template
        assert content.count("<script") == content.count('<script type="module" src=')


def test_health(client: FlaskClient, config: Config, tmp_path: Path, make_app: Callable[[Config], Flask]) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ok", "database": "ok", "model": "ok"}
    without_model = make_app(replace(config, model=str(tmp_path / "nowhere"))).test_client()
    answer = without_model.get("/readyz")
    assert answer.status_code == 503
    missing = "There is no model 'nowhere'. Give NAME, NAME@VERSION or the path of a bundle."
    assert answer.json == {"status": "unavailable", "database": "ok", "model": missing}
    assert without_model.get("/healthz").status_code == 200
    (tmp_path / "empty").mkdir()
    without_tables = create_app(replace(config, instance=tmp_path / "empty")).test_client()
    assert without_tables.get("/readyz").status_code == 503
    assert without_tables.get("/").status_code == 200


def test_readiness_says_what_a_damaged_model_lacks(
    config: Config, tiny_bundle: Bundle, tmp_path: Path, make_app: Callable[[Config], Flask]
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "broken")
    (tmp_path / "broken" / "weights.safetensors").write_bytes(b"no weights")
    answer = make_app(replace(config, model=str(tmp_path / "broken"))).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert "'broken'" in answer.json["model"]
    assert "weights.safetensors" in answer.json["model"]
    assert str(tmp_path) not in answer.text
    told = "/srv/a b/x.toml of 'models/own/1' and https://lens.example/y cannot be read; yes/no."
    assert "/" not in health._without_folders(told)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InvalidImage("damaged", "secret detail"), 400, "damaged"),
        (BundleError("secret detail"), 503, "model cannot be loaded"),
        (OperationalError("secret detail", {}, Exception("secret")), 503, "try again in a minute"),
        (DatabaseError("secret detail", {}, Exception("secret")), 503, "try again in a minute"),
        (NoConnection("secret detail"), 503, "try again in a minute"),
        (IntegrityError("secret detail", {}, Exception("secret")), 500, "The fault is ours"),
        (OSError(28, "secret detail"), 507, "disk is full"),
        (PermissionError("secret detail"), 503, "try again in a minute"),
        (RuntimeError("secret detail"), 500, "The fault is ours"),
    ],
)
def test_errors_are_pages_that_give_nothing_away(
    app: Flask, error: Exception, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise error

    app.config["PROPAGATE_EXCEPTIONS"] = False
    with caplog.at_level(logging.CRITICAL):
        answer = app.test_client().get("/broken")
    assert answer.status_code == status
    assert words in answer.text
    assert "secret" not in answer.text
    assert answer.mimetype == "text/html"


def test_wrong_method(client: FlaskClient) -> None:
    answer = client.put("/")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_language_by_browser_and_by_choice(client: FlaskClient) -> None:
    german = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
    assert '<html lang="de">' in client.get("/", headers=german).text
    assert '<html lang="en">' in client.get("/", headers={"Accept-Language": "fr"}).text
    answer = client.get("/language/en?next=/login", headers=german)
    assert (answer.status_code, answer.location) == (303, "/login")
    assert '<html lang="en">' in client.get("/", headers=german).text
    assert client.get("/language/en?next=//evil.example").location == "/"
    assert client.get("/language/xx").status_code == 404


def test_percentages(app: Flask) -> None:
    space = "\N{NO-BREAK SPACE}"
    shown = {0.0: f"<{space}0.1%", 0.0004: f"<{space}0.1%", 0.0006: "0.1%", 0.5: "50.0%", 1.0: f">{space}99.9%"}
    with app.test_request_context():
        assert {value: percent(value) for value in shown} == shown
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert percent(0.123) == f"12,3{space}%"
    assert set(LANGUAGES) == {"en", "de"}
