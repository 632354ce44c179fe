"""A real browser and a real server for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.pages import ARGUMENTS, BROWSERS, DESKTOP, PASSWORD, PHONE, Opener, Size, find_browser, serving
from webapp import clock
from webapp.account.passwords import hash_password
from webapp.database import write_transaction
from webapp.models.user import Role, User


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a browser test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium, the system's own. Without one the tests are skipped, but fail where CI is true."""
    path = find_browser()
    if path is None:
        missing = f"no browser found ({', '.join(BROWSERS)}): install one or name it in CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def server(app: Flask) -> Iterator[str]:
    """The application behind a real HTTP server; its address."""
    with serving(app) as address:
        yield address


@pytest.fixture
def admin(app: Flask) -> User:
    """An account that may log in."""
    user = User(name="anna", password_hash=hash_password(PASSWORD), role=Role.ADMIN, created_at=clock.now())
    with app.app_context(), write_transaction() as session:
        session.add(user)
    return user


@pytest.fixture
def open_page(chromium: Browser, server: str) -> Iterator[Opener]:
    """Opens pages: `open_page("/", PHONE, dark=True, scripts=False)`. Fails the test on any error in the console."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        # A page that is meant to answer with an error status makes the browser say so; anything else is ours.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    def open_one(
        path: str = "/",
        size: Size = DESKTOP,
        *,
        dark: bool = False,
        scripts: bool = True,
        language: str = "en",
    ) -> Page:
        context = chromium.new_context(
            base_url=server,
            viewport=size,
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            has_touch=size == PHONE,
            is_mobile=size == PHONE,
            locale=language,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", complain)
        page.on("request", lambda request: complaints.append(request.url) if _foreign(request.url, server) else None)
        page.goto(path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def _foreign(url: str, server: str) -> bool:
    return not url.startswith((server, "data:", "blob:" + server))
