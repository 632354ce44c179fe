"""docs/take_screenshots.py finds every page that README.md shows."""

import runpy
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image
from playwright.sync_api import Browser

from tests.browser.pages import PASSWORD
from webapp import clock
from webapp.account.passwords import hash_password
from webapp.config import PROJECT_FOLDER
from webapp.database import write_transaction
from webapp.models.training_run import RunState, TrainingRun
from webapp.models.user import Role, User


def test_every_picture_can_be_taken(chromium: Browser, server: str, app: Flask, tmp_path: Path) -> None:
    script = runpy.run_path(str(PROJECT_FOLDER / "docs" / "take_screenshots.py"))
    run = TrainingRun(
        state=RunState.DONE, label_set="ham10000", name="mine", options={}, requested_by="anna", created_at=clock.now(),
        attempts=1, epoch=2, epochs=2,
    )  # fmt: skip
    admin = User(name=script["ADMIN"], password_hash=hash_password(PASSWORD), role=Role.ADMIN, created_at=clock.now())
    with app.app_context(), write_transaction() as session:
        session.add_all([run, admin])
    taken = {script["RESULT"].name: script["take"](chromium, server, script["RESULT"], tmp_path)}
    cookies = script["cookies_of"](chromium, server, PASSWORD)
    for shot in script["SHOTS"]:
        taken[shot.name] = script["take"](chromium, server, shot, tmp_path, cookies)
    assert taken.keys() == {path.stem for path in script["FOLDER"].iterdir()}
    for shot in (script["RESULT"], *script["SHOTS"]):
        with Image.open(taken[shot.name]) as picture:
            assert picture.size == (shot.width * (1.5 if shot.phone else 1), shot.height * (1.5 if shot.phone else 1))
            assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24) or ()) > 50


def test_a_picture_that_grew_too_large_is_refused(tmp_path: Path) -> None:
    script = runpy.run_path(str(PROJECT_FOLDER / "docs" / "take_screenshots.py"))
    noise = tmp_path / "noise.png"
    Image.effect_noise((1600, 1600), 90).save(noise)
    with pytest.raises(SystemExit, match=r"large\.webp has [\d,]+ bytes, more than 150,000"):
        script["write"](noise.read_bytes(), tmp_path / "large.webp")
