"""What protects visitors and the site beside log-in and forms: headers, cookies, host names, search engines."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.webapp.routes import addresses
from webapp.config import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings without a model: nothing here asks for an answer."""
    return Config(
        instance=tmp_path / "instance", model=str(tmp_path / "none"), secret_key="for tests only", testing=True
    )


@pytest.fixture
def behind_tls(config: Config, make_app: Callable[[Config], Flask]) -> FlaskClient:
    """A visitor of a site behind a proxy that does TLS."""
    settings = replace(
        config, session_cookie_secure=True, trusted_proxies=1, allowed_hosts="lens.example.org, .wards.example.org"
    )
    return make_app(settings).test_client()


def get(client: FlaskClient, path: str, host: str = "lens.example.org", **headers: str) -> TestResponse:
    return client.get(path, base_url=f"https://{host}", headers={"X-Forwarded-Proto": "https", **headers})


def test_behind_tls_cookies_are_bound_to_the_host(behind_tls: FlaskClient) -> None:
    answer = get(behind_tls, "/")
    name, _, rest = answer.headers["Set-Cookie"].partition("=")
    attributes = {part.strip() for part in rest.split(";")[1:]}
    assert name == "__Host-lesion_lens"
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= attributes
    assert not any(part.startswith("Domain") for part in attributes)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    other = get(behind_tls, "/results/nothing")
    assert other.status_code == 404
    assert other.headers["Strict-Transport-Security"]


def test_only_named_hosts_are_answered_for(behind_tls: FlaskClient, config: Config) -> None:
    for host in ("lens.example.org", "lens.example.org:443", "LENS.example.org", "north.wards.example.org"):
        assert get(behind_tls, "/healthz", host).status_code == 200
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):  # health checks on the machine itself
        assert get(behind_tls, "/healthz", host).status_code == 200
    for host in ("evil.example", "lens.example.org.evil.example", "evillens.example.org", "10.0.0.7"):
        answer = get(behind_tls, "/login", host)
        assert answer.status_code == 400
        assert answer.mimetype == "text/plain"
        assert "evil" not in answer.text
    assert get(behind_tls, "/login", **{"X-Forwarded-Host": "evil.example"}).status_code == 400


def test_without_the_setting_any_host_is_answered_for(client: FlaskClient) -> None:
    assert client.get("/healthz", base_url="http://any.example").status_code == 200


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_nothing_is_open_to_other_origins(app: Flask, client: FlaskClient, header: dict[str, str]) -> None:
    for _rule, path in addresses(app, {"token": "nothing", "filename": "css/pages.css", "code": "en"}, "GET"):
        answer = client.get(path, headers=header, buffered=True)
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")], path
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin", path
        preflight = client.options(path, headers={**header, "Access-Control-Request-Method": "POST"})
        assert not [name for name, _ in preflight.headers if name.lower().startswith("access-control")], path


def test_every_answer_has_the_headers(app: Flask, client: FlaskClient) -> None:
    for rule, path in addresses(app, {"token": "nothing", "filename": "css/pages.css", "code": "en"}, "GET"):
        headers = client.get(path, buffered=True).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert headers["Referrer-Policy"] == "same-origin", path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", path
        assert "camera=()" in headers["Permissions-Policy"], path
        assert "Server" not in headers, path
        if rule.endpoint != "static":
            assert headers["Cache-Control"] == "private, no-store", path
        if rule.endpoint != "static" and path != "/":
            assert headers["X-Robots-Tag"] == "noindex", path


def test_search_engines_are_told_to_stay_out(client: FlaskClient) -> None:
    answer = client.get("/robots.txt")
    assert answer.mimetype == "text/plain"
    lines = answer.text.splitlines()
    assert lines[0] == "User-agent: *"
    assert {"Disallow: /results/", "Disallow: /admin/", "Disallow: /api/", "Disallow: /login"} <= set(lines)
    assert "Disallow: /" not in lines


def test_uploads_are_in_no_folder_that_is_served(app: Flask, config: Config) -> None:
    served = Path(app.static_folder or "").resolve()
    for folder in (config.photos, config.instance, config.models, config.runs):
        assert not folder.resolve().is_relative_to(served)
        assert not served.is_relative_to(folder.resolve())


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_about_privacy_tells_what_is_set(
    config: Config, make_app: Callable[[Config], Flask], language: str
) -> None:
    def page(**settings: object) -> str:
        client = make_app(replace(config, **settings)).test_client()  # type: ignore[arg-type]
        answer = client.get("/privacy", headers={"Accept-Language": language})
        assert answer.status_code == 200
        return answer.text

    assert "/delete" not in page()
    told = page(photo_retention_days=37, operator="Dr. Example, Example Street", telegram_token="1:x", session_hours=9)
    assert "37" in told
    assert "Dr. Example, Example Street" in told
    assert "/delete" in told
    assert ("Fingerabdruck" if language == "de" else "fingerprint") in told
    assert "1:x" not in told
    assert ("ohne das, was" if language == "de" else "without what was said") in told


def test_the_page_about_privacy_is_linked_from_every_page(client: FlaskClient) -> None:
    for path in ("/", "/login", "/privacy", "/nothing"):
        assert 'href="/privacy"' in client.get(path).text, path


def test_forms_from_elsewhere_are_refused_behind_tls(behind_tls: FlaskClient) -> None:
    page = get(behind_tls, "/login").text
    token = page.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    fields = {"csrf_token": token, "name": "anna", "password": "x" * 12}
    for referrer, expected in (("https://evil.example/login", "expired"), ("https://lens.example.org/login", "wrong")):
        answer = behind_tls.post(
            "/login",
            base_url="https://lens.example.org",
            headers={"X-Forwarded-Proto": "https", "Referer": referrer},
            data=fields,
        )
        assert answer.status_code == 400
        assert expected in answer.text
