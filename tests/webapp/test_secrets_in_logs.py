"""A walk through all features: no secret reaches the log, no name and no address reaches the database."""

import io
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.webapp.forms import PASSWORD, form_token
from tests.webapp.routes import addresses
from webapp.config import Config
from webapp.models.user import Role, User
from webapp.request_log import JsonFormatter

ADDRESS = "203.0.113.77"
FILE_NAME = "Erika-Mustermann-left-arm.jpg"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; Erika-Mustermann) Firefox/140.0"
SECRET_KEY = "kept-secret-0123456789-of-this-site"
METRICS_TOKEN = "metrics-token-0123456789"


@pytest.fixture
def config(config: Config) -> Config:
    """Settings with secrets that a log could show, and errors that are handled as in use."""
    return replace(
        config, secret_key=SECRET_KEY, metrics=True, metrics_token=METRICS_TOKEN, log_format="json", testing=False
    )


def test_a_walk_logs_no_secret(
    app: Flask,
    config: Config,
    photo: Callable[..., bytes],
    add_user: Callable[..., User],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_user("anna", Role.ADMIN)
    secrets = [PASSWORD, SECRET_KEY, METRICS_TOKEN]
    with caplog.at_level(logging.DEBUG):
        secrets += walk(app, photo)
    formatter = JsonFormatter()
    ours = [record for record in caplog.records if record.name.split(".")[0] in ("webapp", "ml", "lesion_lens")]
    logged = "\n".join(formatter.format(record) for record in ours) + "".join(capfd.readouterr())
    assert '"route": "/results/<token>"' in logged  # the log is there
    for secret in (*secrets, ADDRESS, FILE_NAME, "Erika", "csrf_token"):
        assert secret not in logged
    kept = b"".join(path.read_bytes() for path in sorted(config.instance.rglob("*")) if path.is_file())
    for secret in (*secrets, ADDRESS, FILE_NAME, "Erika"):
        assert secret.encode() not in kept


def walk(app: Flask, photo: Callable[..., bytes]) -> list[str]:
    """Upload, log in wrongly and rightly, open every page, use the API, delete; returns the secrets it has met."""
    client = app.test_client()
    client.environ_base.update({"REMOTE_ADDR": ADDRESS, "HTTP_USER_AGENT": AGENT})
    secrets: list[str] = []

    def send(path: str, page: str, **fields: object) -> TestResponse:
        token = form_token(client, page)
        secrets.append(token)
        return client.post(path, data={"csrf_token": token, **fields})

    files = [(io.BytesIO(photo("nv", seed=seed)), FILE_NAME) for seed in range(2)]
    sent = send("/", "/", photos=files, consent="y", training="y")
    place = sent.location or ""
    token = place.rpartition("/")[2]
    assert len(token) >= 40
    secrets.append(token)
    assert client.get(place).status_code == 200
    client.get(f"{place}/photos/1/heatmap")
    send("/", "/", photos=[(io.BytesIO(b"no picture"), FILE_NAME)], consent="y")
    wrong = "a wrong password of somebody"
    secrets.append(wrong)
    assert send("/login", "/login", name="anna", password=wrong).status_code == 400
    assert send("/login", "/login", name="anna", password=PASSWORD).status_code == 303
    cookie = client.get_cookie("lesion_lens")
    assert cookie is not None
    secrets.append(cookie.value)
    values = {"token": token, "filename": "css/pages.css", "code": "en", "screening_id": 1, "photo_id": 1}
    for rule, path in addresses(app, values, "GET"):
        answer = client.get(path, buffered=True)
        assert answer.status_code < 500 or rule.endpoint == "health.readyz", path
    run = app.test_cli_runner()
    made = run.invoke(args=["tokens", "create", "ward", "--per-day", "5"])
    secret = made.output.strip().splitlines()[-1]
    secrets.append(secret)
    fields = {"photos": (io.BytesIO(photo("mel")), FILE_NAME), "consent": "true"}
    answered = client.post("/api/v1/screenings", data=fields, headers={"Authorization": f"Bearer {secret}"})
    assert answered.status_code < 500
    client.get("/api/v1/models", headers={"Authorization": f"Bearer {secret}x"})
    client.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    assert send(f"{place}/delete", place).status_code == 303
    assert client.get(place).status_code == 410
    return secrets
