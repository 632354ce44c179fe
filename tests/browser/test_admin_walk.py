"""The whole loop as an administrator goes it, signed in once: from photos that people send to a model that has learnt
from them, its promotion, and the way back."""

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from ml.bundle import Bundle, find_bundle, load_bundle
from ml.data.drawn import write_drawn_dataset
from ml.data.prepare import prepare
from tests.browser.pages import DESKTOP, Opener, file, give_code, log_in, press, screen, shown
from tests.promotion import MARGIN, install
from tests.webapp.training.processes import trainer
from webapp.account import second_factor
from webapp.config import Config
from webapp.database import write_transaction
from webapp.models.user import User

pytestmark = pytest.mark.slow

Photo = Callable[..., bytes]
MINUTES = 4 * 60 * 1000
PAUSE = 2000


@pytest.fixture
def config(config: Config, tiny_bundle: Bundle, weak_bundle: Bundle, promotion_set: Path, tmp_path: Path) -> Config:
    """A first model answers; a worse one lies beside it, and there are more data to train on than it had."""
    prepare(write_drawn_dataset(tmp_path / "source", per_class=24, seed=5), "ham10000", tmp_path / "more")
    config = replace(
        config,
        model="first@1",
        training_data=str(tmp_path / "more"),
        promotion_data=str(promotion_set),
        promotion_margin=MARGIN,
        require_totp="admins",
    )
    install(tiny_bundle, config.models, "first")
    install(weak_bundle, config.models, "weak")
    return config


@pytest.fixture
def secret(app: Flask, admin: User) -> str:
    """The secret of the admin's second factor, set up before."""
    secret = second_factor.new_secret()
    with app.app_context(), write_transaction() as session:
        second_factor.enrol(session.get_one(User, admin.id), secret, step=0)
    return secret


def narrow(page: Page, **chosen: str) -> None:
    """Go to the history and filter it."""
    page.goto("/admin/history")
    page.get_by_text("More filters").click()
    for name, value in chosen.items():
        page.locator(f".filters select[name={name}]").select_option(value)
    press(page, "Filter")


def await_comparison(page: Page, model: str) -> None:
    """Load a model's page again, as it says, until its comparison is over."""
    page.goto(f"/admin/models/{model}")
    while page.get_by_text("A comparison with the model that answers").count():
        page.wait_for_timeout(PAUSE)
        page.reload()
    expect(page.locator("[data-check]")).to_be_visible()


def said(app: Flask, *command: str) -> str:
    """What `flask audit ...` prints; it must not find fault."""
    result = app.test_cli_runner().invoke(args=["audit", *command])
    assert result.exit_code == 0, result.output
    return result.output


def test_from_photos_to_a_new_model_and_back(
    app: Flask, config: Config, open_page: Opener, photo: Photo, admin: User, secret: str, tmp_path: Path
) -> None:
    visitor = open_page("/")
    for code, allowed in (("mel", True), ("nv", True), ("bcc", True), ("vasc", False)):
        visitor.goto("/")
        screen(visitor, file(photo(code, 301)), training=allowed)

    page = open_page("/admin/history", DESKTOP)
    log_in(page)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    give_code(page, secret)
    expect(page).to_have_url(re.compile("/admin/history"))
    first_entry = said(app, "head").strip()
    review_by_keyboard(page)
    export(page, tmp_path)

    page.goto("/admin/models/weak/1")
    press(page, "Compare for promotion")
    start_training(page)
    with trainer(app):
        expect(page.locator("[data-run-state=done]")).to_be_visible(timeout=MINUTES)
        assert page.locator("polyline").count() == 5
        model = page.locator("#live code").first.inner_text()
        learnt = load_bundle(find_bundle(model, config.models)).card.data["reviewed"]
        assert learnt["images"] == 2, "of three that were reviewed one must not be learnt from"
        assert {code for code, count in learnt["images_per_class"].items() if count} == {"mel", "nv"}
        mine = model.replace("@", "/")
        page.goto(f"/admin/models/{mine}")
        press(page, "Compare for promotion")
        await_comparison(page, "weak/1")
        await_comparison(page, mine)

    refuse(page)
    page.goto(f"/admin/models/{mine}")
    expect(page.locator("[data-check=passes]")).to_be_visible()
    press(page, "Promote")
    expect(page.locator("main")).to_have_attribute("data-role", "answers")
    expect(page.locator("[data-decision=promote]")).to_contain_text("anna")
    visitor.goto("/")
    screen(visitor, file(photo("mel", 302)))
    narrow(page, model=model)
    assert shown(page) == ["5"], "the next upload, and no other, was answered by the new model"

    page.goto(f"/admin/models/{mine}")
    press(page, "Roll back")
    expect(page.locator(".bundle-answers h2")).to_contain_text("first")
    visitor.goto("/")
    screen(visitor, file(photo("nv", 302)))
    narrow(page, model="first@1")
    assert shown(page) == ["6", "4", "3", "2", "1"]

    assert "all as they were written" in said(app, "verify", "--expect", first_entry)
    done = [line.split("\t")[3] for line in reversed(said(app, "list", "--actor", "anna").splitlines())]
    assert [action for action in done if action.partition(".")[0] in ("review", "export", "training", "model")] == [
        *["review.submit"] * 3, "export.csv", "training.start", "model.refuse", "model.promote", "model.rollback",
    ]  # fmt: skip
    page.goto("/admin/audit")
    expect(page.locator("main")).to_contain_text("anna")


