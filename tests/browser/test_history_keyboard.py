"""The keys of the history and of the queue: where the focus goes, what typing never does, and after many at once."""

from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Dialog, Locator, Page, expect

from tests.browser.pages import DESKTOP, Opener, log_in
from tests.webapp.history import NOON
from webapp.database import write_transaction
from webapp.history.listing import PAGE_SIZE
from webapp.models.screening import ScreeningRow
from webapp.models.user import User

ROWS = PAGE_SIZE + 5
OUTLINE = """element => {
    const pseudo = element.matches(".cell-time a") ? "::after" : null;
    const shown = getComputedStyle(element.closest(".choice") ?? element, pseudo);
    return element.matches(":focus-visible") && shown.outlineStyle === "solid" ? shown.outlineWidth : "none";
}"""


@pytest.fixture
def history(app: Flask, open_page: Opener, admin: User) -> Page:
    """The first of two pages of screenings, of which the last one has the highest number."""
    with app.app_context(), write_transaction() as session:
        for number in range(ROWS):
            at = NOON + timedelta(minutes=number)
            session.add(
                ScreeningRow(
                    token_hash=f"{number:064d}", state="done", channel="web", language="en", created_at=at,
                    label_set="ham10000", status="benign", predicted="nv", malignant_risk=0.1, uncertainty=0.2,
                    gate_verdict="usable", model_name="tiny", model_version="1",
                )
            )  # fmt: skip
    page = open_page("/login", DESKTOP)
    log_in(page)
    expect(page.locator("tr[data-id]")).to_have_count(PAGE_SIZE)
    return page


def press(page: Page, *keys: str) -> None:
    page.wait_for_load_state()  # a page is to be seen before its script listens
    for key in keys:
        page.keyboard.press(key)


def use(button: Locator) -> None:
    """Press a button or follow a link by the keyboard alone."""
    button.focus()
    button.press("Enter")


def focused(page: Page) -> str:
    """The number of the screening whose row has the focus, which is to be seen; "" for none."""
    link = page.locator("tr[data-id] .cell-time a:focus")
    if not link.count():
        return ""
    expect(link).to_be_in_viewport()
    assert link.evaluate(OUTLINE) == "3px"
    return page.locator("tr[data-id]:has(a:focus)").get_attribute("data-id") or ""


def is_case(page: Page, number: int) -> None:
    expect(page.get_by_role("heading", name=f"Screening {number}", exact=True)).to_be_visible()


