"""Whatever updates come, in whatever order: the bot goes on, says nothing of the inside, and nothing of others.

More of them: FUZZ_EXAMPLES=2000 .venv/bin/python -m pytest tests/webapp/telegram/test_bot_fuzz.py --timeout 0
--hypothesis-seed 1
"""

import gc
import itertools
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import func, select

from benchmarks.odd_input import BODIES, INTERNAL
from tests.webapp.telegram.bot_api import TOKEN, BotApi, Sent
from tests.webapp.telegram.conftest import Bot
from tests.webapp.telegram.odd_updates import (
    AGREED,
    LATEST,
    NAME,
    ODD,
    OTHERS,
    OWN,
    PRESSED,
    SENT,
    SEQUENCES,
    Update,
    press,
    updates,
)
from tests.webapp.telegram.posting import post_update
from webapp.config import Config
from webapp.extensions import db
from webapp.models.screening import ScreeningRow
from webapp.telegram import buttons
from webapp.telegram.chats import Address

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "")
SETTINGS = settings(
    max_examples=int(EXAMPLES or 60),
    deadline=None,
    derandomize=not EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # the first failure tells enough
)
OWNER = 4711
# What Telegram refuses for good reasons: buttons below messages that are none of the bot's, files that it has not.
DESERVED = {
    "Bad Request: message to edit not found",
    "Bad Request: message is not modified",
    "Bad Request: invalid file_id",
}
SPOKEN = ("sendMessage", "sendPhoto", "editMessageText", "editMessageReplyMarkup", "answerCallbackQuery")
RESULT = re.compile("(?<![\\w-])[\\w-]{43}(?![\\w-])", re.ASCII)
Rows = Callable[[], Sequence[ScreeningRow]]
Photo = Callable[..., bytes]


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that this is too much, and albums are complete soon."""
    monkeypatch.setattr("webapp.telegram.chats.MESSAGES", "1000000 per minute")
    monkeypatch.setattr("webapp.telegram.outbox.SETTLE_SECONDS", 0.1)


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, telegram_rate="1000000 per minute", public_url="https://lens.example.org")


@pytest.fixture(autouse=True)
def files(api: BotApi, photo: Photo) -> None:
    """The files that updates tell of: three photos, and what is none or too small."""
    small, moving = BytesIO(), BytesIO()
    Image.new("RGB", (60, 64), "pink").save(small, "PNG")
    frames = [Image.new("RGB", (300, 300), colour) for colour in ("red", "blue")]
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    api.files |= {f"photo-{seed}": photo("mel", seed) for seed in (1, 2, 3)} | {
        "small": small.getvalue(),
        "truncated": photo("nv")[:900],
        "text": b"no picture",
        "empty": b"",
        "animation": moving.getvalue(),
        "pathless": None,
    }


def agreements() -> list[Update]:
    """What has everybody agree anew, whatever was forgotten before."""
    return [press(chat, f"{buttons.AGREE}:en", number=1) for chat in AGREED]


def inside(value: Any, *keys: str) -> Any:
    """What lies under these keys, one in the other; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


