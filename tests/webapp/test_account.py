"""Accounts: logging in, being locked out, and the commands that make them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.times import Clock
from tests.webapp.forms import PASSWORD, form_token
from tests.webapp.rates import DOWN
from webapp.config import Config
from webapp.extensions import db
from webapp.links import local_path
from webapp.models.base import Base
from webapp.models.user import Role, User

Post = Callable[..., TestResponse]


def test_login_and_logout(client: FlaskClient, add_user: Callable[..., User], post: Post) -> None:
    add_user()
    assert client.get("/admin/history").location == "/login?next=/admin/history"
    answer = post("/login?next=/admin/history", name=" Anna ", password=PASSWORD)
    assert (answer.status_code, answer.location) == (303, "/admin/history")
    assert client.get("/admin/history").status_code == 200
    assert client.get("/login").status_code == 303
    assert post("/logout", page="/admin/history").status_code == 303
    assert client.get("/admin/history").status_code == 303


def test_wrong_name_and_wrong_password_look_the_same(add_user: Callable[..., User], post: Post) -> None:
    add_user()
    wrong_password = post("/login", name="anna", password="x" * 20)
    wrong_name = post("/login", name="bert", password="x" * 20)
    assert wrong_password.status_code == wrong_name.status_code == 400
    sentence = "Name or password is wrong"
    assert sentence in wrong_password.text
    assert sentence in wrong_name.text


def test_account_locks_after_repeated_failures_and_opens_again(
    add_user: Callable[..., User], post: Post, clock: Clock, config: Config
) -> None:
    add_user()
    for _ in range(config.login_failures):
        assert post("/login", name="anna", password="wrong").status_code == 400
    assert post("/login", name="anna", password=PASSWORD).status_code == 400
    clock.forward(minutes=config.login_lock_minutes + 1)
    assert post("/login", name="anna", password=PASSWORD).status_code == 303


def test_an_account_locks_too_where_rates_cannot_be_counted(
    config: Config, make_app: Callable[[Config], Flask], add_user: Callable[..., User]
) -> None:
    add_user()
    client = make_app(replace(config, rate_storage=DOWN, login_rate="1 per minute")).test_client()
    for password in (*["wrong"] * config.login_failures, PASSWORD):
        fields = {"csrf_token": form_token(client, "/login"), "name": "anna", "password": password}
        assert client.post("/login", data=fields).status_code == 400


def test_session_is_made_anew(client: FlaskClient, add_user: Callable[..., User]) -> None:
    add_user()
    token = form_token(client, "/login")
    with client.session_transaction() as session:
        session["planted"] = "by someone else"
    client.post("/login", data={"csrf_token": token, "name": "anna", "password": PASSWORD})
    with client.session_transaction() as session:
        assert "planted" not in session
        assert "_user_id" in session


def test_login_rate_limit(config: Config, make_app: Callable[[Config], Flask]) -> None:
    client = make_app(replace(config, login_rate="2 per minute")).test_client()
    data = {"csrf_token": form_token(client, "/login"), "name": "anna", "password": "wrong"}
    answers = [client.post("/login", data=data) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_cookie(client: FlaskClient, config: Config, make_app: Callable[[Config], Flask]) -> None:
    cookie = client.get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    secure = make_app(replace(config, session_cookie_secure=True)).test_client().get("/")
    assert "Secure" in secure.headers["Set-Cookie"]
    assert "max-age" in secure.headers["Strict-Transport-Security"]


def test_broken_database_is_a_page_for_who_is_logged_in_too(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        Base.metadata.drop_all(db.engine)
    answer = admin.get("/results/x")
    assert answer.status_code == 503
    assert "try again in a minute" in answer.text
    assert "Log out" not in answer.text
    with app.app_context():
        Base.metadata.create_all(db.engine)
    assert admin.get("/").status_code == 200


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/admin/history?status=benign", True),
        ("//evil.example", False),
        ("https://evil.example/", False),
        ("/\\evil.example", False),
        ("/\t/evil.example", False),
        ("javascript:alert(1)", False),
        ("admin", False),
        ("", False),
        (None, False),
    ],
)
def test_only_local_redirects(target: str | None, kept: bool) -> None:
    assert (local_path(target) == target) is (kept or target is None)
    assert (local_path(target) is not None) is kept


def test_users_commands(app: Flask, client: FlaskClient, post: Post) -> None:
    run = app.test_cli_runner().invoke
    made = run(args=["users", "create", "Anna", "--role", "admin"], input=PASSWORD + "\n")
    assert made.exit_code == 0, made.output
    assert PASSWORD not in made.output
    assert "already" in run(args=["users", "create", "anna"], input=PASSWORD + "\n").output
    assert "12" in run(args=["users", "create", "bert"], input="short\n").output
    listed = run(args=["users", "list"]).output
    assert listed.startswith("anna\tadmin\t")
    with app.app_context():
        user = db.session.scalars(select(User)).one()
        assert user.password_hash.startswith("$argon2id$")

    assert post("/login", name="anna", password=PASSWORD).status_code == 303
    changed = run(args=["users", "password", "anna"], input="another long password\n")
    assert changed.exit_code == 0
    assert client.get("/admin/history").status_code == 303  # its sessions have ended
    assert post("/login", name="anna", password=PASSWORD).status_code == 400
    assert post("/login", name="anna", password="another long password").status_code == 303
    assert run(args=["users", "password", "nobody"], input=PASSWORD + "\n").exit_code == 1


def test_roles_include_the_lesser_ones() -> None:
    assert User(role=Role.ADMIN).may(Role.VIEWER)
    assert User(role=Role.REVIEWER).may(Role.REVIEWER)
    assert not User(role=Role.VIEWER).may(Role.REVIEWER)
