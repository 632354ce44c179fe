"""The bot while the database is locked or the disk full: a message waits or is told so, and no photo is lost."""

import errno
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest
from flask import Flask

from tests.webapp.telegram.bot_api import BotApi, Sent
from tests.webapp.telegram.conftest import Bot
from webapp import database
from webapp.config import Config
from webapp.models.screening import ScreeningRow
from webapp.photos import PhotoStore

Rows = Callable[[], Sequence[ScreeningRow]]


@pytest.fixture
def config(config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.5)
    return config


def test_a_photo_waits_for_a_locked_database(app: Flask, bot: Bot, api: BotApi, agree: Callable[..., Sent],
                                             photo: Callable[..., bytes], rows: Rows,
                                             config: Config) -> None:  # fmt: skip
    agree()
    with closing(database.sqlite_module().connect(config.instance / "lesion-lens.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        api.deliver(api.photo(photo("mel")))
        time.sleep(2)
    api.until(lambda: [row.state for row in rows()] == ["done"])
    assert api.wait(1)


def test_a_full_disk_is_told(app: Flask, bot: Bot, api: BotApi, agree: Callable[..., Sent],
                             photo: Callable[..., bytes], rows: Rows,
                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    agree()
    with monkeypatch.context() as patch:
        patch.setattr(PhotoStore, "keep", full)
        api.deliver(api.photo(photo("mel")))
        (told,) = api.wait(1)
    assert "cannot store" in told.text
    assert rows() == []
    api.deliver(api.photo(photo("mel", 1)))
    api.until(lambda: [row.state for row in rows()] == ["done"])
