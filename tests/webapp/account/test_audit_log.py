"""The audit log: what goes in, that nothing can be changed, and that tampering is found."""

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from flask_login import login_user
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from tests.times import Clock
from tests.webapp.forms import PASSWORD
from webapp import audit
from webapp.account.attempts import authenticate
from webapp.config import PROJECT_FOLDER, Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.audit import AuditEntry, AuditRepeats
from webapp.models.user import Role, User

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """Runs `flask ...`."""
    return lambda *arguments, **options: app.test_cli_runner().invoke(args=list(arguments), **options)


def add_entries(app: Flask, number: int) -> None:
    with app.app_context(), write_transaction():
        for index in range(number):
            audit.record("thing.make", f"thing:{index}", size=index, share=0.1 + index, words="äß")


def tamper(app: Flask, *statements: str) -> None:
    """Do what the database refuses, as somebody would who may change the file itself."""
    with app.app_context(), write_transaction() as session:
        for trigger in ("update", "delete", "replace"):
            session.execute(text(f"DROP TRIGGER audit_entries_no_{trigger}"))
        for statement in statements:
            session.execute(text(statement))


def entries(app: Flask) -> list[AuditEntry]:
    with app.app_context():
        return list(db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


def test_entries_are_chained_and_verified(app: Flask, run: Run) -> None:
    assert run("audit", "verify").output.startswith("0 entries")
    add_entries(app, 3)
    first, second, third = entries(app)
    assert (first.id, first.actor, first.action, first.subject) == (1, "cli", "thing.make", "thing:0")
    assert first.details == {"size": 0, "share": 0.1, "words": "äß"}
    assert first.previous_hash == audit.BEGINNING
    assert (second.previous_hash, third.previous_hash) == (first.entry_hash, second.entry_hash)
    done = run("audit", "verify", "--expect", second.entry_hash)
    assert done.exit_code == 0, done.output
    assert done.output == f"3 entries, all as they were written. Newest: 3 {third.entry_hash}\n"
    assert run("audit", "head").output == third.entry_hash + "\n"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor = 'anna' WHERE id = 1",
        "DELETE FROM audit_entries WHERE id = 2",
        "DELETE FROM audit_entries",
        "INSERT OR REPLACE INTO audit_entries "
        "SELECT 1, at, 'anna', action, subject, details, previous_hash, entry_hash FROM audit_entries WHERE id = 2",
    ],
)
def test_the_database_refuses_to_change_entries(app: Flask, statement: str) -> None:
    add_entries(app, 2)
    with app.app_context(), pytest.raises(IntegrityError, match="append-only"), write_transaction() as session:
        session.execute(text(statement))
    assert [entry.actor for entry in entries(app)] == ["cli", "cli"]


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["UPDATE audit_entries SET actor = 'anna' WHERE id = 2"], "entry 2: its content does not match its hash"),
        (["UPDATE audit_entries SET details = '{}' WHERE id = 4"], "entry 4: its content does not match its hash"),
        (["UPDATE audit_entries SET entry_hash = 'x' WHERE id = 2"], "entry 3: does not follow entry 2"),
        (["DELETE FROM audit_entries WHERE id = 3"], "entry 3: missing"),
        (["DELETE FROM audit_entries WHERE id IN (1, 2)"], "entries 1 to 2: missing"),
        (
            ["DELETE FROM audit_entries WHERE id = 2", "UPDATE audit_entries SET id = id - 1 WHERE id > 2"],
            "entry 2: does not follow entry 1",
        ),
        (
            [
                "UPDATE audit_entries SET id = 9 WHERE id = 2",
                "UPDATE audit_entries SET id = 2 WHERE id = 3",
                "UPDATE audit_entries SET id = 3 WHERE id = 9",
            ],
            "entry 2: does not follow entry 1",
        ),
    ],
)
def test_tampering_is_found(app: Flask, run: Run, statements: list[str], found: str) -> None:
    add_entries(app, 4)
    tamper(app, *statements)
    done = run("audit", "verify")
    assert done.exit_code == 1
    assert found in done.output


def test_a_cut_off_end_is_found_by_a_hash_kept_elsewhere(app: Flask, run: Run) -> None:
    add_entries(app, 4)
    kept = run("audit", "head").output.strip()
    tamper(app, "DELETE FROM audit_entries WHERE id > 2")
    assert run("audit", "verify").exit_code == 0
    done = run("audit", "verify", "--expect", kept)
    assert done.exit_code == 1
    assert "cut off" in done.output