def review_by_keyboard(page: Page) -> None:
    """What waits, oldest first: confirm one, choose another's class with a note, pass one over, choose the last's."""
    narrow(page, review="pending", sort="oldest")
    assert shown(page) == ["1", "2", "3", "4"]
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    is_case(page, 1)
    page.keyboard.press("1")
    page.keyboard.press("c")
    expect(page.locator("[data-confirm]")).to_be_checked()
    page.keyboard.press("s")
    is_case(page, 2)
    choose(page, "nv")
    page.keyboard.press("e")
    page.keyboard.type("no pigment network, =even border")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    is_case(page, 3)
    page.keyboard.press("n")
    is_case(page, 4)
    choose(page, "vasc")
    page.keyboard.press("s")
    expect(page.locator("main")).to_have_attribute("data-review", "submitted")
    narrow(page, review="pending")
    assert shown(page) == ["3"]


def is_case(page: Page, number: int) -> None:
    """The page of that screening is there, and its script listens to the keys."""
    expect(page.get_by_role("heading", name=f"Screening {number}")).to_be_visible()
    page.wait_for_load_state()


def choose(page: Page, code: str) -> None:
    """Press the number that is shown beside a class."""
    choice = page.locator(f".choice:has(input[value={code}])")
    page.keyboard.press(choice.locator("kbd").inner_text())
    expect(choice.locator("input")).to_be_checked()


def export(page: Page, folder: Path) -> None:
    """Download what was reviewed, and read it."""
    narrow(page, review="submitted", sort="oldest")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Export as CSV").click()
    waiting.value.save_as(folder / "reviewed.csv")
    with (folder / "reviewed.csv").open(encoding="utf-8", newline="") as stream:
        rows: list[dict[str, Any]] = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["1", "2", "4"]
    assert {row["reviewer"] for row in rows} == {"anna"}
    assert rows[0]["review_label"] == rows[0]["predicted"]
    assert [row["reviewed_class"] for row in rows[1:]] == ["nv", "vasc"]
    assert rows[1]["review_note"] == "no pigment network, =even border"


def start_training(page: Page) -> None:
    """Choose to go on from the model that answers, with what was reviewed."""
    page.goto("/admin/training/new")
    page.locator("#data").select_option("more")
    page.locator("#start").select_option("first@1")
    page.locator("#architecture").select_option("lenet")
    page.locator("#image_size").select_option("32")
    page.locator("#epochs").fill("6")
    page.locator("#name").fill("mine")
    page.locator("#include_reviewed").check()
    press(page, "What would it take?")
    press(page, "Start the run")
    expect(page.get_by_text("No trainer is at work")).to_be_visible()


def refuse(page: Page) -> None:
    """The worse model is not promoted, and its page says by how much it is worse."""
    page.goto("/admin/models/weak/1")
    press(page, "Promote")
    check = page.locator("[data-check=refused]")
    expect(check).to_contain_text("The numbers speak against a promotion.")
    expect(check.locator(".reason").first).to_contain_text("percentage points")
    now, challenger = (check.locator("[data-figures] tbody tr").first.locator("td").nth(place) for place in (0, 1))
    assert float(challenger.inner_text()) < float(now.inner_text()) - 100 * MARGIN
    expect(page.locator("[data-decision=refuse]")).to_contain_text("anna")
    expect(page.locator("main")).to_have_attribute("data-role", "")
