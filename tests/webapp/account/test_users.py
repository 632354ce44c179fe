"""Accounts in the hands of admins, in the browser and on the command line, and the page of the audit log."""

import re
import time
from collections.abc import Callable

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.times import Clock
from tests.webapp.account.conftest import Visit, actions, enrol, send
from tests.webapp.forms import PASSWORD
from webapp import audit
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.user import Role, User

Run = Callable[..., Result]
NEW = "violet harbour seventeen otters"


@pytest.fixture
def run(app: Flask) -> Run:
    """Runs `flask users ...`."""
    return lambda *arguments, **options: app.test_cli_runner().invoke(args=["users", *arguments], **options)


@pytest.fixture
def anna(add_user: Callable[..., User], visit: Visit) -> FlaskClient:
    """An admin who is logged in."""
    add_user()
    return visit()


def read(app: Flask, name: str) -> User:
    with app.app_context():
        return db.session.scalars(select(User).where(User.name == name)).one()


def one_time(text: str) -> str:
    found = re.search(r"data-password>([^<]+)<", text)
    assert found
    return found.group(1)


def test_an_account_begins_with_a_one_time_password(app: Flask, anna: FlaskClient, visit: Visit) -> None:
    made = send(anna, "/admin/users", name=" Bert ", role="reviewer")
    password = one_time(made.text)
    assert len(password) >= 20
    assert password not in anna.get("/admin/users").text + anna.get("/admin/users/2").text
    bert = visit("bert", password)
    for path in ("/admin/history", "/", "/account"):
        assert bert.get(path).location == "/account/password"
    assert send(bert, "/account/password", password=password, new=NEW, again=NEW).status_code == 303
    assert bert.get("/admin/history").status_code == 200
    assert read(app, "bert").one_time_until is None
    assert send(app.test_client(), "/login", name="bert", password=password).status_code == 400
    again = send(anna, "/admin/users", name="BERT", role="viewer")
    assert again.status_code == 400
    assert "There is an account" in again.text
    assert send(anna, "/admin/users", name="", role="viewer").status_code == 400
    assert send(anna, "/admin/users", name="carl", role="king").status_code == 400
    assert password not in app.test_cli_runner().invoke(args=["audit", "list"]).output


def test_a_one_time_password_expires(app: Flask, anna: FlaskClient, clock: Clock) -> None:
    clock.time = read(app, "anna").created_at
    password = one_time(send(anna, "/admin/users", name="bert", role="viewer").text)
    clock.forward(minutes=7 * 24 * 60 + 1)
    assert send(app.test_client(), "/login", name="bert", password=password).status_code == 400


def test_a_change_of_role_ends_sessions(
    app: Flask, anna: FlaskClient, add_user: Callable[..., User], visit: Visit
) -> None:
    add_user("bert", Role.VIEWER)
    bert = visit("bert")
    assert bert.get("/admin/users").status_code == 403
    assert send(anna, "/admin/users/2/role", page="/admin/users/2", role="admin").status_code == 303
    assert bert.get("/admin/history").status_code == 303
    assert visit("bert").get("/admin/users").status_code == 200
    assert "user.role" in actions(app)


def test_closing_opening_unlocking(app: Flask, anna: FlaskClient, add_user: Callable[..., User], visit: Visit) -> None:
    add_user("bert", Role.VIEWER)
    bert = visit("bert")
    assert send(anna, "/admin/users/2/deactivate", page="/admin/users/2").status_code == 303
    assert bert.get("/admin/history").status_code == 303
    assert send(app.test_client(), "/login", name="bert", password=PASSWORD).status_code == 400
    assert "Closed" in anna.get("/admin/users").text
    send(anna, "/admin/users/2/activate", page="/admin/users/2")
    assert bert.get("/admin/history").status_code == 303  # what has ended stays ended
    assert visit("bert").get("/admin/history").status_code == 200
    for _ in range(5):
        send(app.test_client(), "/login", name="bert", password="wrong")
    assert "Locked until" in anna.get("/admin/users/2").text
    send(anna, "/admin/users/2/unlock", page="/admin/users/2")
    assert visit("bert").get("/admin/history").status_code == 200


def test_resetting_what_somebody_has_lost(
    app: Flask, anna: FlaskClient, add_user: Callable[..., User], visit: Visit
) -> None:
    add_user("bert", Role.VIEWER)
    bert = visit("bert")
    enrol(bert, time.time())
    assert send(anna, "/admin/users/2/second-factor", page="/admin/users/2").status_code == 303
    assert bert.get("/account").status_code == 303
    assert "second_factor.reset" in actions(app)
    bert = visit("bert")
    password = one_time(send(anna, "/admin/users/2/password", page="/admin/users/2").text)
    assert bert.get("/account").status_code == 303
    assert visit("bert", password).get("/account").location == "/account/password"


