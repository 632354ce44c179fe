"""From upload to result to history, in a real browser, as a person does it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.pages import (
    DESKTOP,
    NARROWEST,
    PHONE,
    Opener,
    Size,
    file,
    fits,
    follow,
    log_in,
    press,
    real_photo,
    screen,
)
from webapp.models.user import User

Photo = Callable[..., bytes]


def picture(page: Page, folder: Path, name: str) -> None:
    """Keep a screenshot for people to look at; it must be a whole page without anything sticking out."""
    assert fits(page), name
    page.screenshot(path=folder / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("size", "dark"), [(PHONE, False), (PHONE, True), (DESKTOP, False), (DESKTOP, True)])
def test_upload_to_result_to_history(
    open_page: Opener, photo: Photo, admin: User, tmp_path: Path, size: Size, dark: bool
) -> None:
    page = open_page("/", size, dark=dark)
    picture(page, tmp_path, "upload")
    screen(page, file(real_photo("mel") or photo("mel", 1)))
    main = page.locator("main")
    status, predicted = main.get_attribute("data-status"), main.get_attribute("data-predicted")
    token = main.get_attribute("data-token")
    assert status in {"malignant", "uncertain", "benign", "refused"}  # not pending, not failed
    assert page.url.endswith(f"/results/{token}")
    expect(page.locator("[data-advice]")).to_be_visible()
    expect(page.get_by_text("This is not a diagnosis.")).to_be_visible()
    image = page.locator(".photos img")
    assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    if status != "refused":
        assert page.locator(".bars li").count() == 7
        assert page.locator(".bars li").first.bounding_box()
    picture(page, tmp_path, "result")

    log_in(page)
    page.goto("/admin/history")
    row = page.locator("tr[data-id]")
    assert row.count() == 1
    assert row.get_attribute("data-status") == status
    assert row.get_attribute("data-predicted") == predicted
    picture(page, tmp_path, "history")
    follow(row.locator("a"))
    expect(page.get_by_role("heading", name="Screening 1")).to_be_visible()
    picture(page, tmp_path, "case")


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_without_scripts(open_page: Opener, photo: Photo, tmp_path: Path, size: Size) -> None:
    page = open_page("/", size, scripts=False)
    expect(page.locator("input[name=photos]")).to_be_visible()
    page.screenshot(path=tmp_path / "upload-without-scripts.png", full_page=True)
    screen(page, file(photo("nv", 0)), file(photo("nv", 2)))
    assert page.locator(".photos img").count() == 2
    page.locator("summary", has_text="Delete").click()
    press(page, "Yes, delete")
    expect(page.locator("main")).to_have_attribute("data-status", "deleted")


def test_error_without_scripts(open_page: Opener) -> None:
    page = open_page(scripts=False)
    page.locator("input[name=photos]").set_input_files(file(b"no picture"))
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name="Screen the photos").click()
    expect(page.locator("[data-error]")).to_contain_text("not a picture")
    expect(page.locator("input[name=consent]")).to_be_checked()


def test_previews_can_be_removed_and_errors_keep_the_photos(open_page: Opener, photo: Photo) -> None:
    page = open_page()
    chooser = page.locator("input[name=photos]")
    previews = page.locator("[data-previews] li")
    chooser.set_input_files([file(photo("nv", 0), "first.jpg"), file(b"no picture", "second.heic")])
    expect(previews).to_have_count(2)
    expect(previews.nth(1)).to_have_class("no-preview")
    chooser.set_input_files([file(photo("mel", 1)), file(photo("mel", 2))])
    expect(page.locator("[data-error]")).to_contain_text("more than three")
    expect(previews).to_have_count(2)

    page.get_by_role("button", name="Screen the photos").click()
    expect(page.locator("[data-error]")).to_contain_text("agree")
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name="Screen the photos").click()
    expect(page.locator("[data-error]")).to_contain_text("Photo 2:")
    expect(previews).to_have_count(2)
    page.get_by_role("button", name="Remove: second.heic").click()
    expect(previews).to_have_count(1)
    page.get_by_role("button", name="Screen the photos").click()
    page.wait_for_url("**/results/*")


def test_drag_and_drop(open_page: Opener, photo: Photo) -> None:
    page = open_page()
    page.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
            for (const kind of ["dragenter", "dragover", "drop"])
                document.querySelector("[data-drop]").dispatchEvent(
                    new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        list(photo("nv", 0)),
    )
    expect(page.locator("[data-previews] li")).to_have_count(1)
    expect(page.locator("[data-previews]")).to_contain_text("dropped.jpg")


def test_photos_chosen_before_the_script_is_there(open_page: Opener, photo: Photo) -> None:
    page = open_page("/login")
    held: list[Route] = []
    page.route("**/js/upload.js*", lambda route: held.append(route))
    with page.expect_request("**/js/upload.js*"):
        page.goto("/", wait_until="commit")
    page.locator("input[name=photos]").set_input_files(file(photo("nv", 0), "early.jpg"))
    expect(page.locator("[data-previews]")).to_be_hidden()
    held[0].continue_()
    expect(page.locator("[data-previews] li")).to_have_count(1)
    expect(page.locator("[data-previews]")).to_contain_text("early.jpg")


@pytest.mark.parametrize(
    ("status", "words"), [(413, "too large"), (502, "could not answer"), (504, "could not answer")]
)
def test_error_page_of_a_server_in_between(open_page: Opener, photo: Photo, status: int, words: str) -> None:
    page = open_page()

    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=status, content_type="text/html", body=f"<html><h1>{status}</h1></html>")
        else:
            route.continue_()

    page.route(page.url, refuse)
    page.locator("input[name=photos]").set_input_files(file(photo("nv", 0)))
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name="Screen the photos").click()
    expect(page.locator("[data-error]")).to_contain_text(words)
    expect(page.locator("[data-previews] li")).to_have_count(1)


def test_reload_and_back(open_page: Opener, photo: Photo) -> None:
    page = open_page()
    screen(page, file(photo("nv", 0)))
    before = page.locator("main").inner_text()
    page.reload()
    assert page.locator("main").inner_text() == before
    page.go_back()
    expect(page.get_by_role("button", name="Screen the photos")).to_be_enabled()
    expect(page.locator("[data-progress]")).to_be_hidden()


def test_deleting(open_page: Opener, photo: Photo) -> None:
    page = open_page("/", PHONE)
    screen(page, file(photo("nv", 0)))
    address = page.url
    page.locator("summary", has_text="Delete").click()
    press(page, "Yes, delete")
    expect(page.get_by_role("heading", name="Photo and result are deleted")).to_be_visible()
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 410


def test_by_keyboard_alone(open_page: Opener, photo: Photo) -> None:
    page = open_page()
    seen: list[str] = []
    while "Staff log-in" not in seen:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
        assert page.evaluate(
            """() => [document.activeElement, document.activeElement.closest(".picker")].some(
                (element) => element && getComputedStyle(element).outlineStyle !== "none")"""
        ), seen[-1]
        assert len(seen) < 20
    assert seen[0] == "Skip to the content"
    wanted = ["photos", "consent", "Screen the photos", "Deutsch"]
    assert [name for name in seen if name in wanted] == wanted

    page.goto("/")
    page.locator("input[name=photos]").set_input_files(file(photo("nv", 0)))
    page.locator("input[name=consent]").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/results/*")
    page.get_by_text("Delete photo and result").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_have_attribute("data-status", "deleted")


def test_history_filter(open_page: Opener, photo: Photo, admin: User) -> None:
    page = open_page()
    screen(page, file(photo("nv", 0)))
    status = page.locator("main").get_attribute("data-status")
    assert status
    log_in(page)
    page.get_by_label("Status").select_option(status)
    press(page, "Filter")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.get_by_text("More filters").click()
    page.get_by_label("From", exact=True).fill("2100-01-01")
    press(page, "Filter")
    expect(page.get_by_text("No screening fits these filters")).to_be_visible()
    follow(page.get_by_role("link", name="Show all").first)
    expect(page.locator("tr[data-id]")).to_have_count(1)
    press(page, "Log out")
    page.goto("/admin/history")
    expect(page).to_have_url(re.compile("/login"))


@pytest.mark.parametrize("language", ["en", "de"])
def test_narrowest_screen(open_page: Opener, photo: Photo, admin: User, language: str) -> None:
    page = open_page("/", NARROWEST, language=language)
    assert fits(page)
    page.locator("input[name=photos]").set_input_files(
        [file(photo("nv", s), "a-very-long-name" * 5) for s in (0, 1, 2)]
    )
    assert fits(page)
    page.locator("input[name=consent]").check()
    page.locator("[type=submit]").click()
    page.wait_for_url("**/results/*")
    assert fits(page)
    page.goto("/login")
    page.locator("[name=name]").fill("anna")
    page.locator("[name=password]").fill("correct horse battery staple")
    follow(page.locator("main button.primary"))
    assert fits(page)
    follow(page.locator("tr[data-id] a"))
    assert fits(page)
