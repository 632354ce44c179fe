"""Nothing is lost and nothing is done twice, whatever happens between Telegram, the bot and its database."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from tests.webapp.telegram.bot_api import BotApi, Refusal, Sent
from tests.webapp.telegram.conftest import Bot
from webapp.config import Config
from webapp.inference import Models
from webapp.models.screening import ScreeningRow
from webapp.telegram import intake, outbox

Rows = Callable[[], Sequence[ScreeningRow]]
Photo = Callable[..., bytes]
TOO_MANY = Refusal(429, "Too Many Requests: retry after 1", retry_after=1)
BAD_GATEWAY = Refusal(502, "Bad Gateway")


def test_a_message_delivered_twice_is_answered_once(bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo,
                                                    rows: Rows) -> None:  # fmt: skip
    agree()
    update = api.deliver(api.photo(photo("mel")))
    api.wait(1)
    api.until(lambda: rows()[0].reply_to is None)
    api.all_forgotten()
    api.deliver({**update, "update_id": api.number()})
    api.all_forgotten()
    api.write("/help")
    assert "/privacy" in api.wait(2)[-1].text
    assert len(rows()) == 1
    assert api.asked.count("download") == 1


def test_telegram_asks_to_wait_and_is_not_reached(bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo,
                                                  rows: Rows) -> None:  # fmt: skip
    agree()
    api.failures["getFile"] = [BAD_GATEWAY]
    api.failures["sendMessage"] = [TOO_MANY, BAD_GATEWAY]
    api.failures["getUpdates"] = [BAD_GATEWAY, TOO_MANY]
    api.deliver(api.photo(photo("mel")))
    api.wait(1)
    api.until(lambda: rows()[0].reply_to is None)
    assert api.asked.count("sendMessage") == 4  # the welcome, two failures, the answer


def test_a_file_that_telegram_does_not_hand_over(bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo,
                                                 rows: Rows) -> None:  # fmt: skip
    agree()
    api.failures["getFile"] = [Refusal(400, "Bad Request: file is too big")]
    api.deliver(api.photo(photo("mel")))
    assert "send it again" in api.wait(1)[0].text
    assert not rows()


def test_whoever_blocks_the_bot_holds_up_nobody(bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo,
                                                rows: Rows) -> None:  # fmt: skip
    agree()
    api.failures["sendMessage"] = [Refusal(403, "Forbidden: bot was blocked by the user")]
    api.deliver(api.photo(photo("mel")))
    api.until(lambda: bool(rows()) and rows()[0].reply_to is None)
    assert rows()[0].state == "done"
    assert not api.sent


def test_waiting_for_a_turn_is_told_and_answered_once(
    config: Config, make_app: Callable[[Config], Flask], start_bot: Callable[[Flask], Bot], api: BotApi,
    agree: Callable[..., Sent], photo: Photo, rows: Rows,
) -> None:  # fmt: skip
    app = make_app(replace(config, wait_seconds=1))
    start_bot(app)
    agree()
    models: Models = app.extensions["models"]
    with models.turn():
        api.deliver(api.photo(photo("mel")))
        assert "waits for its answer" in api.wait(1)[0].text
        api.all_forgotten()
        assert rows()[0].state == "pending"
    assert "What to do next" in api.wait(2)[-1].text
    api.until(lambda: rows()[0].reply_to is None)
    assert len(api.sent) == 2


def test_what_was_accepted_before_a_restart_is_answered_after_it(
    app: Flask, start_bot: Callable[[Flask], Bot], api: BotApi, agree: Callable[..., Sent], photo: Photo, rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first = start_bot(app)
    agree()
    with monkeypatch.context() as patch:
        patch.setattr("webapp.telegram.service.GRACE_SECONDS", 0.1)
        patch.setattr(outbox, "_try_to_answer", lambda number: True)  # a process that never gets to it
        api.deliver(api.photo(photo("mel")))
        api.until(lambda: bool(rows()))
        api.all_forgotten()
        first.end()
    assert (rows()[0].state, len(api.sent)) == ("pending", 0)
    assert rows()[0].reply_to is not None
    start_bot(app)
    (answer,) = api.wait(1)
    assert (answer.chat, rows()[0].state) == (7, "done")
    api.until(lambda: rows()[0].reply_to is None)


def test_a_row_answered_elsewhere_is_sent(
    app: Flask, start_bot: Callable[[Flask], Bot], api: BotApi, agree: Callable[..., Sent], photo: Photo, rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first = start_bot(app)
    agree()
    with monkeypatch.context() as patch:
        patch.setattr("webapp.telegram.service.GRACE_SECONDS", 0.1)
        patch.setattr(outbox, "_try_to_answer", lambda number: True)
        api.deliver(api.photo(photo("mel")))
        api.until(lambda: bool(rows()))
        first.end()
    assert app.test_cli_runner().invoke(args=["screenings", "sweep"]).exit_code == 0
    assert rows()[0].state == "done"
    start_bot(app)
    api.wait(1)


@pytest.mark.parametrize("error", [OperationalError, InternalError])
def test_an_update_that_was_not_handled_is_delivered_again(
    bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo, rows: Rows, monkeypatch: pytest.MonkeyPatch,
    error: type[DBAPIError],
) -> None:  # fmt: skip
    agree()
    attempts, whole = [], intake._keep

    def keep(*args: object) -> object:
        attempts.append(args)
        if len(attempts) < 3:
            raise error("", {}, Exception("database is locked"))
        return whole(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "_keep", keep)
    monkeypatch.setattr("webapp.telegram.polling.RETRY_SECONDS", 0.1)
    update = api.deliver(api.photo(photo("mel")))
    api.write("/help", chat=8)
    api.wait(2)  # others do not wait for it
    api.all_forgotten()
    assert len(attempts) == 3
    assert len(rows()) == 1
    assert update["update_id"]


def test_an_error_of_ours_is_told_and_holds_up_nothing(
    bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    agree()
    monkeypatch.setattr(intake, "attachment_of", lambda message: 1 / 0)
    api.deliver(api.photo(photo("mel")))
    assert "The fault is ours" in api.wait(1)[0].text
    api.all_forgotten()
    assert "Zoe" not in caplog.text


def test_stopping_finishes_what_was_accepted(bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo,
                                             rows: Rows) -> None:  # fmt: skip
    agree()
    api.deliver(api.photo(photo("mel")))
    api.until(lambda: "download" in api.asked)
    bot.end()
    assert [row.state for row in rows()] == ["done"]
    assert len(api.sent) == 1
    assert not api.updates
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("telegram-")]
