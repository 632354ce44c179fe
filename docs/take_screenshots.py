"""Take the pictures of docs/screenshots/ that README.md shows: `make screenshots`, some minutes.

The admin's pages are those of a demonstration (`flask demo`), the result is that of a drawn lesion that the shipped
model answers. Both are made in a folder that is gone afterwards: nobody's photo and nobody's name is on any picture.
"""

import io
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, StorageState, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)]

from flask_migrate import upgrade  # noqa: E402

from ml.data.drawn import draw_lesion  # noqa: E402
from ml.images import encode_jpeg  # noqa: E402
from tests.browser.pages import ARGUMENTS, file, find_browser, follow, log_in, screen, serving  # noqa: E402
from webapp import create_app  # noqa: E402
from webapp.cli.insights import count_all  # noqa: E402
from webapp.config import Config  # noqa: E402
from webapp.demo.filling import fill  # noqa: E402

FOLDER = PROJECT / "docs" / "screenshots"
ADMIN = "demo-admin"
LARGEST = 150_000
"""Bytes of a picture at most: they are fetched by everyone who opens README.md or clones the repository."""
QUALITY = 80
SEEDS = range(1, 20)
"""Drawn lesions are hard for a model of photos, which declines most: the first that it answers is shown."""


@dataclass(frozen=True)
class Shot:
    """A picture: the file's name, how to get to the page, and how much of it is shown, in CSS pixels."""

    name: str
    open: Callable[[Page], None]
    width: int
    height: int
    phone: bool = False


def open_result(page: Page) -> None:
    """Upload drawn lesions until one is answered."""
    for seed in SEEDS:
        page.goto("/")
        screen(page, file(encode_jpeg(draw_lesion("bkl", np.random.default_rng(seed), (600, 800)), quality=92)))
        if page.locator("main").get_attribute("data-status") != "refused":
            return
    raise SystemExit("No drawn lesion was answered, so there is no result to be shown.")


def open_queue(page: Page) -> None:
    """What is to be reviewed, the most urgent first."""
    page.goto("/admin/history")
    follow(page.get_by_role("link", name="To review: highest risk first"))


def open_case(page: Page) -> None:
    """The most urgent case."""
    open_queue(page)
    follow(page.locator("tr[data-id] a").first)


def open_model(page: Page) -> None:
    """The shipped model, which has been evaluated."""
    page.goto("/admin/models")
    follow(page.get_by_role("link", name="ham10000-ensemble"))


def open_run(page: Page) -> None:
    """The newest training run."""
    page.goto("/admin/training")
    follow(page.locator(".run a").first)


def open_insights(page: Page) -> None:
    """The alerts, and the first charts."""
    page.goto("/admin/insights")
    page.locator(".alerts").evaluate("element => window.scrollTo(0, element.offsetTop - 24)")


RESULT = Shot("result-phone", open_result, 390, 1310, phone=True)
SHOTS = (
    Shot("history-phone", open_queue, 390, 1310, phone=True),
    Shot("history", open_queue, 1280, 1200),
    Shot("case", open_case, 1280, 1010),
    Shot("insights", open_insights, 1280, 1200),
    Shot("model", open_model, 1280, 1510),
    Shot("training", open_run, 1280, 1010),
)


def cookies_of(browser: Browser, address: str, password: str) -> StorageState:
    """Those of an admin who has logged in."""
    context = browser.new_context(base_url=address, locale="en")
    page = context.new_page()
    log_in(page, password, ADMIN)
    cookies = context.storage_state()
    context.close()
    return cookies


def take(browser: Browser, address: str, shot: Shot, folder: Path, cookies: StorageState | None = None) -> Path:
    """Take one picture of the application that is served at an address; its file."""
    context = browser.new_context(
        base_url=address,
        locale="en",
        viewport={"width": shot.width, "height": shot.height},
        device_scale_factor=1.5 if shot.phone else 1,
        is_mobile=shot.phone,
        has_touch=shot.phone,
        storage_state=cookies,
    )
    page = context.new_page()
    shot.open(page)
    page.wait_for_load_state("networkidle")
    path = write(page.screenshot(), folder / f"{shot.name}.webp")
    context.close()
    return path


def write(picture: bytes, path: Path) -> Path:
    """Keep a picture as WebP."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").save(path, quality=QUALITY, method=6)
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"{path.name} has {path.stat().st_size:,} bytes, more than {LARGEST:,}.")
    return path


def main() -> None:
    """Set up one application with nothing in it and one with a demonstration, and take the pictures."""
    path = find_browser()
    if path is None:
        raise SystemExit("There is no browser: install chromium, or name one in CHROMIUM.")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with TemporaryDirectory() as scratch, sync_playwright() as playwright:
        empty, demo = (create_app(Config(instance=Path(scratch) / name)) for name in ("empty", "demo"))
        for app in (empty, demo):
            with app.app_context():
                upgrade()
        with demo.app_context():
            passwords = fill(print)
            count_all()
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        with serving(empty) as address:
            taken = [take(browser, address, RESULT, FOLDER)]
        with serving(demo) as address:
            cookies = cookies_of(browser, address, passwords[ADMIN])
            taken += [take(browser, address, shot, FOLDER, cookies) for shot in SHOTS]
        browser.close()
    for picture in taken:
        print(f"{picture.name}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