def test_admins_do_not_change_themselves_here(app: Flask, anna: FlaskClient) -> None:
    for path in ("role", "deactivate", "second-factor", "password"):
        answer = send(anna, f"/admin/users/1/{path}", page="/admin/users/1", role="viewer")
        assert answer.status_code == 400
        assert "your own account" in answer.text
    assert read(app, "anna").role == Role.ADMIN


def test_the_last_admin_stays(app: Flask, run: Run) -> None:
    for name, role in (("anna", "admin"), ("bert", "admin"), ("carl", "reviewer")):
        assert run("create", name, "--role", role, input=PASSWORD + "\n").exit_code == 0
    assert run("deactivate", "bert").exit_code == 0
    for arguments in (("role", "anna", "viewer"), ("deactivate", "anna")):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert "last administrator" in refused.output
    run("activate", "bert")
    assert run("role", "anna", "viewer").exit_code == 0
    assert run("deactivate", "bert").exit_code == 1


def test_users_commands(app: Flask, client: FlaskClient, run: Run) -> None:
    made = run("create", "Anna", "--role", "admin", input=PASSWORD + "\n")
    assert made.exit_code == 0, made.output
    assert PASSWORD not in made.output
    assert "already" in run("create", "anna", input=PASSWORD + "\n").output
    assert "12" in run("create", "bert", input="short\n").output
    assert "guessed" in run("create", "bert", input="password1234\n").output
    assert run("list").output == "anna\tadmin\tlast log-in: never\tactive\tno second factor\n"
    assert read(app, "anna").password_hash.startswith("$argon2id$")

    assert send(client, "/login", name="anna", password=PASSWORD).status_code == 303
    changed = run("password", "anna", input=NEW + "\n")
    assert changed.exit_code == 0
    assert client.get("/admin/history").status_code == 303  # its sessions have ended
    assert send(client, "/login", name="anna", password=PASSWORD).status_code == 400
    assert send(client, "/login", name="anna", password=NEW).status_code == 303
    for command in ("password", "deactivate", "activate", "unlock", "reset-totp"):
        missing = run(command, "nobody", input=PASSWORD + "\n")
        assert missing.exit_code == 1
        assert "There is no account" in missing.output
    for _ in range(5):
        send(app.test_client(), "/login", name="anna", password="wrong")
    assert "locked until" in run("list").output
    assert run("unlock", "anna").exit_code == 0
    assert run("reset-totp", "anna").exit_code == 0
    told = run("create", "carl", "--one-time")
    assert read(app, "carl").one_time_until is not None
    assert send(app.test_client(), "/login", name="carl", password=told.stdout.strip()).status_code == 303


def test_the_page_of_the_audit_log(app: Flask, anna: FlaskClient) -> None:
    with app.app_context(), write_transaction():
        for number in range(120):
            audit.record("review.submit" if number % 2 else "case.rescore", f"screening:{number}", weight=number)

    def numbers(path: str) -> list[int]:
        return [int(number) for number in re.findall(r'data-entry="(\d+)"', anna.get(path).text)]

    def follow(path: str, rel: str) -> str:
        found = re.search(rf'rel="{rel}" href="([^"]+)"', anna.get(path).text)
        assert found
        return found.group(1).replace("&amp;", "&")

    assert numbers("/admin/audit") == list(range(121, 71, -1))
    second = follow("/admin/audit", "next")
    third = follow(second, "next")
    assert numbers(second) == list(range(71, 21, -1))
    assert numbers(third) == list(range(21, 0, -1))
    assert numbers(follow(third, "prev")) == numbers(second)
    assert 'rel="next"' not in anna.get(third).text
    assert len(numbers("/admin/audit?action=review&from=2020-01-01")) == 50
    assert numbers("/admin/audit?action=session.begin") == [1]
    assert numbers("/admin/audit?action=session.beg") == []
    assert numbers("/admin/audit?subject=screening:7&actor=cli") == [9]
    assert numbers("/admin/audit?to=2020-01-01") == []
    assert numbers("/admin/audit?older=nonsense&from=nonsense&actor=Anna") == [1]
    assert "weight: 7" in anna.get("/admin/audit?subject=screening:7").text
