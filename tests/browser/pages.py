"""What the browser tests do on a page."""

import os
from collections.abc import Callable
from pathlib import Path

import pyotp
from playwright.sync_api import FilePayload, Page, ViewportSize

Opener = Callable[..., Page]
Size = ViewportSize

PHONE: Size = {"width": 390, "height": 844}
DESKTOP: Size = {"width": 1280, "height": 900}
NARROWEST: Size = {"width": 360, "height": 740}
PASSWORD = "correct horse battery staple"


def log_in(page: Page, password: str = PASSWORD) -> None:
    """Fill in the log-in form."""
    page.goto("/login")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def give_code(page: Page, secret: str) -> None:
    """Answer the question for the second factor."""
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Log in").click()


def press(page: Page, name: str) -> None:
    """Press the button that has this name, and no longer one."""
    page.get_by_role("button", name=name, exact=True).click()


def file(content: bytes, name: str = "lesion.jpg") -> FilePayload:
    """A file as it is chosen in a form."""
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def real_photo(code: str) -> bytes | None:
    """A HAM10000 photo of a class; None where the research data are not present."""
    folder = os.environ.get("LESION_DATA")
    if not folder:
        return None
    source = Path(folder) / "ham10000"
    for line in (source / "HAM10000_metadata.csv").read_text(encoding="utf-8").splitlines():
        fields = line.split(",")
        for path in source.glob(f"*/{fields[1]}.jpg") if fields[2] == code else ():
            return path.read_bytes()
    raise AssertionError(f"no photo of {code}")


def screen(page: Page, *files: FilePayload, training: bool = False) -> None:
    """Choose photos, agree, to training as well where it is so, send, and wait for the result page."""
    page.locator("input[name=photos]").set_input_files(list(files))
    page.locator("input[name=consent]").check()
    page.locator("input[name=training]").set_checked(training)
    page.get_by_role("button", name="Screen the photos").click()
    page.wait_for_url("**/results/*")


def fits(page: Page) -> bool:
    """Whether nothing sticks out of the page to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
