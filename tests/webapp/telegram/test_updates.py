"""Updates that are damaged, or that nobody asked for, hold up no others and are told of in no log."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from telegram.error import TelegramError

from tests.webapp.telegram.bot_api import BotApi, Sent
from tests.webapp.telegram.conftest import Bot
from tests.webapp.telegram.posting import post_update
from webapp.config import Config
from webapp.telegram.outbox import FORGET_SECONDS, Albums
from webapp.telegram.updates import UpdatesRequest, taken

CHAT = {"id": 7, "type": "private"}
MESSAGE: dict[str, Any] = {"message_id": 1, "date": 1, "chat": CHAT}
BUTTON: dict[str, Any] = {"id": "1", "from": {"id": 7, "is_bot": False, "first_name": "Zoe"}, "chat_instance": "1"}


@pytest.mark.parametrize(
    "message",
    [
        "text",
        {},
        {**MESSAGE, "date": 10**30},
        {**MESSAGE, "date": "1"},
        {**MESSAGE, "message_id": "1"},
        {**MESSAGE, "chat": {"id": True, "type": "private"}},
        {**MESSAGE, "text": 1},
        {**MESSAGE, "text": "\ud800"},
        {**MESSAGE, "media_group_id": ["1"]},
        {**MESSAGE, "photo": {"file_id": "1"}},
        {**MESSAGE, "photo": [{"file_id": "1", "file_unique_id": "1", "width": 1, "height": 1, "file_size": "1"}]},
        {**MESSAGE, "document": {"file_id": "1", "file_unique_id": "1", "mime_type": 5}},
        {**MESSAGE, "text": "/x", "entities": [{"type": "bot_command", "offset": 0, "length": "2"}]},
        {**MESSAGE, "venue": {"title": "without a place"}},
    ],
)
def test_a_damaged_message_is_nothing_but_its_number(message: Any) -> None:
    assert taken({"update_id": 5, "message": message}) == {"update_id": 5}


def test_nothing_but_messages_and_buttons_is_taken() -> None:
    whole = {"update_id": 5, "message": MESSAGE, "callback_query": BUTTON}
    assert taken({**whole, "edited_message": MESSAGE, "poll": {"id": "1"}, "yet_to_come": 1}) == whole
    assert taken({"update_id": 5, "callback_query": {**BUTTON, "data": 7}}) == {"update_id": 5}
    nothing: list[Any] = [None, 1, [], {}, {"update_id": "5"}, {"update_id": True}, {"update_id": 1.0}]
    assert [taken(given) for given in nothing] == [None] * len(nothing)


@pytest.mark.parametrize("answer", [[], {"ok": True, "result": {}}, {"ok": True, "result": [{"message": MESSAGE}]}])
def test_what_is_no_answer_with_updates_is_trouble_on_the_way(answer: Any) -> None:
    with pytest.raises(TelegramError):
        UpdatesRequest.parse_json_payload(json.dumps(answer).encode())


def test_a_damaged_update_holds_up_nobody_and_is_not_logged(
    bot: Bot, api: BotApi, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = api.message(text="a secret")
    damaged["message"]["date"] = "yesterday"
    api.deliver(damaged)
    api.write("/start", chat=8)
    assert [message.chat for message in api.wait(1)] == [8]
    api.all_forgotten()
    assert "could not be read" in caplog.text
    assert "secret" not in caplog.text
    assert "Zoe" not in caplog.text


@pytest.mark.parametrize("kind", ["edited_message", "channel_post", "business_message"])
@pytest.mark.parametrize("text", ["/start", "hello"])
def test_what_was_not_asked_for_is_passed_over(
    bot: Bot, api: BotApi, caplog: pytest.LogCaptureFixture, kind: str, text: str
) -> None:
    update = api.message(text=text)
    api.deliver({"update_id": update["update_id"], kind: update["message"]})
    api.write("/help", chat=8)
    assert [message.chat for message in api.wait(1)] == [8]
    api.all_forgotten()
    assert "could not be handled" not in caplog.text


def test_the_webhook_takes_a_damaged_update_once(
    config: Config, make_app: Callable[[Config], Flask], start_bot: Callable[[Flask], Bot], api: BotApi, port: int
) -> None:
    start_bot(make_app(replace(config, telegram_webhook_url="https://bot.example.org/hook", telegram_port=port)))
    secret = api.calls["setWebhook"][0]["secret_token"]
    assert post_update(port, secret, {"update_id": 1, "message": {**MESSAGE, "date": 10**30}}) == 200
    assert post_update(port, secret, {"message": MESSAGE}) == 400
    assert post_update(port, secret, b"[" * 100_000) == 400
    assert not api.sent


def test_a_file_without_a_path_is_not_handed_over(bot: Bot, api: BotApi, agree: Callable[..., Sent]) -> None:
    agree()
    update = api.photo(b"")
    api.files[update["message"]["photo"][-1]["file_id"]] = None
    api.deliver(update)
    assert "send it again" in api.wait(1)[0].text
    api.all_forgotten()


def test_a_photo_that_comes_long_after_its_album_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now, albums = [1000.0], Albums()
    monkeypatch.setattr("webapp.telegram.outbox.time.monotonic", lambda: now[0])
    albums.begin("1")
    albums.end("1")
    now[0] += FORGET_SECONDS + 1
    albums.begin("1")
    albums.begin("2")
    albums.end("2")
    albums.end("1")
