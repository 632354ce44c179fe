"""Accounts need no model: these tests start without one. And hands that log in, with two factors where need be."""

from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.webapp.forms import PASSWORD, form_token
from webapp.config import Config
from webapp.extensions import db
from webapp.models.audit import AuditEntry

Visit = Callable[..., FlaskClient]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings with everything in a folder of the test's own, and limits out of the way."""
    return Config(
        instance=tmp_path / "instance",
        upload_rate="10000 per minute",
        login_rate="10000 per minute",
        api_rate="100000 per minute",
        secret_key="for tests only",
        testing=True,
    )


@pytest.fixture
def visit(app: Flask) -> Visit:
    """Another browser that is logged in: `visit("anna", agent="...")`."""

    def enter(name: str = "anna", password: str = PASSWORD, agent: str = "") -> FlaskClient:
        client = app.test_client()
        if agent:
            client.environ_base["HTTP_USER_AGENT"] = agent
        answer = send(client, "/login", name=name, password=password)
        assert answer.status_code == 303, answer.text
        return client

    return enter


def send(client: FlaskClient, path: str, page: str | None = None, **fields: str) -> TestResponse:
    """Post a form with the token of the page that it is on."""
    return client.post(path, data={"csrf_token": form_token(client, page or path), **fields})


def enrol(client: FlaskClient, at: float) -> tuple[str, list[str]]:
    """Set up a second factor at a time; returns its secret and the recovery codes."""
    page = client.get("/account/second-factor").text
    secret = page.split('data-secret="')[1].split('"')[0]
    answer = send(client, "/account/second-factor", password=PASSWORD, code=pyotp.TOTP(secret).at(int(at)))
    assert answer.status_code == 200, answer.text
    codes = [part.split("<")[0] for part in answer.text.split("<li><code>")[1:]]
    return secret, codes


def actions(app: Flask) -> list[str]:
    """What the audit log tells, oldest first."""
    with app.app_context():
        return list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))
