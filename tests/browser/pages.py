"""What the browser tests, and docs/take_screenshots.py, do with a browser, a server for it, and a page."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyotp
from flask import Flask
from playwright.sync_api import FilePayload, Locator, Page, ViewportSize
from werkzeug.serving import make_server

Opener = Callable[..., Page]
Size = ViewportSize

PHONE: Size = {"width": 390, "height": 844}
DESKTOP: Size = {"width": 1280, "height": 900}
NARROWEST: Size = {"width": 360, "height": 740}
PASSWORD = "correct horse battery staple"
# Where .ci/run looks too.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser() -> str | None:
    """The system's Chromium, or the one that CHROMIUM names; None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The application behind a real HTTP server; its address."""
    http = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def follow(element: Locator) -> None:
    """Click what leads to a page, and wait until that one is loaded.

    A click by itself may return while the page before is still there, or none: what is read without waiting for it
    (a count, a width) would then be the old page's, or fail.
    """
    with element.page.expect_navigation():
        element.click()


def log_in(page: Page, password: str = PASSWORD, name: str = "anna") -> None:
    """Fill in the log-in form."""
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    follow(page.get_by_role("button", name="Log in"))


def give_code(page: Page, secret: str) -> None:
    """Answer the question for the second factor."""
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    follow(page.get_by_role("button", name="Log in"))


def press(page: Page, name: str) -> None:
    """Press the button that has this name, and no longer one, and wait for the page that it leads to."""
    follow(page.get_by_role("button", name=name, exact=True))


def shown(page: Page) -> list[str]:
    """The numbers of the screenings that the history lists, from above."""
    return [row.get_attribute("data-id") or "" for row in page.locator("tr[data-id]").all()]


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
    """Whether nothing sticks out of the page to the side, once its style sheets are there: before, everything does."""
    page.wait_for_load_state()
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
