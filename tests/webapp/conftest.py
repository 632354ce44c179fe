"""A visitor's and an admin's hands: forms filled in as a browser without JavaScript would."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.webapp.forms import PASSWORD, form_token
from webapp import clock
from webapp.account.passwords import hash_password
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.screening import ScreeningRow
from webapp.models.user import Role, User


@pytest.fixture
def post(client: FlaskClient) -> Callable[..., TestResponse]:
    """Posts a form with the token of the page it is on: `post("/login", name=...)`."""

    def send(path: str, page: str | None = None, **fields: Any) -> TestResponse:
        return client.post(path, data={"csrf_token": form_token(client, page or path), **fields})

    return send


@pytest.fixture
def upload(post: Callable[..., TestResponse]) -> Callable[..., TestResponse]:
    """Uploads files: `upload(b"...", b"...")`, each as bytes or (bytes, name)."""

    def send(*files: bytes | tuple[bytes, str], consent: bool = True) -> TestResponse:
        named = [file if isinstance(file, tuple) else (file, "lesion.jpg") for file in files]
        fields: dict[str, Any] = {"photos": [(io.BytesIO(content), name) for content, name in named]}
        if consent:
            fields["consent"] = "y"
        return post("/", **fields)

    return send


@pytest.fixture
def rows(app: Flask) -> Callable[[], Sequence[ScreeningRow]]:
    """Reads all rows, oldest first, with their photos."""

    def read() -> Sequence[ScreeningRow]:
        with app.app_context():
            found = db.session.scalars(select(ScreeningRow).order_by(ScreeningRow.id)).all()
            for row in found:
                row.photos  # noqa: B018  # loaded while the session is open
            return found

    return read


@pytest.fixture
def add_user(app: Flask) -> Callable[..., User]:
    """Makes an account with the password of these tests."""

    def add(name: str = "anna", role: Role = Role.ADMIN) -> User:
        user = User(name=name, password_hash=hash_password(PASSWORD), role=role, created_at=clock.now())
        with app.app_context(), write_transaction() as session:
            session.add(user)
        return user

    return add


@pytest.fixture
def admin(client: FlaskClient, add_user: Callable[..., User], post: Callable[..., TestResponse]) -> FlaskClient:
    """A client that is logged in."""
    add_user()
    assert post("/login", name="anna", password=PASSWORD).status_code == 303
    return client
