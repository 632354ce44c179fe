"""Sessions: listed, ended one by one or all, ending by themselves, and never the same before and after a log-in."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from tests.times import Clock
from tests.webapp.account.conftest import Visit, actions, send
from tests.webapp.forms import PASSWORD
from webapp.account import logins
from webapp.account.agents import agent_words
from webapp.account.logins import KEY
from webapp.config import Config
from webapp.extensions import db
from webapp.models.login import LoginSession
from webapp.models.user import Role, User

FIREFOX = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"


def rows(app: Flask) -> list[LoginSession]:
    with app.app_context():
        return list(db.session.scalars(select(LoginSession).order_by(LoginSession.id)))


def logged_in(client: FlaskClient) -> bool:
    return client.get("/admin/history").status_code == 200


def key(client: FlaskClient) -> str:
    with client.session_transaction() as cookie:
        return str(cookie.get(KEY))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (FIREFOX, ("Firefox", "Android")),
        (SAFARI, ("Safari", "iPhone")),
        (CHROME, ("Chrome", "Windows")),
        (CHROME + " Edg/140.0", ("Edge", "Windows")),
        ("curl/8.0", ("", "")),
        ("", ("", "")),
    ],
)
def test_browsers_are_told_in_two_words(header: str, words: tuple[str, str]) -> None:
    assert agent_words(header) == words


def test_sessions_are_listed_and_ended(app: Flask, add_user: Callable[..., User], visit: Visit) -> None:
    add_user()
    here, phone, other = visit(agent=CHROME), visit(agent=FIREFOX), visit(agent=SAFARI)
    page = here.get("/account").text
    for words in ("Chrome on Windows", "Firefox on Android", "Safari on iPhone"):
        assert words in page
    assert "127.0.0.1" not in page
    numbers = [row.id for row in rows(app)]
    assert send(here, f"/account/sessions/{numbers[1]}/end", page="/account").status_code == 303
    assert [logged_in(client) for client in (here, phone, other)] == [True, False, True]
    assert send(here, f"/account/sessions/{numbers[1]}/end", page="/account").status_code == 404
    assert send(here, "/account/sessions/end", page="/account").status_code == 303
    assert [logged_in(client) for client in (here, phone, other)] == [True, False, False]
    assert actions(app).count("session.revoke") == 2


def test_nobody_ends_a_session_of_somebody_else(app: Flask, add_user: Callable[..., User], visit: Visit) -> None:
    add_user()
    add_user("bert", Role.REVIEWER)
    anna, bert = visit("anna"), visit("bert")
    assert send(bert, f"/account/sessions/{rows(app)[0].id}/end", page="/account").status_code == 404
    assert logged_in(anna)
    # An admin may, on the page of the account.
    assert send(anna, f"/admin/users/2/sessions/{rows(app)[1].id}/end", page="/admin/users/2").status_code == 303
    assert not logged_in(bert)


def test_logging_out_ends_the_session_for_a_copied_cookie_too(
    app: Flask, add_user: Callable[..., User], visit: Visit
) -> None:
    add_user()
    client, copy = visit(), app.test_client()
    with client.session_transaction() as cookie, copy.session_transaction() as copied:
        copied.update(cookie)
    assert logged_in(copy)
    send(client, "/logout", page="/account")
    assert not logged_in(copy)
    assert rows(app) == []
    assert actions(app) == ["session.begin", "session.end"]


def test_only_the_hash_of_the_key_is_kept(app: Flask, add_user: Callable[..., User], visit: Visit) -> None:
    add_user()
    client = visit()
    assert len(key(client)) >= 40
    assert key(client) not in str([vars(row) for row in rows(app)])


def test_the_key_changes_at_each_log_in(app: Flask, add_user: Callable[..., User], visit: Visit) -> None:
    add_user()
    client = visit()
    first = key(client)
    send(client, "/logout", page="/account")
    send(client, "/login", name="anna", password=PASSWORD)
    assert key(client) != first
    assert len(rows(app)) == 1


def test_sessions_end_after_their_time(app: Flask, add_user: Callable[..., User], visit: Visit, clock: Clock) -> None:
    add_user()
    client = visit()
    for _ in range(26):  # used all day long
        clock.forward(minutes=27)
        assert logged_in(client)
    clock.forward(minutes=19)
    assert not logged_in(client)  # 12 hours are over, used or not


def test_sessions_that_are_not_used_end(app: Flask, add_user: Callable[..., User], visit: Visit, clock: Clock) -> None:
    add_user()
    client, other = visit(), visit()
    clock.forward(minutes=15)
    assert logged_in(client)
    clock.forward(minutes=22)
    assert logged_in(client)
    assert not logged_in(other)
    assert "this browser" in client.get("/account").text
    assert client.get("/account").text.count("data-session") == 1


@pytest.mark.parametrize("error", [OperationalError, InternalError])
def test_pages_answer_where_the_last_use_cannot_be_kept(
    add_user: Callable[..., User], visit: Visit, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: type[DBAPIError]
) -> None:
    add_user()
    client = visit()

    def away() -> None:
        raise error("", {}, Exception("database is locked"))

    monkeypatch.setattr(logins, "write_transaction", away)
    clock.forward(minutes=15)
    assert logged_in(client)


def test_the_last_use_is_kept_coarsely(app: Flask, add_user: Callable[..., User], visit: Visit, clock: Clock) -> None:
    add_user()
    client = visit()
    clock.forward(minutes=2)
    logged_in(client)
    assert rows(app)[0].seen_at == rows(app)[0].created_at
    clock.forward(minutes=1)
    logged_in(client)
    assert (rows(app)[0].seen_at - rows(app)[0].created_at).total_seconds() == 180


def test_idle_time_can_be_turned_off(
    config: Config, make_app: Callable[[Config], Flask], add_user: Callable[..., User], clock: Clock
) -> None:
    add_user()
    client = make_app(replace(config, session_idle_minutes=0)).test_client()
    send(client, "/login", name="anna", password=PASSWORD)
    clock.forward(minutes=11 * 60)
    assert logged_in(client)


def test_a_new_password_ends_other_sessions(app: Flask, add_user: Callable[..., User], visit: Visit) -> None:
    add_user()
    here, other = visit(), visit()
    before = key(here)
    new = "violet harbour seventeen otters"

    def change(**fields: str) -> int:
        return send(here, "/account/password", **{"password": PASSWORD, "new": new, "again": new, **fields}).status_code

    assert change(again="something else entirely") == 400
    assert change(new="password1234", again="password1234") == 400
    assert change(new=PASSWORD, again=PASSWORD) == 400
    assert change(password="wrong") == 400
    assert logged_in(other)
    assert change() == 303
    assert key(here) != before
    assert (logged_in(here), logged_in(other)) == (True, False)
    assert logged_in(visit(password=new))
    assert "user.password" in actions(app)


def test_guessing_the_present_password_locks(
    app: Flask, add_user: Callable[..., User], visit: Visit, config: Config
) -> None:
    add_user()
    here, new = visit(), "violet harbour seventeen otters"
    for password in (*["wrong"] * config.login_failures, PASSWORD):
        answer = send(here, "/account/password", password=password, new=new, again=new)
        assert answer.status_code == 400
    assert "user.lock" in actions(app)
