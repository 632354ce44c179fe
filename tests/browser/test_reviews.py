"""Reviewing in a real browser: by keyboard through the queue, a dispute and its end, many at once and undone."""

from collections.abc import Callable

from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.pages import DESKTOP, PASSWORD, PHONE, Opener, file, fits, follow, log_in, press, screen
from webapp import clock
from webapp.account.passwords import hash_password
from webapp.database import write_transaction
from webapp.models.user import Role, User

Photo = Callable[..., bytes]


def enter(page: Page, name: str) -> Page:
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Log in")
    return page


def stands(page: Page, status: str) -> None:
    expect(page.locator("main")).to_have_attribute("data-review", status)


def test_by_keyboard_dispute_decision_and_undo(open_page: Opener, photo: Photo, admin: User, app: Flask) -> None:
    with app.app_context(), write_transaction() as session:
        for name in ("ben", "cara"):
            hashed = hash_password(PASSWORD)
            session.add(User(name=name, password_hash=hashed, role=Role.REVIEWER, created_at=clock.now()))
    visitor = open_page("/")
    for number, code in enumerate(("mel", "nv")):
        visitor.goto("/")
        screen(visitor, file(photo(code, number)))

    ben = enter(open_page("/login", DESKTOP), "ben")
    ben.goto("/admin/history")
    follow(ben.locator("tr[data-id] a").first)
    submit = ben.locator("button[data-key=s]")
    expect(submit).to_be_in_viewport()
    expect(ben.locator(".photos img")).to_be_in_viewport()
    ben.keyboard.press("?")
    expect(ben.locator("[data-keys]")).to_have_attribute("open", "")
    ben.keyboard.press("?")
    ben.keyboard.press("z")
    expect(ben.get_by_role("dialog")).to_be_visible()
    # A note that is begun at once, before the page hears that the picture was closed, keeps the keys.
    ben.evaluate("document.querySelector('dialog').close(); document.querySelector('[data-note]').focus()")
    expect(ben.get_by_role("dialog")).to_have_count(0)
    expect(ben.locator("[data-note]")).to_be_focused()
    ben.keyboard.press("Escape")
    ben.keyboard.press("z")
    expect(ben.get_by_role("dialog")).to_be_visible()
    ben.keyboard.press("Escape")
    expect(ben.locator("[data-zoom]")).to_be_focused()
    ben.keyboard.press("c")
    expect(ben.locator("[data-confirm]")).to_be_checked()
    ben.keyboard.press("e")
    ben.keyboard.type("1 network, s-shaped")
    ben.keyboard.press("Escape")
    ben.keyboard.press("s")
    expect(ben.get_by_role("heading", name="Screening 1")).to_be_visible()
    expect(ben.get_by_role("status")).to_contain_text("The review of screening 2 is stored")
    ben.wait_for_load_state()  # a page is to be seen before its script listens
    for key, label in (("o", "_other"), ("l", "_no_lesion"), ("t", "_cannot_tell"), ("8", "_cannot_tell")):
        ben.keyboard.press(key)  # seven classes: no number chooses what is none of them
        expect(ben.locator("input[name=label]:checked")).to_have_value(label)
    ben.keyboard.press("2")
    ben.keyboard.press("s")
    stands(ben, "submitted")
    ben.keyboard.press("p")
    expect(ben.get_by_role("heading", name="Screening 2")).to_be_visible()
    expect(ben.locator("#reviews")).to_contain_text("1 network, s-shaped")

    cara = enter(open_page("/login", PHONE), "cara")
    cara.goto("/admin/screenings/1")
    assert fits(cara)
    cara.locator("input[data-key='1']").check()
    follow(cara.get_by_role("button", name="Submit").first)
    stands(cara, "disputed")

    anna = open_page("/login", DESKTOP, dark=True)
    log_in(anna)
    anna.goto("/admin/screenings/1")
    expect(anna.get_by_text("Reviewers disagree")).to_be_visible()
    anna.keyboard.press("3")
    expect(anna.locator("input[name=decide]")).to_be_checked()
    anna.keyboard.press("s")
    stands(anna, "submitted")
    expect(anna.locator("#reviews")).to_contain_text("Decided by anna")

    anna.goto("/admin/history")
    for box in anna.locator("input.pick").all():
        box.check()
    press(anna, "Discard")
    expect(anna.get_by_role("heading", name="Discard 2 screenings?")).to_be_visible()
    press(anna, "Yes, do it")
    expect(anna.get_by_role("heading", name="2 screenings discarded")).to_be_visible()
    press(anna, "Undo")
    expect(anna.get_by_text("2 of them are undone")).to_be_visible()
    anna.goto("/admin/screenings/2")
    stands(anna, "submitted")
