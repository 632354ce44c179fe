"""Commands, languages, consent, deletion."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.webapp.telegram.bot_api import BotApi, Sent
from tests.webapp.telegram.conftest import Bot
from webapp.config import Config
from webapp.extensions import db
from webapp.models.chat import TelegramChat
from webapp.models.screening import ScreeningRow

Rows = Callable[[], Sequence[ScreeningRow]]


@pytest.fixture
def chats(app: Flask) -> Callable[[], Sequence[TelegramChat]]:
    """Reads what is kept of chats."""

    def read() -> Sequence[TelegramChat]:
        with app.app_context():
            return db.session.scalars(select(TelegramChat)).all()

    return read


Chats = Callable[[], Sequence[TelegramChat]]


def test_start_asks_for_consent_once(bot: Bot, api: BotApi, chats: Chats) -> None:
    api.write("/start")
    (welcome,) = api.wait(1)
    assert "I agree that my photos are stored here" in welcome.text
    assert "not a medical device" in welcome.text
    assert "/privacy" in welcome.text
    assert not chats()
    api.press(welcome, "I agree")
    api.until(lambda: "Thank you" in welcome.text)
    (chat,) = chats()
    assert re.fullmatch("[0-9a-f]{64}", chat.chat_hash)
    assert chat.language == "en"
    api.write("/start")
    assert "/delete" in api.wait(2)[-1].text


def test_commands_answer_in_the_language_of_the_person(bot: Bot, api: BotApi) -> None:
    for command in ("/help", "/privacy", "/start", "/delete", "/language", "hello", "/nonsense"):
        api.write(command, language="de")
    said = [message.text for message in sorted(api.wait(7), key=lambda message: message.reply_to or 0)]
    assert "Schicken Sie ein Foto" in said[0]
    assert "Server von Telegram" in said[1]
    assert "medizinisches Gerät" in said[1] or "Medizinprodukt" in said[1]
    assert "stimmen Sie" in said[2]
    assert "nichts gespeichert" in said[3]
    assert "stimmen Sie" in said[4]
    assert said[5] == said[6]


def test_the_language_is_kept(bot: Bot, api: BotApi, agree: Callable[..., Sent], chats: Chats) -> None:
    agree()
    api.write("/language")
    (question,) = api.wait(1)
    assert list(question.buttons) == ["English", "Deutsch"]
    api.press(question, "Deutsch")
    api.until(lambda: "auf Deutsch" in question.text)
    assert chats()[0].language == "de"
    api.write("/help")
    assert "Schicken Sie ein Foto" in api.wait(2)[-1].text


def test_before_the_consent_a_language_is_not_stored(bot: Bot, api: BotApi, chats: Chats) -> None:
    api.write("/start")
    (welcome,) = api.wait(1)
    api.press(welcome, "Deutsch")
    api.until(lambda: "Ich stimme zu" in welcome.buttons)
    assert not chats()
    api.press(welcome, "Ich stimme zu")
    api.until(lambda: not welcome.buttons)
    assert chats()[0].language == "de"


def test_privacy_says_how_long(config: Config, make_app: Callable[[Config], Flask],
                               start_bot: Callable[[Flask], Bot], api: BotApi) -> None:  # fmt: skip
    start_bot(make_app(replace(config, photo_retention_days=30)))
    api.write("/privacy")
    text = api.wait(1)[0].text
    for part in ("30 days", "Telegram's servers", "keyed hash", "not a medical device"):
        assert part in text


def test_delete_removes_everything_of_a_chat(
    bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Callable[..., bytes], rows: Rows, chats: Chats,
    config: Config,
) -> None:  # fmt: skip
    agree()
    agree(chat=8)
    updates = [api.photo(photo("mel")), api.photo(photo("nv", 1)), api.photo(photo("mel"), chat=8)]
    for update in updates:
        api.deliver(update)
    api.wait(3)
    api.write("/delete")
    question = api.wait(4)[-1]
    assert "2" in question.text
    api.press(question, "No, keep")
    api.until(lambda: "Nothing was deleted" in question.text)
    api.write("/delete")
    question = api.wait(5)[-1]
    api.press(question, "Yes, delete")
    api.until(lambda: "Deleted" in question.text)
    mine = [row for row in rows() if row.deleted_at is not None]
    assert len(mine) == 2
    for row in mine:
        assert (row.sender, row.probabilities, row.gate, row.photos) == (None, None, None, [])
    assert len(chats()) == 1
    api.all_forgotten()
    api.deliver(updates[0])  # delivered once more: it must not come back
    assert "please agree" in api.wait(6)[-1].text
    assert len(rows()) == 3
    assert len([path for path in config.photos.rglob("*") if path.is_file()]) == 2


def test_who_writes_is_stored_nowhere(app: Flask, bot: Bot, api: BotApi, agree: Callable[..., Sent],
                                      photo: Callable[..., bytes], config: Config) -> None:  # fmt: skip
    number = 98765432101
    agree(chat=number)
    api.deliver(api.photo(photo("mel"), chat=number))
    api.wait(1)
    api.all_forgotten()
    for path in config.instance.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for text in (str(number), "zoequux", "Quux"):
                assert text.encode() not in content, path
            assert number.to_bytes(8, "big") not in content
            assert number.to_bytes(5, "big") not in content


def test_groups_are_sent_away(bot: Bot, api: BotApi) -> None:
    api.write("chatter", kind="group", chat=-5)
    api.write("/start", kind="group", chat=-5)
    assert "private chat" in api.wait(1)[0].text


def test_the_history_names_the_channel(
    admin: FlaskClient, bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Callable[..., bytes]
) -> None:
    agree()
    api.deliver(api.photo(photo("mel")))
    api.wait(1)
    assert '<span class="channel">#1 · Telegram</span>' in admin.get("/admin/history").text
    assert "Telegram" in admin.get("/admin/screenings/1").text


def test_buttons_count_as_messages_do(bot: Bot, api: BotApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.telegram.chats.MESSAGES", "3 per minute")
    api.write("/start")
    (welcome,) = api.wait(1)
    api.press(welcome, "Deutsch")
    api.until(lambda: "Ich stimme zu" in welcome.buttons)
    api.press(welcome, "English")
    api.until(lambda: "I agree" in welcome.buttons)
    api.press(welcome, "Deutsch")
    api.all_forgotten()
    assert "I agree" in welcome.buttons, "the fourth within a minute does nothing"