def test_keys_of_the_list(history: Page) -> None:
    page, newest, last = history, ROWS, ROWS - PAGE_SIZE + 1
    assert focused(page) == ""
    for keys, number in (
        (["k"], last),  # from nowhere upwards: the last one
        (["j"], last),  # which has none below it
        (["ArrowUp"], last + 1),
        (["k"] * PAGE_SIZE, newest),
        (["ArrowDown", "j"], newest - 2),
    ):
        press(page, *keys)
        assert focused(page) == str(number)

    panel = page.locator("details.keys")
    press(page, "?")
    expect(panel).to_have_attribute("open", "")
    expect(panel.get_by_text("Next screening")).to_be_in_viewport()
    press(page, "?")
    expect(panel).not_to_have_attribute("open", "")

    here = page.url
    press(page, "/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    page.keyboard.type("n?jx/p")
    expect(search).to_have_value("n?jx/p")
    expect(panel).not_to_have_attribute("open", "")
    page.locator("select[name=sort]").focus()
    press(page, "n")  # chooses the order that begins with it
    expect(page.locator("select[name=sort]")).to_have_value("newest")
    assert page.url == here
    search.focus()
    press(page, "Control+a", "Delete", "Escape")
    press(page, "Control+j", "Alt+n")  # the browser's own
    assert focused(page) == ""

    press(page, "n")
    expect(page.locator("tr[data-id]")).to_have_count(ROWS - PAGE_SIZE)
    press(page, "n", "j")  # there is no further page
    assert focused(page) == str(last - 1)
    press(page, "p")
    expect(page.locator("tr[data-id]")).to_have_count(PAGE_SIZE)
    press(page, "j", "j", "Enter")
    is_case(page, newest - 1)


def test_keys_of_the_queue_and_what_is_typed(history: Page) -> None:
    page, newest = history, ROWS
    press(page, "j", "Enter")
    is_case(page, newest)
    press(page, "p")  # there is none before it
    press(page, "n")
    is_case(page, newest - 1)

    note = page.locator("[data-note]")
    press(page, "e")
    expect(note).to_be_focused()
    assert note.evaluate(OUTLINE) == "3px"
    page.keyboard.type("no pigment: c e n p s z ? 1 2")
    expect(note).to_have_value("no pigment: c e n p s z ? 1 2")
    expect(page.locator("input[name=label]:checked")).to_have_count(0)
    expect(page.locator("[data-keys]")).not_to_have_attribute("open", "")
    press(page, "Escape")
    expect(note).not_to_be_focused()

    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    with page.expect_event("dialog"):
        press(page, "n")  # with a note that is not stored
    is_case(page, newest - 1)
    expect(note).to_have_value("no pigment: c e n p s z ? 1 2")

    press(page, "s")
    fault = page.get_by_role("alert")
    expect(fault).to_contain_text("No class was chosen")
    expect(fault).to_be_focused()
    press(page, "2")
    second = page.locator("input[data-key='2']")
    expect(second).to_be_checked()
    expect(second).to_be_focused()
    assert second.evaluate(OUTLINE) == "3px"
    press(page, "s")
    is_case(page, newest - 2)
    expect(page.get_by_role("status")).to_contain_text(f"The review of screening {newest - 1} is stored")
    press(page, "p")
    is_case(page, newest - 1)
    expect(page.locator("#reviews")).to_contain_text("no pigment: c e n p s z ? 1 2")
    expect(second).to_be_checked()
    assert asked == ["beforeunload"], "it is asked where something would be lost, and there alone"


def test_keys_after_many_at_once_and_after_undoing_it(history: Page) -> None:
    page, newest = history, ROWS
    ticked = page.locator("input.pick:checked")
    press(page, "x")  # no row has the focus
    expect(ticked).to_have_count(0)
    press(page, "j", "x", "j", "x", "x", "j")
    assert focused(page) == str(newest - 2)
    press(page, "Shift+Tab", "Space")  # the tick box of the same row
    box = page.locator(f"tr[data-id='{newest - 2}'] input.pick")
    expect(box).to_be_focused()
    assert box.evaluate(OUTLINE) == "3px"
    press(page, "j")
    assert focused(page) == str(newest - 3)
    assert [one.input_value() for one in ticked.all()] == [str(newest), str(newest - 2)]

    use(page.get_by_role("button", name="Confirm"))
    expect(page.get_by_role("heading", name="Confirm 2 screenings?")).to_be_visible()
    use(page.get_by_role("button", name="Yes, do it"))
    expect(page.get_by_role("heading", name="2 screenings confirmed")).to_be_visible()
    page.goto("/admin/history?review=pending")
    press(page, "j")
    assert focused(page) == str(newest - 1), "what was confirmed is no longer in the queue"
    press(page, "Enter")
    is_case(page, newest - 1)
    press(page, "n")
    is_case(page, newest - 3)

    page.goto("/admin/bulk")
    use(page.locator("main a[href^='/admin/bulk/']").first)
    use(page.get_by_role("button", name="Undo"))
    expect(page.get_by_text("2 of them are undone")).to_be_visible()
    page.goto("/admin/history?review=pending")
    press(page, "j", "j", "j")
    assert focused(page) == str(newest - 2)
    press(page, "Enter")
    is_case(page, newest - 2)
    expect(page.locator("main")).to_have_attribute("data-review", "pending")
    press(page, "c", "s")
    is_case(page, newest - 3)
    press(page, "p")
    is_case(page, newest - 1)
