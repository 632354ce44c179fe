"""`flask tokens`: made once, listed without their secrets, revoked for good."""

from collections.abc import Callable

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from tests.times import Clock
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.token import ApiToken, secret_hash

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """Runs `flask tokens ...`."""
    return lambda *arguments: app.test_cli_runner().invoke(args=["tokens", *arguments])


def test_only_the_hash_of_a_token_is_kept(app: Flask, run: Run) -> None:
    made = run("create", "clinic", "--per-day", "5")
    secret = made.stdout.strip()
    assert made.exit_code == 0
    assert secret.startswith("lens_")
    assert len(secret) >= 48
    with app.app_context():
        token = db.session.scalars(select(ApiToken)).one()
    assert (token.name, token.per_day, token.used, token.revoked_at) == ("clinic", 5, 0, None)
    assert token.secret_hash == secret_hash(secret) != secret
    assert secret not in run("list").output


def test_list_counts_the_present_day(app: Flask, run: Run, clock: Clock) -> None:
    assert run("list").output == ""
    run("create", "clinic", "--per-day", "5")
    assert run("list").output == "clinic\t0 of 5 today\tnever used\tvalid\n"
    with app.app_context(), write_transaction() as session:
        token = session.scalars(select(ApiToken)).one()
        token.used_on, token.used = clock.time.date(), 3
    assert run("list").output == "clinic\t3 of 5 today\tlast used on 2026-03-01\tvalid\n"
    clock.forward(days=1)
    assert "\t0 of 5 today\tlast used on 2026-03-01\t" in run("list").output


def test_revoking(run: Run, clock: Clock) -> None:
    run("create", "clinic")
    assert run("revoke", "clinic").exit_code == 0
    clock.forward(days=2)
    assert run("revoke", "clinic").exit_code == 0
    assert "revoked on 2026-03-01" in run("list").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", " "), "1 to 80 characters"),
        (("create", "x" * 81), "1 to 80 characters"),
        (("create", "twice"), "Choose another name"),
        (("create", "none", "--per-day", "0"), "per-day"),
        (("revoke", "nobody"), "There is no token 'nobody'"),
    ],
)
def test_refusals(run: Run, arguments: tuple[str, ...], words: str) -> None:
    run("create", "twice")
    refused = run(*arguments)
    assert refused.exit_code != 0
    assert words in refused.output
