"""An admin trains from the web: chooses, sees what it takes, starts, watches, and stops.

A run that goes to its end is in test_admin_walk.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import expect

from ml.bundle import Bundle
from tests.browser.pages import PHONE, Opener, follow, log_in, press
from tests.webapp.training.processes import trainer
from webapp.config import Config
from webapp.models.user import User

pytestmark = pytest.mark.slow

MINUTES = 4 * 60 * 1000


@pytest.fixture
def config(tmp_path: Path, tiny_bundle: Bundle, drawn_data: Path) -> Config:
    """Settings that offer the drawn data."""
    return replace(
        Config(instance=tmp_path / "instance", model=str(tiny_bundle.path), secret_key="for tests only", testing=True),
        training_data=str(drawn_data),
    )


def test_an_admin_starts_a_run_watches_and_stops_it(app: Flask, open_page: Opener, admin: User) -> None:
    page = open_page("/")
    page.set_default_timeout(MINUTES)
    log_in(page)
    page.goto("/admin/training")
    follow(page.get_by_role("link", name="New run"))
    page.locator("#data").select_option("prepared")
    page.locator("#start").select_option("none")
    page.locator("#architecture").select_option("lenet")
    page.locator("#epochs").fill("200")
    page.locator("#name").fill("mine")
    press(page, "What would it take?")
    expect(page.get_by_role("heading", name="What it will take")).to_be_visible()
    press(page, "Start the run")
    expect(page.get_by_text("No trainer is at work")).to_be_visible()
    with trainer(app):
        expect(page.locator("[data-epoch]:not([data-epoch='0'])")).to_be_visible(timeout=MINUTES)
        assert page.locator("polyline").count() == 5
        address = page.url
        # Stopped on a phone, where scripts do not run.
        phone = open_page("/", PHONE, scripts=False)
        phone.set_default_timeout(MINUTES)
        log_in(phone)
        phone.goto(address)
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        press(phone, "Stop")
        expect(page.locator("[data-run-state=stopped]")).to_be_visible(timeout=MINUTES)
    expect(page.get_by_text("mine@").first).to_be_visible()
    # The same choices once more: how long they take is known by now.
    follow(page.get_by_role("link", name="New run with these choices"))
    expect(page.locator("#epochs")).to_have_value("200")
    press(page, "What would it take?")
    expect(page.get_by_text("for each epoch, and at most")).to_be_visible()
    page.goto("/admin/training")
    assert page.locator(".run").count() == 1
