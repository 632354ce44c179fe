"""Logging in with a second factor, setting it up, and ending a session elsewhere, in a browser."""

import re
import time

import pyotp
import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.pages import DESKTOP, PASSWORD, PHONE, Opener, Size, fits, follow, log_in, press
from webapp.database import write_transaction
from webapp.models.user import User


def forget_last_code(app: Flask, user: User) -> None:
    """Let the code of the present half minute count once more: the test cannot wait for the next one."""
    with app.app_context(), write_transaction() as session:
        session.get_one(User, user.id).totp_step = None


@pytest.mark.parametrize(("size", "scripts"), [(PHONE, True), (DESKTOP, False)])
def test_second_factor_and_sessions(app: Flask, open_page: Opener, admin: User, size: Size, scripts: bool) -> None:
    phone: Page = open_page("/login", PHONE)
    log_in(phone)
    page: Page = open_page("/login", size, scripts=scripts)
    log_in(page)
    follow(page.get_by_role("link", name="Account"))
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    assert fits(page)

    follow(page.get_by_role("link", name="Set up"))
    picture = page.get_by_role("img", name="QR code")
    expect(picture).to_be_visible()
    if scripts:
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    secret = page.locator("[data-secret]").get_attribute("data-secret")
    assert secret
    assert fits(page)
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Turn on")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    expect(page.locator(".recovery-codes li")).to_have_count(10)
    recovery = page.locator(".recovery-codes li").first.inner_text()
    assert fits(page)
    follow(page.get_by_role("link", name="I have kept them"))
    expect(page.get_by_text("Recovery codes left: 10")).to_be_visible()

    # The other browser's session has ended: it logs in again, with a code.
    forget_last_code(app, admin)
    phone.goto("/admin/history")
    expect(phone).to_have_url(re.compile("/login"))
    log_in(phone)
    expect(phone.get_by_role("heading", name="Second factor")).to_be_visible()
    assert fits(phone)
    phone.get_by_label("Code").fill("000000")
    press(phone, "Log in")
    expect(phone.get_by_role("alert")).to_contain_text("wrong")
    phone.get_by_label("Code").fill(pyotp.TOTP(secret).at(int(time.time())))
    press(phone, "Log in")
    expect(phone).to_have_url(re.compile("/admin/history"))

    # Its session is seen, and ended, from here.
    page.goto("/account")
    expect(page.locator("[data-session]")).to_have_count(2)
    page.locator("[data-session]").filter(has_not_text="this browser").get_by_role("button", name="End").click()
    expect(page.locator("[data-session]")).to_have_count(1)
    phone.goto("/admin/history")
    expect(phone).to_have_url(re.compile("/login"))
    log_in(phone)
    phone.get_by_label("Code").fill(recovery)
    press(phone, "Log in")
    expect(phone).to_have_url(re.compile("/admin/history"))


@pytest.mark.parametrize(("size", "dark"), [(PHONE, False), (DESKTOP, True)])
def test_pages_of_accounts_fit(open_page: Opener, admin: User, size: Size, dark: bool) -> None:
    page: Page = open_page("/login", size, dark=dark)
    log_in(page)
    page.goto("/admin/users")
    page.get_by_label("Name").fill("bert")
    page.get_by_role("radio", name="Reviewer").check()
    press(page, "Make account")
    expect(page.locator("[data-password]")).to_be_visible()
    assert fits(page)
    follow(page.get_by_role("link", name="Go on"))
    expect(page.get_by_role("heading", name="bert")).to_be_visible()
    for path in ("/admin/users", f"/admin/users/{admin.id}", "/admin/users/2", "/admin/audit", "/account/password"):
        page.goto(path)
        assert fits(page), path


def test_a_typed_password_can_be_looked_at(open_page: Opener, admin: User) -> None:
    page = open_page("/login", PHONE)
    button = page.get_by_role("button", name="Show password")
    field = page.get_by_label("Password", exact=True)
    field.fill(PASSWORD)
    expect(button).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(field).to_have_attribute("type", "text")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert fits(page)
    page.keyboard.press("Space")
    expect(field).to_have_attribute("type", "password")
    expect(open_page("/login", PHONE, scripts=False).get_by_role("button", name="Show password")).to_have_count(0)
