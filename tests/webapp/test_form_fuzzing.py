"""Whatever is sent to whichever address: no error of ours, and nothing of the inside in any answer.

The addresses come from the application's own map, so that new ones are tried without a line here.
"""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from benchmarks.odd_input import BODIES, FIELDS, IDS, INTERNAL, QUERIES, TYPES, VALUES, quoted
from tests.webapp.api import send
from tests.webapp.routes import addresses

SETTINGS = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # the first failure tells enough
)
# They start long work, or end the session that the test needs.
LEFT_ALONE = {"account.log_out"}
NOT_READY = {"health.readyz"}
REFUSED = {"metrics.metrics"}


@pytest.fixture
def quiet(app: Flask, admin: FlaskClient, token: str) -> Flask:
    """The application as it runs, with error pages, and as it looks to somebody who has every form's token."""
    app.config.update(WTF_CSRF_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    app.testing = False
    return app


@pytest.fixture
def token(admin: FlaskClient, photo: Any) -> str:
    """The token of an answered screening."""
    body = send(admin, photo()).json
    assert body is not None
    return str(body["id"])


def look_over(answer: TestResponse, what: str) -> None:
    """No fault of ours, and nothing of the inside."""
    assert answer.status_code < 500, f"{answer.status_code}: {what}"
    if answer.status_code >= 400:
        found = INTERNAL.search(answer.text)
        assert not found, f"{found}: {what}"
    assert "Set-Cookie: a=b" not in str(answer.headers)


def methods(app: Flask) -> list[str]:
    return sorted({method for rule in app.url_map.iter_rules() for method in rule.methods or () if method != "OPTIONS"})


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH"])
def test_every_address_with_odd_arguments_and_queries(
    quiet: Flask, admin: FlaskClient, token: str, method: str
) -> None:
    assert set(methods(quiet)) <= {"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH"}, "one more to try"

    @given(odd=st.lists(IDS, min_size=4, max_size=4), query=QUERIES, known=st.booleans())
    @SETTINGS
    def try_one(odd: list[object], query: list[tuple[str, str]], known: bool) -> None:
        names = (
            "position",
            "number",
            "photo_id",
            "screening_id",
            "name",
            "version",
            "key",
            "code",
            "run_id",
            "label_set",
        )
        values = {name: odd[place % len(odd)] for place, name in enumerate(names)}
        values["token"] = token if known else str(odd[0])
        for rule, address in addresses(quiet, values, method):
            if rule.endpoint in LEFT_ALONE | NOT_READY | REFUSED or (known and method in ("POST", "DELETE")):
                continue
            pairs = [(name, value.encode("utf-8", "surrogatepass")) for name, value in query]
            look_over(
                admin.open(address, method=method, query_string=dict(pairs)), f"{method} {rule} {address!r} {query!r}"
            )

    try_one()


@pytest.mark.parametrize("who", ["visitor", "admin"])
def test_every_form_with_odd_fields_and_bodies(quiet: Flask, admin: FlaskClient, token: str, who: str) -> None:
    client = admin if who == "admin" else quiet.test_client()
    found = [
        (rule, address)
        for rule, address in addresses(quiet, {"token": "unknown"}, "POST")
        if rule.endpoint not in LEFT_ALONE
    ]
    assert len(found) >= 5

    @given(fields=st.lists(st.tuples(FIELDS, VALUES), max_size=6), body=BODIES, kind=TYPES, raw=st.booleans())
    @SETTINGS
    def try_one(fields: list[tuple[str, str]], body: bytes, kind: str, raw: bool) -> None:
        if not raw:
            text = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in fields)
            body, kind = text.encode("ascii"), "application/x-www-form-urlencoded"
        for rule, address in found:
            headers = {"Content-Type": kind} if kind else {}
            look_over(client.post(address, data=body, headers=headers), f"{rule} {kind} {body[:200]!r}")

    try_one()


@pytest.mark.parametrize("address", ["/", "/login", "/api/v1/screenings", "/admin/history", "/nowhere", "/results/x"])
def test_very_long_queries_and_odd_headers(quiet: Flask, address: str) -> None:
    client = quiet.test_client()
    odd: list[dict[str, str]] = [
        {"Accept-Language": "x" * 5000},
        {"Accept": "\xff;q=nan"},
        {"Cookie": "lesion_lens=" + "a" * 3000},
        {"Authorization": "Bearer \xff\x00"[:9]},
        {"Authorization": "Basic !!!"},
        {"Content-Length": "0"},
        {"Idempotency-Key": '"' + "k" * 3000},
        {"X-Forwarded-For": "'"},
        {"Range": "bytes=9-1,,"},
        {"If-Modified-Since": "yesterday"},
        {"Referer": "javascript:alert(1)"},
        {"X-Request-Id": "a b\tc" * 99},
    ]
    for headers in odd:
        look_over(client.get(f"{address}?q={'a' * 20_000}", headers=headers), f"GET {address} {headers}")
        look_over(client.post(address, headers=headers), f"POST {address} {headers}")