def test_entries_stand_and_fall_with_their_transaction(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(RuntimeError, match="write transaction"):
            audit.record("thing.make", "thing:1")
        db.session.rollback()
        with pytest.raises(IntegrityError), write_transaction() as session:  # noqa: PT012  # the first line succeeds
            audit.record("thing.make", "thing:1")
            session.execute(text("INSERT INTO users (name) VALUES ('anna')"))
    assert entries(app) == []


@pytest.mark.parametrize("name", ["password", "new_password", "api_token", "note", "ip", "email_address"])
def test_secrets_do_not_get_in(app: Flask, name: str) -> None:
    with app.app_context(), pytest.raises(ValueError, match="does not belong"), write_transaction():
        audit.record("thing.make", "thing:1", **{name: "x"})


def test_long_texts_are_cut(app: Flask, run: Run) -> None:
    with app.app_context(), write_transaction():
        audit.record("thing.make", "thing:1", filters={"text": "x" * 5000, "classes": ("mel", "nv")})
    (entry,) = entries(app)
    assert len(entry.details["filters"]["text"]) == audit.LONGEST_TEXT
    assert entry.details["filters"]["classes"] == ["mel", "nv"]
    assert run("audit", "verify").exit_code == 0


def test_threads_and_processes_keep_one_chain(app: Flask, config: Config, run: Run) -> None:
    def add(number: int) -> None:
        with app.app_context(), write_transaction():
            audit.record("thing.make", f"thing:{number}")

    script = (
        "import sys; from pathlib import Path; from webapp import audit, create_app; from webapp.config import Config\n"
        "from webapp.database import write_transaction\n"
        "with create_app(Config(instance=Path(sys.argv[1]), secret_key='x')).app_context():\n"
        "    for number in range(20):\n"
        "        with write_transaction(): audit.record('thing.make', f'thing:{number}')\n"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", script, str(config.instance)], cwd=PROJECT_FOLDER) for _ in range(2)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    assert [other.wait(120) for other in others] == [0, 0]
    assert len(entries(app)) == 80
    done = run("audit", "verify")
    assert done.exit_code == 0, done.output


def test_logging_in_and_being_locked_are_recorded(
    app: Flask, add_user: Callable[..., User], post: Callable[..., TestResponse], config: Config
) -> None:
    add_user()
    post("/login", name="anna", password=PASSWORD)
    post("/logout", page="/admin/history")
    for _ in range(config.login_failures):
        post("/login", name="anna", password="wrong")
    found = [(entry.actor, entry.action, entry.subject) for entry in entries(app)]
    assert found == [
        ("anna", "session.begin", "user:1"),
        ("anna", "session.end", "user:1"),
        ("nobody", "session.refuse", "user:1"),
        ("nobody", "user.lock", "user:1"),
    ]


def test_what_is_repeated_has_one_entry_an_hour_with_its_number(
    app: Flask, add_user: Callable[..., User], config: Config, clock: Clock, run: Run
) -> None:
    add_user()

    def refused() -> list[tuple[str, object]]:
        return [(one.subject, one.details) for one in entries(app) if one.action == "session.refuse"]

    def fail(name: str) -> None:
        with app.app_context():
            assert authenticate(name, "wrong", config) is None

    for name in ("anna", "somebody", "somebody else", "anna", "anna"):
        fail(name)
    assert refused() == [("user:1", {}), ("user:unknown", {})]
    clock.forward(minutes=59)
    fail("anna")
    clock.forward(minutes=1)
    fail("anna")
    assert refused()[2:] == [("user:1", {"repeats": 3})]
    clock.forward(hours=2)
    assert run("screenings", "sweep").exit_code == 0
    assert refused()[3:] == [("user:unknown", {"repeats": 1})]
    with app.app_context():
        assert db.session.scalars(select(AuditRepeats)).all() == []
    fail("anna")
    assert refused()[4:] == [("user:1", {})]
    assert run("audit", "verify").exit_code == 0


def test_refusals_are_recorded(
    app: Flask, add_user: Callable[..., User], post: Callable[..., TestResponse], client: FlaskClient
) -> None:
    """Wrong names, which may be passwords, are not written down; a page that an account may not open is."""
    add_user("anna", Role.VIEWER)
    assert post("/login", name="a password in the wrong field", password="x").status_code == 400
    post("/login", name="anna", password=PASSWORD)
    assert client.get("/admin/users").status_code == 403
    found = [(entry.actor, entry.action, entry.subject, entry.details) for entry in entries(app)]
    assert found[0] == ("nobody", "session.refuse", "user:unknown", {})
    assert found[2] == ("anna", "page.refuse", "page:admin.users", {"needed": "admin"})
    assert "wrong field" not in str(found)


def test_commands_are_recorded_without_secrets(app: Flask, run: Run) -> None:
    run("users", "create", "anna", "--role", "admin", input=PASSWORD + "\n")
    run("users", "password", "anna", input="another long password\n")
    secret = run("tokens", "create", "clinic", "--per-day", "5").stdout.strip()
    run("tokens", "revoke", "clinic")
    run("tokens", "revoke", "clinic")
    found = [(entry.actor, entry.action, entry.subject, entry.details) for entry in entries(app)]
    assert found == [
        ("cli", "user.create", "user:1", {"name": "anna", "role": "admin"}),
        ("cli", "user.password", "user:1", {"name": "anna", "one_time": False, "sessions": 0}),
        ("cli", "token.create", "token:1", {"name": "clinic", "per_day": 5}),
        ("cli", "token.revoke", "token:1", {"name": "clinic"}),
    ]
    listed = run("audit", "list").output
    assert listed.splitlines()[0].endswith('cli\ttoken.revoke\ttoken:1\t{"name": "clinic"}')
    for hidden in (secret, PASSWORD):
        assert hidden not in listed
    assert len(run("audit", "list", "--action", "token").output.splitlines()) == 2
    assert len(run("audit", "list", "--subject", "user:1", "--limit", "1").output.splitlines()) == 1
    today = re.findall(r"\d{4}-\d\d-\d\d", listed)[0]
    assert len(run("audit", "list", "--from", today, "--to", today, "--actor", "cli").output.splitlines()) == 4
    assert run("audit", "list", "--actor", "anna").output == ""


def test_the_actor_is_who_is_logged_in(app: Flask, add_user: Callable[..., User]) -> None:
    user = add_user()
    for who in (user, None):
        with app.test_request_context():
            if who:
                login_user(who)
            with write_transaction():
                audit.record("thing.make", "thing:1")
    with app.app_context():
        assert [entry.actor for entry in audit.trail("thing:1")] == ["anna", "nobody"]
        assert [entry.actor for entry in audit.trail("thing:1", limit=1)] == ["nobody"]
