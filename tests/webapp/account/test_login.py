"""Accounts: logging in, being locked out, and the commands that make them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest
from argon2 import PasswordHasher, Type
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from tests.conftest import REAL_HASHER
from tests.times import Clock
from tests.webapp.forms import PASSWORD, form_token
from tests.webapp.rates import DOWN
from webapp import clock
from webapp.account import attempts, passwords
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db, limiter
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


@pytest.fixture
def storage_down(config: Config, make_app: Callable[[Config], Flask], monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The application where rates cannot be counted together, three log-ins a minute allowed."""
    monkeypatch.setattr(limiter, "_storage_dead", False)  # as a new process begins; put back afterwards
    return make_app(replace(config, rate_storage=DOWN, login_rate="3 per minute"))


def test_where_rates_cannot_be_counted_together_each_process_counts(storage_down: Flask) -> None:
    client = storage_down.test_client()
    data = {"csrf_token": form_token(client, "/login"), "name": "anna", "password": "wrong"}
    assert [client.post("/login", data=data).status_code for _ in range(4)] == [400, 400, 400, 429]


def test_an_account_locks_too_where_rates_cannot_be_counted(
    storage_down: Flask, add_user: Callable[..., User], config: Config
) -> None:
    add_user()
    for number, password in enumerate((*["wrong"] * config.login_failures, PASSWORD)):
        client = storage_down.test_client()
        client.environ_base["REMOTE_ADDR"] = f"10.0.0.{number}"
        fields = {"csrf_token": form_token(client, "/login"), "name": "anna", "password": password}
        assert client.post("/login", data=fields).status_code == 400


def test_every_failure_costs_one_hash_and_one_write(
    app: Flask, add_user: Callable[..., User], config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an attempt does, and so its time, does not tell whether there is such an account."""
    add_user()
    add_user("bert", Role.VIEWER)
    done: list[str] = []
    real = passwords.matches

    def counted(known: str, given: str) -> bool:
        done.append("hash")
        return real(known, given)

    monkeypatch.setattr(passwords, "matches", counted)
    with app.app_context():
        event.listen(
            db.engine,
            "before_cursor_execute",
            lambda connection, cursor, statement, *rest: done.append(statement.split()[0]),
        )
        with write_transaction() as session:
            bert = session.scalars(select(User).where(User.name == "bert")).one()
            bert.locked_until = clock.now() + timedelta(minutes=5)
        for last in ("INSERT", "UPDATE"):  # a repeated failure is counted, and its entry taken back
            for name in ("anna", "bert", "nobody-of-this-name"):
                done.clear()
                assert attempts.authenticate(name, "wrong", config) is None
                seen = [step for step in done if step in ("hash", "UPDATE", "INSERT")]
                assert seen == ["hash", "UPDATE", "INSERT", last], name


def test_hashes_cost_what_owasp_asks_for_and_are_made_anew(
    app: Flask, add_user: Callable[..., User], config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert REAL_HASHER.type is Type.ID
    assert REAL_HASHER.memory_cost >= 19 * 1024
    assert REAL_HASHER.time_cost >= 2
    monkeypatch.setattr(passwords, "HASHER", REAL_HASHER)
    add_user()
    with app.app_context():
        with write_transaction() as session:
            user = session.scalars(select(User)).one()
            user.password_hash = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
        assert attempts.authenticate("anna", PASSWORD, config) is not None
        db.session.expire_all()
        assert "m=65536,t=3,p=4" in db.session.scalars(select(User)).one().password_hash


@pytest.mark.parametrize(
    ("password", "good"),
    [
        ("violet harbour seventeen otters", True),
        ("Tr0ub4dor&3 zx", True),
        ("short", False),
        ("password1234", False),
        ("qwertyuiop123", False),
        ("annaannaanna", False),
        ("lesionlens12", False),
        ("aaaaaaaaaaaaaaaa", False),
        ("x" * 2000, False),
    ],
)
def test_passwords_that_would_be_guessed_are_refused(app: Flask, config: Config, password: str, good: bool) -> None:
    with app.app_context():
        assert (passwords.weakness(password, "anna", config) is None) is good


def test_redirects_after_the_log_in_stay_here(client: FlaskClient, add_user: Callable[..., User]) -> None:
    add_user()
    for target in ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        page = f"/login?next={quote(target, safe='')}"
        fields = {"csrf_token": form_token(client, page), "name": "anna", "password": PASSWORD}
        assert client.post(page, data=fields).location == "/admin/history"
        assert client.get(page).location == "/admin/history"
        client.post("/logout", data={"csrf_token": form_token(client, "/account")})


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


def test_roles_include_the_lesser_ones() -> None:
    assert User(role=Role.ADMIN).may(Role.VIEWER)
    assert User(role=Role.REVIEWER).may(Role.REVIEWER)
    assert not User(role=Role.VIEWER).may(Role.REVIEWER)
