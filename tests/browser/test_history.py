"""The history in a browser: filters, their chips, order, and views that are kept."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import DESKTOP, PHONE, Opener, file, fits, follow, log_in, press, screen, shown
from webapp.models.user import User

Photo = Callable[..., bytes]


def fill_history(open_page: Opener, photo: Photo) -> None:
    """Three screenings, the last one of it in German."""
    for language, code in (("en", "mel"), ("en", "nv"), ("de", "bcc")):
        visitor: Page = open_page("/", language=language)
        visitor.locator("input[name=photos]").set_input_files([file(photo(code, 1))])
        visitor.locator("input[name=consent]").check()
        visitor.locator("form.upload button.primary").click()
        visitor.wait_for_url("**/results/*")


def test_filter_chips_order_and_kept_view(open_page: Opener, photo: Photo, admin: User) -> None:
    fill_history(open_page, photo)
    page: Page = open_page("/login", DESKTOP)
    log_in(page)
    expect(page).to_have_title(re.compile("History"))
    assert shown(page) == ["3", "2", "1"]

    page.locator("select[name=sort]").select_option("oldest")
    press(page, "Filter")
    assert shown(page) == ["1", "2", "3"]

    page.get_by_text("More filters").click()
    page.locator("select[name=language]").select_option("de")
    page.locator("input[name=risk_from]").fill("0")
    press(page, "Filter")
    chips = page.get_by_title("Take this filter away")
    # The rarer filters stay unfolded while one of them is on, and the order is kept.
    expect(page.locator("select[name=language]")).to_have_value("de")
    expect(page.locator("select[name=language]")).to_be_visible()
    expect(page.locator("select[name=sort]")).to_have_value("oldest")
    assert set(shown(page)) <= {"3"}

    page.get_by_text("Keep this view").click()
    page.locator(".keep-view input[name=name]").fill("Auf Deutsch")
    press(page, "Keep")
    own = page.get_by_role("navigation", name="Views").get_by_role("link", name="Auf Deutsch")
    expect(own).to_have_attribute("aria-current", "page")

    while (left := chips.count()) > 0:
        follow(chips.first)
        expect(chips).to_have_count(left - 1)
    assert shown(page) == ["1", "2", "3"]

    page.get_by_role("searchbox").fill("#2")
    press(page, "Filter")
    assert shown(page) == ["2"]
    page.get_by_role("searchbox").fill("words that no note has")
    press(page, "Filter")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()

    follow(own)
    assert set(shown(page)) <= {"3"}
    press(page, "Remove this view")
    expect(own).to_have_count(0)


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_table_stays_within_its_page(open_page: Opener, photo: Photo, admin: User, language: str) -> None:
    fill_history(open_page, photo)
    page: Page = open_page("/login", DESKTOP)
    log_in(page)
    page.goto(f"/language/{language}?next=/admin/history")
    for width in (1440, 1280, 1190, 1180, 1024, 780, 360):
        page.set_viewport_size({"width": width, "height": 900})
        inside = "element => element.getBoundingClientRect().right <= innerWidth - 16"
        assert page.locator(".cases").evaluate(inside), width
        assert fits(page), width
        if width > 1184:  # narrower ones scroll
            card, table = page.locator(".filters").bounding_box(), page.locator(".cases").bounding_box()
            assert card is not None
            assert table is not None
            assert abs(card["width"] - table["width"]) < 1.5, width


def test_training_set_of_what_the_filters_leave(open_page: Opener, photo: Photo, admin: User, tmp_path: Path) -> None:
    """From the history to the zip, on a phone."""
    visitor = open_page("/")
    for code in ("mel", "nv"):
        visitor.goto("/")
        screen(visitor, file(photo(code, 1)), training=True)
    page = open_page("/login", PHONE)
    log_in(page)
    for number, code in enumerate(("mel", "nv"), start=1):
        page.goto(f"/admin/screenings/{number}")
        page.locator(f".choice input[value={code}]").check()
        follow(page.get_by_role("button", name="Submit").first)
        expect(page.locator("main")).to_have_attribute("data-review", "submitted")
    page.goto("/admin/history?reviewed=nv")
    assert shown(page) == ["2"]
    follow(page.get_by_role("link", name="Export for training"))
    expect(page.get_by_text("1 screening is reviewed and undisputed")).to_be_visible()
    assert fits(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export as a zip").click()
    waiting.value.save_as(tmp_path / "set.zip")
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".jpg")]
    assert pictures == ["ham10000/nv/screening-2-1.jpg"]
    page.get_by_role("link", name="History").last.click()
    page.wait_for_url("**/admin/history?reviewed=nv")
