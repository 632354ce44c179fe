"""Updates as requests: taken with the secret that was given to Telegram, refused without."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from flask import Flask

from tests.webapp.telegram.bot_api import BotApi
from tests.webapp.telegram.conftest import Bot
from tests.webapp.telegram.posting import post_update
from webapp.config import Config
from webapp.models.screening import ScreeningRow


def test_webhook(
    config: Config, make_app: Callable[[Config], Flask], start_bot: Callable[[Flask], Bot], api: BotApi, port: int,
    photo: Callable[..., bytes], rows: Callable[[], Sequence[ScreeningRow]],
) -> None:  # fmt: skip
    url = "https://bot.example.org/hook"
    bot = start_bot(make_app(replace(config, telegram_webhook_url=url, telegram_port=port)))
    (told,) = api.calls["setWebhook"]
    secret = told["secret_token"]
    assert told["url"] == url
    assert len(secret) == 64
    for wrong in (None, "", "wrong", secret[:-1], "ü" * 64):
        assert post_update(port, wrong and wrong.encode("utf-8").decode("latin-1"), api.message(text="/start")) == 403
    assert post_update(port, secret, b"no json") == 400
    assert post_update(port, secret, [1]) == 400
    assert not api.sent
    assert post_update(port, secret, api.message(text="/start")) == 200
    (welcome,) = api.wait(1)
    assert post_update(port, secret, {"update_id": api.number(), "callback_query": {
        "id": "1", "from": {"id": 7, "is_bot": False, "first_name": "Zoe"}, "message": api._shown(welcome),
        "chat_instance": "1", "data": welcome.buttons["I agree"]}}) == 200  # fmt: skip
    update = api.photo(photo("mel"))
    assert post_update(port, secret, update) == 200
    assert len(rows()) == 1  # it is committed before Telegram is told
    assert post_update(port, secret, update) == 200
    api.wait(2)
    bot.end()
    assert len(rows()) == 1
    assert "getUpdates" not in api.asked


def test_a_port_in_use_is_one_error(config: Config, make_app: Callable[[Config], Flask],
                                    start_bot: Callable[[Flask], Bot], port: int) -> None:  # fmt: skip
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        app = make_app(replace(config, telegram_webhook_url="https://bot.example.org", telegram_port=port))
        bot = start_bot(app)
        bot.end()
    assert isinstance(bot.error, OSError)
