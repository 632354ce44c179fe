"""What is to be looked at: the question on the upload page, in a real browser."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from ml.bundle import Bundle
from tests.browser.pages import DESKTOP, NARROWEST, PHONE, Opener, Size, file, fits, follow, screen
from tests.ml.tiny import draw_rash
from webapp.config import Config


@pytest.fixture
def config(config: Config, rash_bundle: Bundle) -> Config:
    """Settings with two models."""
    return replace(config, model=f"{config.model},{rash_bundle.path}")


@pytest.mark.parametrize(
    ("size", "dark", "scripts"),
    [
        (PHONE, False, True),
        (PHONE, True, False),
        (NARROWEST, False, True),
        (DESKTOP, False, False),
        (DESKTOP, True, True),
    ],
)
def test_a_rash_is_answered_by_its_own_model(
    open_page: Opener, tmp_path: Path, size: Size, dark: bool, scripts: bool
) -> None:
    page = open_page("/", size, dark=dark, scripts=scripts)
    spot, rash = page.get_by_role("radio", name="A spot or mole"), page.get_by_role("radio", name="A rash")
    expect(spot).to_be_checked()
    assert fits(page)
    page.screenshot(path=tmp_path / "question.png", full_page=True)
    page.get_by_text("A rash", exact=True).first.click()  # the whole card is the label
    expect(rash).to_be_checked()
    expect(spot).not_to_be_checked()
    page.screenshot(path=tmp_path / "question-rash.png", full_page=True)
    buffer = io.BytesIO()
    Image.fromarray(draw_rash("monkeypox", 3)).save(buffer, "PNG")
    screen(page, file(buffer.getvalue(), "rash.png"))
    expect(page.locator("main")).to_have_attribute("data-status", re.compile("infectious|healthy"))
    assert page.locator(".bars li").count() == 4
    expect(page.get_by_text("Malignant risk")).to_have_count(0)
    assert fits(page)
    page.screenshot(path=tmp_path / "result.png", full_page=True)
    follow(page.get_by_role("link", name="Screen another lesion"))
    expect(page.get_by_role("radio", name="A rash")).to_be_checked()


def test_by_keyboard_and_kept_by_an_error_and_a_language(open_page: Opener, tmp_path: Path) -> None:
    page = open_page("/", PHONE, scripts=False)
    page.get_by_role("radio", name="A spot or mole").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="A rash")).to_be_checked()
    page.locator("input[name=photos]").set_input_files(file(b"no picture"))
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name="Screen the photos").click()
    expect(page.locator("[data-error]")).to_contain_text("not a picture")
    expect(page.get_by_role("radio", name="A rash")).to_be_checked()
    follow(page.get_by_role("link", name="Deutsch"))
    expect(page.get_by_role("radio", name="Ein Ausschlag")).to_be_checked()
    assert fits(page)
    page.screenshot(path=tmp_path / "question-german.png", full_page=True)
