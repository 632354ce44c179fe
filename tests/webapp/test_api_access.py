"""Who may use the API, and how much: tokens, quotas, rates, and no cookies."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.times import Clock
from tests.webapp.api import KEY, SCREENINGS, kind_of, send
from tests.webapp.rates import DOWN
from webapp.config import Config
from webapp.extensions import limiter
from webapp.senders import fingerprint, network_of

Photo = Callable[..., bytes]
MODELS = "/api/v1/models"


def make_token(app: Flask, *arguments: str) -> dict[str, str]:
    """The header that carries a new token."""
    made = app.test_cli_runner().invoke(args=["tokens", "create", *arguments])
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


def test_open_by_default(client: FlaskClient, app: Flask) -> None:
    assert client.get(MODELS).status_code == 200
    assert client.get(MODELS, headers=make_token(app, "clinic")).status_code == 200
    assert client.get(MODELS, headers={"Authorization": "Basic eDp5"}).status_code == 200  # a proxy's, not ours


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer", "bearer \x00", "Bearer lens_" + "A" * 43])
def test_a_wrong_token_is_refused(client: FlaskClient, header: str) -> None:
    answer = client.get(MODELS, headers={"Authorization": header})
    assert (answer.status_code, kind_of(answer)) == (401, "token-invalid")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_token_is_refused(client: FlaskClient, app: Flask) -> None:
    header = make_token(app, "clinic")
    app.test_cli_runner().invoke(args=["tokens", "revoke", "clinic"])
    assert kind_of(client.get(MODELS, headers=header)) == "token-invalid"


def test_tokens_required(config: Config, make_app: Callable[[Config], Flask], photo: Photo) -> None:
    app = make_app(replace(config, api_tokens_required=True))
    client = app.test_client()
    for answer in (client.get(MODELS), send(client, photo()), client.get(f"{SCREENINGS}/x")):
        assert (answer.status_code, kind_of(answer)) == (401, "token-required")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/api/v1/openapi.json", "/api/v1/docs"):
        assert client.get(path).status_code == 200
    assert send(client, photo(), headers=make_token(app, "clinic")).status_code == 201


def test_quota_of_a_day(client: FlaskClient, app: Flask, photo: Photo, clock: Clock) -> None:
    header = make_token(app, "clinic", "--per-day", "2")
    assert send(client, photo(), headers={**header, **KEY}).status_code == 201
    assert send(client, photo(), headers={**header, **KEY}).status_code == 201  # the same screening: counted once
    assert send(client, b"nonsense", headers=header).status_code == 422  # none: not counted
    assert send(client, photo(), headers=header).status_code == 201
    refused = send(client, photo(), headers=header)
    assert (refused.status_code, kind_of(refused)) == (429, "quota-used-up")
    assert refused.headers["Retry-After"] == str(12 * 3600)  # it is noon
    assert send(client, photo()).status_code == 201  # without the token
    clock.forward(hours=12)
    assert send(client, photo(), headers=header).status_code == 201
    assert "clinic\t1 of 2 today" in app.test_cli_runner().invoke(args=["tokens", "list"]).output


def test_keys_of_different_tokens_are_different(client: FlaskClient, app: Flask, photo: Photo) -> None:
    one, other = ({**make_token(app, name), **KEY} for name in ("one", "other"))
    answers = [send(client, photo(), headers=headers).json for headers in (one, other, KEY)]
    assert len({answer["id"] for answer in answers if answer}) == 3


def test_rates_by_address_and_by_token(config: Config, make_app: Callable[[Config], Flask]) -> None:
    app = make_app(replace(config, api_rate="2 per minute"))
    client = app.test_client()
    header = make_token(app, "clinic")

    def ask(address: str, headers: dict[str, str] | None = None) -> int:
        return client.get(MODELS, headers=headers, environ_base={"REMOTE_ADDR": address}).status_code

    assert [ask("192.0.2.1") for _ in range(3)] == [200, 200, 429]
    assert ask("192.0.2.2") == 200
    # A token counts for itself, from wherever it comes; guessing tokens counts for the address.
    assert [ask(address, header) for address in ("192.0.2.1", "192.0.2.3", "192.0.2.4")] == [200, 200, 429]
    guess = {"Authorization": "Bearer nonsense"}
    assert [ask("192.0.2.5", guess) for _ in range(3)] == [401, 401, 429]
    refused = client.get(MODELS, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert kind_of(refused) == "too-many-requests"
    assert 0 < int(refused.headers["Retry-After"]) <= 61


def test_an_address_is_counted_by_its_network_and_kept_as_a_fingerprint(
    config: Config, make_app: Callable[[Config], Flask]
) -> None:
    app = make_app(replace(config, api_rate="2 per minute", view_rate="2 per minute"))
    client = app.test_client()

    def ask(path: str, address: str) -> int:
        return client.get(path, environ_base={"REMOTE_ADDR": address}).status_code

    neighbours = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::3"]
    assert [ask(MODELS, address) for address in neighbours] == [200, 200, 429]
    assert [ask("/results/nothing", address) for address in neighbours] == [404, 404, 429]
    assert ask("/results/nothing/photos/1/heatmap", neighbours[0]) == 429
    assert ask(MODELS, "2001:db8:1:3::1") == 200
    assert [ask(MODELS, address) for address in ("::ffff:192.0.2.9", "192.0.2.9", "192.0.2.9")] == [200, 200, 429]
    kept = " ".join(map(str, limiter.storage.storage))  # type: ignore[attr-defined]
    assert kept
    for part in ("2001", "192.0.2", "db8"):
        assert part not in kept
    with app.app_context():
        assert network_of("fe80::1%eth0") == "fe80::/64"
        assert network_of("no address") == "no address"
        key = fingerprint("192.0.2.9")
        app.config["SECRET_KEY"] = "another"
        assert fingerprint("192.0.2.9") != key


def test_a_refused_request_is_read_to_its_end(config: Config, make_app: Callable[[Config], Flask]) -> None:
    """Most clients hear of an answer only once they have sent all of their body."""
    client = make_app(replace(config, api_rate="1 per minute")).test_client()
    for headers, status in (({"Authorization": "Bearer nonsense"}, 401), ({}, 429)):
        body = io.BytesIO(bytes(300_000))
        answer = client.post(
            "/api/v1/screenings", headers=headers, input_stream=body, content_length=300_000, content_type="image/jpeg"
        )
        assert answer.status_code == status
        assert body.tell() == 300_000


def test_json_is_data_and_no_page(client: FlaskClient) -> None:
    for path, status in ((MODELS, 200), ("/api/v1/nowhere", 404), ("/api/v1/openapi.json", 200)):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.headers["Content-Disposition"] == 'attachment; filename="api.json"'
    assert "Content-Disposition" not in client.get("/readyz").headers


def test_rates_that_cannot_be_counted(config: Config, make_app: Callable[[Config], Flask], photo: Photo) -> None:
    client = make_app(replace(config, rate_storage=DOWN)).test_client()
    for answer in (client.get(MODELS), send(client, photo())):
        assert (answer.status_code, kind_of(answer)) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0


def test_rate_of_uploads(config: Config, make_app: Callable[[Config], Flask]) -> None:
    client = make_app(replace(config, upload_rate="2 per minute")).test_client()
    assert [send(client).status_code for _ in range(3)] == [422, 422, 429]
    assert client.get(MODELS).status_code == 200


def test_cookies_are_neither_read_nor_set(admin: FlaskClient, photo: Photo) -> None:
    admin.get("/language/de")
    answer = send(admin, photo())  # without a form token
    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.json["recommendation"]["language"] == "en"
    for path in (answer.location, MODELS, "/api/v1/nowhere"):
        assert "Set-Cookie" not in admin.get(path).headers
