"""The page of a screening that waits: what it looks like at first glance, without JavaScript too."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import expect

from ml.images import decode
from ml.preliminary import FirstLook
from tests.browser.pages import DESKTOP, PHONE, Opener, Size, file, fits, follow, screen
from webapp.config import Config
from webapp.inference import get_models

Photo = Callable[..., bytes]


@pytest.fixture
def config(config: Config, first_look_folder: Path) -> Config:
    """Settings with the drawn first look, and no patience with a busy model."""
    shutil.copytree(first_look_folder, config.models / "drawn-first-look" / "1")
    return replace(config, wait_seconds=0)


@pytest.mark.parametrize(("size", "dark", "scripts"), [(PHONE, False, False), (DESKTOP, True, True)])
def test_a_waiting_page_shows_it_and_then_the_answer(
    app: Flask, open_page: Opener, photo: Photo, first_look: FirstLook, size: Size, dark: bool, scripts: bool
) -> None:
    pictures = (photo("nv", seed) for seed in range(100, 120))
    known = next(one for one in pictures if first_look.look(decode(one)).probabilities is not None)
    page = open_page("/", size, dark=dark, scripts=scripts)
    with app.app_context(), get_models().turn():
        screen(page, file(known))
        expect(page.get_by_text("First impression, by simple measurements")).to_be_visible()
        expect(page.get_by_text("This is not the answer yet.")).to_be_visible()
        assert fits(page)
    follow(page.get_by_role("link", name="Look again"))
    expect(page.get_by_role("heading", name="First look by simple measurements")).to_be_visible()
    expect(page.get_by_text("What it looks like most")).to_be_visible()
    assert fits(page)
