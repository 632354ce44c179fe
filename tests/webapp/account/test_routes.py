"""Authorisation of every address: nobody, viewers, reviewers and admins each try all of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import AnyConverter, BaseConverter, IntegerConverter
from werkzeug.test import TestResponse

from tests.webapp.route_roles import ROUTES
from webapp import clock
from webapp.account.access import required_role
from webapp.account.logins import KEY, _hash
from webapp.config import Config
from webapp.database import write_transaction
from webapp.models.login import LoginSession
from webapp.models.user import Role, User

ROLES = ("viewer", "reviewer", "admin")


@pytest.fixture
def config(config: Config, tmp_path: Path) -> Config:
    """No model answers here: none has to be loaded to see who may ask."""
    return replace(config, model=str(tmp_path / "none"))


def sample(converter: BaseConverter) -> str | int:
    """A value that names nothing; one of those offered where there is a choice."""
    if isinstance(converter, AnyConverter):
        return sorted(converter.items)[0]
    return 987654321 if isinstance(converter, IntegerConverter) else "nothing-here"


def tries(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Endpoint, method and address of everything that can be asked for."""
    addresses = app.url_map.bind("localhost")
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.endpoint):
        values = {name: sample(rule._converters[name]) for name in rule.arguments}
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, addresses.build(rule.endpoint, values, method=method)


def test_every_route_has_its_line(app: Flask) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert set(ROUTES.values()) <= {"public", "token", "api", *ROLES}
    missing, gone = sorted(endpoints - set(ROUTES)), sorted(set(ROUTES) - endpoints)
    assert not missing, f"say in tests/webapp/route_roles.py who may open {', '.join(missing)}"
    assert not gone, f"remove from tests/webapp/route_roles.py: {', '.join(gone)}"
    assert list(ROUTES) == sorted(ROUTES), "keep tests/webapp/route_roles.py sorted"


def test_every_admin_page_says_which_role_it_needs(app: Flask) -> None:
    silent = [
        name for name, view in app.view_functions.items() if name.startswith("admin.") and not required_role(view)
    ]
    assert not silent, f"put @requires(Role....) of webapp.account.access under the route of {', '.join(silent)}"


@pytest.fixture
def knock(app: Flask, add_user: Callable[..., User]) -> Callable[[str, str, str], TestResponse]:
    """Asks for an address as somebody with a fresh session: `knock("viewer", "GET", "/admin/history")`."""
    app.config["WTF_CSRF_ENABLED"] = False  # forms are refused for their own reasons; here it is about roles
    users = {role: add_user(role, Role(role)) for role in ROLES}

    def ask(who: str, method: str, path: str) -> TestResponse:
        client = app.test_client()
        if who in users:
            enter(app, client, users[who], f"{who} {method} {path}")
        # Read to the end: a download that is left open keeps its request, and with it who is logged in, alive.
        return client.open(path, method=method, buffered=True)

    return ask


def enter(app: Flask, client: FlaskClient, user: User, key: str) -> None:
    now = clock.now()
    with app.app_context(), write_transaction() as session:
        session.add(
            LoginSession(
                user_id=user.id, key_hash=_hash(key), created_at=now, seen_at=now, browser="Firefox", system="Linux"
            )
        )
    with client.session_transaction() as cookie:
        cookie.update({KEY: key, "_user_id": user.get_id(), "_fresh": True})


def test_nobody_gets_further_than_the_table_says(app: Flask, knock: Callable[[str, str, str], TestResponse]) -> None:
    wrong = []
    for endpoint, method, path in tries(app):
        needed = ROUTES.get(endpoint, "admin")
        for who in ("nobody", *ROLES):
            answer = knock(who, method, path)
            to_login = answer.status_code == 303 and (answer.location or "").startswith("/login")
            if needed not in ROLES:
                right = answer.status_code not in (403, 500) and (not to_login or path.startswith("/login"))
                right = right and (needed != "token" or answer.status_code == 404)
            elif who == "nobody":
                right = to_login
            elif ROLES.index(who) < ROLES.index(needed):
                right = answer.status_code == 403
            else:
                right = answer.status_code not in (401, 403, 500) and not to_login
            if not right:
                wrong.append(f"{method} {path} ({endpoint}, {needed}) as {who}: {answer.status}, {answer.location}")
    assert not wrong, "\n".join(wrong)