class Watch:
    """Sends updates, and looks whether what is always true still is."""

    def __init__(self, app: Flask, api: BotApi, config: Config, caplog: pytest.LogCaptureFixture) -> None:
        self.app, self.api, self.caplog = app, api, caplog
        self.secrets = {TOKEN, TOKEN.partition(":")[2], NAME, str(config.instance)}
        self.strangers = itertools.count(1_000_000)
        self.tokens: dict[object, list[str]] = {}
        self.looked_over = dict.fromkeys(SPOKEN, 0)

    def filled(self, update: Update) -> Update:
        """The update with its placeholders filled. Remembers its chat, and the token of a photo's result."""
        for message in (inside(update, "message"), inside(update, "callback_query", "message")):
            chat, number = inside(message, "chat", "id"), inside(message, "message_id")
            if type(chat) is int:
                known, album = self.tokens.setdefault(chat, []), inside(message, "media_group_id") or ""
                if type(number) is int and {"photo", "document"} & set(message) and album != "\ud800":
                    with self.app.app_context():
                        known.append(Address(chat, number, album, True).token)
        query, chat = inside(update, "callback_query"), inside(update, "callback_query", "message", "chat", "id")
        if not isinstance(inside(query, "data"), str) or type(chat) is not int:
            return update
        others, own = self.tokens[OWNER][0], (self.tokens[chat] or ["none"])[-1]
        query = {**query, "data": query["data"].replace(OTHERS, others).replace(OWN, own)}
        if query["message"].get("message_id") == LATEST:
            number = next((sent.number for sent in reversed(self.api.sent) if sent.chat == chat), 1)
            query["message"] = {**query["message"], "message_id": number}
        return {**update, "callback_query": query}

    def send(self, sent: Sequence[Update]) -> None:
        """Have the bot find the updates, and wait until it is done with them."""
        for update in sent:
            self.api.deliver({"update_id": self.api.number(), **self.filled(update)})
        self.api.all_forgotten()
        self.api.until(lambda: not self._unanswered())

    def look_over(self) -> None:
        """The bot answers a stranger; nothing went wrong; it said nothing of the inside and nothing of others."""
        chat = next(self.strangers)
        self.tokens[chat] = []
        self.api.write("/start", chat=chat)
        self.api.until(lambda: any(sent.chat == chat and "please agree" in sent.text for sent in self.api.sent))
        self.api.all_forgotten()
        self.look_through_log()
        assert set(self.api.refused) <= DESERVED
        for method in SPOKEN:
            calls = self.api.calls[method]
            for values in calls[self.looked_over[method] :]:
                self._look_over(method, values)
            self.looked_over[method] = len(calls)

    def look_through_log(self) -> None:
        """Nothing went wrong, and the log does not name anybody."""
        for record in self.caplog.records:
            assert record.levelno < logging.ERROR, self.caplog.text
            assert not record.exc_info, self.caplog.text
        self._tells_nothing(self.caplog.text)
        self.caplog.clear()

    def _look_over(self, method: str, values: dict[str, str]) -> None:
        said = "\n".join(values.values())
        self._tells_nothing(said)
        assert not INTERNAL.search(said), said
        if method == "answerCallbackQuery":
            return
        chat = int(values["chat_id"])
        assert chat != OWNER
        assert chat in self.tokens, "nobody has written from there"
        assert set(RESULT.findall(values.get("reply_markup", ""))) <= set(self.tokens[chat]), "of another chat"

    def _tells_nothing(self, text: str) -> None:
        for secret in self.secrets | {self.tokens[OWNER][0]}:
            assert secret not in text, text

    def _unanswered(self) -> int:
        with self.app.app_context():
            due = select(func.count()).where(ScreeningRow.reply_to.is_not(None), ScreeningRow.deleted_at.is_(None))
            return db.session.scalar(due) or 0


@pytest.fixture
def watch(app: Flask, bot: Bot, api: BotApi, config: Config, agree: Callable[..., Sent], photo: Photo,
          caplog: pytest.LogCaptureFixture) -> Watch:  # fmt: skip
    """A watch over a bot that two chats agree with, and that has answered a third one's photo."""
    caplog.set_level(logging.WARNING, "werkzeug")  # the Bot API server of the tests, which logs each address
    watch = Watch(app, api, config, caplog)
    for chat in [*AGREED, OWNER]:
        agree(chat)
    update = api.photo(photo("mel"), chat=OWNER)
    watch.filled(update)
    api.deliver(update)
    api.until(lambda: len(api.pictures) == 1)
    api.all_forgotten()
    watch.looked_over = {method: len(api.calls[method]) for method in SPOKEN}
    return watch


@pytest.mark.slow
def test_updates_of_every_kind_in_any_order(watch: Watch, bot: Bot, rows: Rows) -> None:
    @example(sent=PRESSED)
    @given(sent=SEQUENCES)
    @SETTINGS
    def try_one(sent: list[Update]) -> None:
        note(repr(sent))
        watch.send([*agreements(), *sent])
        watch.look_over()

    watch.send([*agreements(), *SENT])
    try_one()
    owner, *others = rows()
    assert (owner.state, owner.deleted_at, len(owner.photos)) == ("done", None, 1)
    assert {row.state for row in others if row.deleted_at is None} == {"done"}
    assert any(row.deleted_at for row in others)
    bot.end()
    assert bot.error is None
    gc.collect()  # asyncio tells of errors that nobody asked for when their tasks are removed
    watch.look_through_log()


def test_bodies_of_every_kind_to_the_webhook(
    config: Config, make_app: Callable[[Config], Flask], start_bot: Callable[[Flask], Bot], api: BotApi, port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    url = "https://bot.example.org/hook"
    bot = start_bot(make_app(replace(config, telegram_webhook_url=url, telegram_port=port)))
    (told,) = api.calls["setWebhook"]

    def post(body: Any) -> int:
        return post_update(port, told["secret_token"], body)

    numbers = st.one_of(st.integers(), ODD)
    numbered = st.builds(lambda update, number: {"update_id": number, **update}, updates(), numbers)
    bodies = st.one_of(numbered, numbered, BODIES, ODD, st.just(b"[" * 100_000), updates())

    @given(body=bodies)
    @SETTINGS
    def try_one(body: Any) -> None:
        note(repr(body))
        assert post(body) in (200, 400)

    try_one()
    api.sent.clear()
    assert post(api.message(chat=OWNER, text="/start")) == 200
    assert "please agree" in api.wait(1)[0].text
    bot.end()
    assert bot.error is None
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
