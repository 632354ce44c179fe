"""A promotion refused with its numbers, a promotion done, and taken back, in a browser."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import expect
from sqlalchemy import update

from ml.bundle import Bundle
from tests.browser.pages import DESKTOP, PHONE, Opener, fits, follow, log_in, press
from tests.promotion import with_three_models
from webapp.config import Config
from webapp.database import write_transaction
from webapp.models.training_run import RunState, TrainingRun
from webapp.models.user import User


@pytest.fixture
def config(
    config: Config, tiny_bundle: Bundle, weak_bundle: Bundle, promotion_set: Path, believable: dict[str, Any]
) -> Config:
    return with_three_models(config, tiny_bundle, weak_bundle, promotion_set, believable)


def test_refused_promoted_and_taken_back(open_page: Opener, app: Flask, admin: User) -> None:
    runner = app.test_cli_runner()
    page = open_page("/login", DESKTOP)
    log_in(page)
    page.goto("/admin/models")
    expect(page.locator(".bundle-answers h2")).to_contain_text("good")

    follow(page.get_by_role("link", name="weak"))
    press(page, "Compare for promotion")
    expect(page.locator(".notice")).to_contain_text("waits for “flask trainer”")
    for name in ("weak", "twin"):  # what the trainer does with the queue
        assert runner.invoke(args=["models", "check", name]).exit_code == 0

    page.goto("/admin/models/twin/1")
    expect(page.locator("[data-check=passes]")).to_be_visible()
    press(page, "Promote")
    expect(page.locator("main")).to_have_attribute("data-role", "answers")
    expect(page.locator("[data-decision=promote]")).to_contain_text("anna")
    press(page, "Roll back")
    expect(page.locator(".bundle-answers h2")).to_contain_text("good")

    with app.app_context(), write_transaction() as session:
        session.execute(update(TrainingRun).values(state=RunState.DONE))  # as the trainer leaves it
    phone = open_page("/login", PHONE, dark=True)
    log_in(phone)
    phone.goto("/admin/models/weak/1")
    press(phone, "Promote")
    check = phone.locator("[data-check=refused]")
    expect(check).to_contain_text("The numbers speak against a promotion.")
    expect(check.locator("[data-figures] tbody tr").first).to_contain_text("Malignant lesions told to be malignant")
    expect(check.locator(".reason").first).to_contain_text("percentage points")
    expect(phone.locator("[data-decision=refuse]")).to_be_visible()
    for path in ("/admin/models", "/admin/models/weak/1", "/admin/models/weak/1/shadow"):
        phone.goto(path)
        assert fits(phone), path
