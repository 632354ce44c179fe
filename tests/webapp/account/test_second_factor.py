"""The second factor: codes as RFC 6238 has them, used once each, guesses counted, recovery, and who must have one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.times import Clock
from tests.webapp.account.conftest import Visit, actions, enrol, send
from tests.webapp.forms import PASSWORD
from webapp.account import second_factor
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.login import RecoveryCode
from webapp.models.user import Role, User


def code(secret: str, clock: Clock) -> str:
    return pyotp.TOTP(secret).at(int(clock.time.timestamp()))


def with_password(app: Flask) -> FlaskClient:
    """A browser where the password was right and the code is asked for."""
    client = app.test_client()
    answer = send(client, "/login?next=/account", name="anna", password=PASSWORD)
    assert (answer.status_code, answer.location) == (303, "/login/code?next=/account")
    assert client.get("/account").status_code == 303  # half of the way opens nothing
    return client


@pytest.fixture
def secret(app: Flask, add_user: Callable[..., User], visit: Visit, clock: Clock) -> tuple[str, list[str]]:
    """The secret and the recovery codes of anna's second factor."""
    add_user()
    return enrol(visit(), clock.time.timestamp())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_rfc_6238(seconds: int, expected: str) -> None:
    """Appendix B of the RFC, its last six digits; the secret is "12345678901234567890"."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    step = seconds // 30
    for around, right in ((-60, False), (-30, True), (0, True), (30, True), (60, False)):
        now = datetime.fromtimestamp(seconds + around, UTC)
        assert second_factor.matching_step(secret, expected, now) == (step if right else None)


def test_enrolment_wants_password_and_code(
    app: Flask, add_user: Callable[..., User], visit: Visit, clock: Clock
) -> None:
    add_user()
    client, other = visit(), visit()
    page = client.get("/account/second-factor").text
    secret = page.split('data-secret="')[1].split('"')[0]
    assert secret in client.get("/account/second-factor").text  # the same until it is confirmed
    picture = client.get("/account/second-factor/picture.svg")
    assert picture.content_type.startswith("image/svg+xml")
    assert picture.data.count(b"<path") >= 1
    assert "no-store" in picture.headers["Cache-Control"]
    with client.session_transaction() as cookie:
        assert secret not in str(dict(cookie))
        before = cookie["login"]
    path = "/account/second-factor"
    assert send(client, path, password="wrong", code=code(secret, clock)).status_code == 400
    assert send(client, path, password=PASSWORD, code="000000").status_code == 400
    done = send(client, path, password=PASSWORD, code=code(secret, clock))
    assert done.text.count("<li><code>") == 10
    with client.session_transaction() as cookie:
        assert cookie["login"] != before
        assert "enrolment" not in cookie
    assert client.get("/account").status_code == 200
    assert other.get("/account").status_code == 303
    assert client.get("/account/second-factor/picture.svg").status_code == 404
    with app.app_context():
        user = db.session.scalars(select(User)).one()
        assert user.totp_secret is not None
        assert secret.encode() not in user.totp_secret
        hashes = {row.code_hash for row in db.session.scalars(select(RecoveryCode))}
    assert all(one not in hashes for one in done.text.split())
    assert actions(app)[-1] == "second_factor.enrol"


def test_a_code_counts_once(app: Flask, secret: tuple[str, list[str]], clock: Clock) -> None:
    clock.forward(minutes=1)
    client, other = with_password(app), with_password(app)
    answer = send(
        client, "/login/code?next=/account", code=f" {code(secret[0], clock)[:3]} {code(secret[0], clock)[3:]} "
    )
    assert (answer.status_code, answer.location) == (303, "/account")
    assert client.get("/account").status_code == 200
    replayed = send(other, "/login/code", code=code(secret[0], clock))
    assert replayed.status_code == 400
    assert "This code was used already" in replayed.text
    assert "This code was used already" not in send(other, "/login/code", code="000000").text
    clock.forward(seconds=30)
    assert send(other, "/login/code", code=code(secret[0], clock)).status_code == 303


def test_the_code_of_enrolment_does_not_count_again(app: Flask, secret: tuple[str, list[str]], clock: Clock) -> None:
    assert send(with_password(app), "/login/code", code=code(secret[0], clock)).status_code == 400


def test_recovery_codes_count_once(app: Flask, secret: tuple[str, list[str]]) -> None:
    first = secret[1][0]
    assert send(with_password(app), "/login/code", code=first.upper().replace("-", " ")).status_code == 303
    assert send(with_password(app), "/login/code", code=first).status_code == 400
    client = with_password(app)
    assert send(client, "/login/code", code=secret[1][1]).status_code == 303
    assert "Recovery codes left: 8" in client.get("/account").text
    assert actions(app).count("second_factor.recovery") == 2


def test_guesses_of_codes_lock_the_account(
    app: Flask, secret: tuple[str, list[str]], clock: Clock, config: Config
) -> None:
    clock.forward(minutes=1)
    for _ in range(config.login_failures):  # a right password in between buys no more guesses
        assert send(with_password(app), "/login/code", code="000000").status_code == 400
    locked = app.test_client()
    assert send(locked, "/login", name="anna", password=PASSWORD).status_code == 400
    assert actions(app)[-2:] == ["session.refuse", "user.lock"]  # the right password after it is counted
    clock.forward(minutes=config.login_lock_minutes + 1)
    assert send(with_password(app), "/login/code", code=code(secret[0], clock)).status_code == 303


def test_half_of_the_way_ends_soon(app: Flask, secret: tuple[str, list[str]], clock: Clock) -> None:
    client = with_password(app)
    clock.forward(minutes=6)
    assert client.get("/login/code").location == "/login"
    assert app.test_client().get("/login/code").location == "/login"


def test_a_new_password_in_between_ends_the_way(app: Flask, secret: tuple[str, list[str]], clock: Clock) -> None:
    client = with_password(app)
    app.test_cli_runner().invoke(args=["users", "password", "anna"], input="violet harbour seventeen otters\n")
    clock.forward(minutes=1)
    assert send(client, "/login/code", code=code(secret[0], clock)).status_code == 400


def test_turning_it_off_and_new_codes_want_both_factors(
    app: Flask, secret: tuple[str, list[str]], clock: Clock
) -> None:
    clock.forward(minutes=1)
    client = with_password(app)
    send(client, "/login/code", code=code(secret[0], clock))
    page = "/account/second-factor"
    for path in (f"{page}/codes", f"{page}/remove"):
        clock.forward(minutes=1)
        assert send(client, path, page=page, password="wrong", code=code(secret[0], clock)).status_code == 400
        assert send(client, path, page=page, password=PASSWORD, code="000000").status_code == 400
    renewed = send(client, f"{page}/codes", page=page, password=PASSWORD, code=code(secret[0], clock))
    assert renewed.text.count("<li><code>") == 10
    assert secret[1][0] not in renewed.text
    clock.forward(minutes=1)
    assert send(client, f"{page}/remove", page=page, password=PASSWORD, code=secret[1][1]).status_code == 400
    removed = send(client, f"{page}/remove", page=page, password=PASSWORD, code=code(secret[0], clock))
    assert removed.status_code == 303
    with app.app_context():
        assert db.session.scalars(select(User)).one().totp_secret is None
        assert db.session.scalars(select(RecoveryCode)).all() == []
    done = [action for action in actions(app) if action != "session.refuse"]
    assert done[-2:] == ["second_factor.renew", "second_factor.remove"]


@pytest.mark.parametrize(("setting", "kept"), [("off", ()), ("admins", ("anna",)), ("all", ("anna", "bert"))])
def test_who_must_have_one_sets_it_up_first(
    config: Config,
    make_app: Callable[[Config], Flask],
    add_user: Callable[..., User],
    setting: str,
    kept: tuple[str, ...],
) -> None:
    add_user()
    add_user("bert", Role.REVIEWER)
    app = make_app(replace(config, require_totp=setting))
    for name in ("anna", "bert"):
        client = app.test_client()
        send(client, "/login", name=name, password=PASSWORD)
        answer = client.get("/admin/history")
        assert (answer.location if name in kept else answer.status_code) == (
            "/account/second-factor" if name in kept else 200
        )
        if name in kept:
            for path in ("/", "/account", "/account/password"):
                assert client.get(path).location == "/account/second-factor"
            assert client.get("/static/css/tokens.css").status_code == 200
            enrol(client, datetime.now(UTC).timestamp())
            assert client.get("/admin/history").status_code == 200


def test_a_secret_opens_for_its_account_only(app: Flask, add_user: Callable[..., User]) -> None:
    anna, bert = add_user(), add_user("bert")
    with app.app_context():
        sealed = second_factor.seal(anna, "SECRET")
        assert second_factor.unseal(anna, sealed) == "SECRET"
        assert second_factor.unseal(bert, sealed) is None
        app.config["SECRET_KEY"] = "another one"
        assert second_factor.unseal(anna, sealed) is None
        with write_transaction() as session:
            user = session.get_one(User, anna.id)
            user.totp_secret = sealed
            assert not second_factor.accept(user, "123456", datetime.now(UTC))
