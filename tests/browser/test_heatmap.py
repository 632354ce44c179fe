"""Asking for the heatmap, as a person does it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.pages import DESKTOP, NARROWEST, PHONE, Opener, Size, file, fits, log_in, screen
from webapp.models.user import User

Photo = Callable[..., bytes]


@pytest.mark.parametrize(
    ("size", "dark", "scripts"),
    [
        (PHONE, False, True),
        (PHONE, True, False),
        (NARROWEST, False, True),
        (DESKTOP, True, True),
        (DESKTOP, False, False),
    ],
)
def test_a_heatmap_comes_when_asked_for(
    open_page: Opener, photo: Photo, tmp_path: Path, size: Size, dark: bool, scripts: bool
) -> None:
    page = open_page("/", size, dark=dark, scripts=scripts)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    screen(page, file(photo("mel", 1)))
    image = page.locator(".heatmaps img")
    expect(image).to_be_hidden()
    if scripts:  # without them, browsers fetch every picture at once, whatever the page says
        assert not any(url.endswith("/heatmap") for url in fetched)

    page.get_by_text("Show the heatmap").click()
    expect(image).to_be_visible()
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 0
    assert any(url.endswith("/photos/1/heatmap") for url in fetched)
    expect(page.get_by_text("no reason to trust the answer")).to_be_visible()
    page.wait_for_timeout(400)  # until it is unfolded
    image.scroll_into_view_if_needed()
    box = image.bounding_box()
    assert box is not None
    assert box["height"] > 150
    assert fits(page)
    page.screenshot(path=tmp_path / "heatmap.png", full_page=True)

    page.get_by_text("Hide the heatmap").click()
    expect(image).to_be_hidden()


def test_by_keyboard_and_in_german(open_page: Opener, photo: Photo, tmp_path: Path) -> None:
    page = open_page("/", PHONE, language="de")
    page.locator("input[name=photos]").set_input_files([file(photo("mel", 1)), file(photo("mel", 1))])
    page.locator("input[name=consent]").check()
    page.locator("form .button.primary").click()
    page.wait_for_url("**/results/*")
    summary = page.locator(".heatmaps summary")
    assert summary.inner_text() == "Heatmap zeigen"
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".heatmaps img")).to_have_count(2)
    expect(page.get_by_text("kein Grund, der Antwort zu trauen")).to_be_visible()
    assert fits(page)
    page.wait_for_timeout(400)
    page.screenshot(path=tmp_path / "heatmap-german.png", full_page=True)


def test_on_the_page_of_a_case(open_page: Opener, photo: Photo, admin: User, tmp_path: Path) -> None:
    page = open_page("/")
    screen(page, file(photo("mel", 1)))
    log_in(page)
    page.goto("/admin/screenings/1")
    with page.expect_response("**/heatmap") as answer:
        page.get_by_text("Show the heatmap").click()
    assert answer.value.status == 200
    page.wait_for_timeout(400)
    assert fits(page)
    page.screenshot(path=tmp_path / "heatmap-case.png", full_page=True)
