"""Photos in, answers out."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import update

from ml.bundle import CARD, Bundle
from tests.webapp.telegram.bot_api import BotApi, Refusal, Sent
from tests.webapp.telegram.conftest import Bot
from webapp.api.answers import recommendation
from webapp.config import Config
from webapp.database import write_transaction
from webapp.i18n import percent
from webapp.models.chat import TelegramChat
from webapp.models.screening import ScreeningRow

Rows = Callable[[], Sequence[ScreeningRow]]
Photo = Callable[..., bytes]


def shrunk(photo: bytes) -> bytes:
    """A photo with too few pixels."""
    buffer = BytesIO()
    Image.open(BytesIO(photo)).resize((64, 60)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_photo_is_answered(app: Flask, bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo,
                             rows: Rows) -> None:  # fmt: skip
    agree()
    update = api.deliver(api.photo(photo("mel")))
    (answer,) = api.wait(1)
    (row,) = rows()
    api.until(lambda: rows()[0].reply_to is None)
    assert (row.channel, row.state, row.language, len(row.photos)) == ("telegram", "done", "en", 1)
    assert row.consent_at is not None
    assert row.consent_at <= row.created_at
    with app.app_context():
        told = recommendation(row, "en")
        for text in (told["headline"], told["meaning"], told["lead"], *told["points"], told["notice"]):
            assert text in answer.text
        for share in (row.probabilities or {}).values():
            assert percent(share) in answer.text
    assert f"{row.model_name} {row.model_version}" in answer.text
    assert answer.reply_to == update["message"]["message_id"]
    assert list(answer.buttons) == ["Delete photo and result"]
    api.until(lambda: len(api.pictures) == 1)
    (picture,) = api.pictures
    assert Image.open(BytesIO(picture.picture)).format == "JPEG"
    assert "no reason to trust the answer" in picture.text
    assert picture.reply_to == answer.number


def test_an_image_file_is_answered_in_german(bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo,
                                             rows: Rows) -> None:  # fmt: skip
    agree(language="de")
    api.deliver(api.document(photo("nv", kind="PNG"), "image/png", language="de"))
    (answer,) = api.wait(1)
    assert rows()[0].language == "de"
    assert "Was jetzt zu tun ist" in answer.text
    assert "Foto und Ergebnis löschen" in answer.buttons


def test_an_album_is_one_lesion(bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo, rows: Rows) -> None:
    agree()
    parts = [api.photo(photo("mel", seed), media_group_id="55") for seed in range(5)]
    api.deliver(parts[0])
    api.until(lambda: len(rows()) == 1)
    for part in [*parts[1:], parts[1]]:  # the second one twice
        api.deliver(part)
    said = api.wait(2)
    assert sum("first three" in message.text for message in said) == 1
    assert [(row.state, len(row.photos)) for row in rows()] == [("done", 3)]
    api.all_forgotten()
    api.deliver(api.photo(photo("mel", 9), media_group_id="55"))
    assert "arrived too late" in api.wait(3)[-1].text
    assert len(rows()[0].photos) == 3


def test_a_photo_that_cannot_be_judged_says_how_to_send_a_better_one(
    bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo, rows: Rows
) -> None:
    agree()
    api.deliver(api.photo(shrunk(photo("mel"))))
    (answer,) = api.wait(1)
    (row,) = rows()
    assert (row.status, row.predicted) == ("refused", None)
    assert "Not answered" in answer.text
    assert "Send it as a file" in answer.text
    assert "Take another photo" in answer.text
    assert list(answer.buttons) == ["Delete photo and result"]
    api.deliver(api.document(shrunk(photo("mel"))))
    assert "Send it as a file" not in api.wait(2)[-1].text


@pytest.mark.parametrize(
    ("content", "kind", "size", "sentence"),
    [
        (b"no picture", "image/jpeg", None, "The file is not a picture"),
        (b"", "image/jpeg", None, "The file is empty"),
        (b"%PDF", "application/pdf", None, "The file is not a picture"),
        (b"\xff\xd8\xff", "image/jpeg", None, "Choose"),
        (b"x", "image/jpeg", 16 * 1024 * 1024, "The file is larger than 15 MB"),
    ],
)
def test_a_bad_file_gets_one_clear_sentence(
    bot: Bot, api: BotApi, agree: Callable[..., Sent], rows: Rows, content: bytes, kind: str, size: int, sentence: str
) -> None:
    agree()
    api.deliver(api.document(content, kind, size))
    assert sentence in api.wait(1)[0].text
    assert not rows()
    assert ("download" in api.asked) is (size is None and kind == "image/jpeg")
    api.all_forgotten()


def test_nothing_is_stored_before_the_person_agrees(app: Flask, bot: Bot, api: BotApi, config: Config, photo: Photo,
                                                    rows: Rows) -> None:  # fmt: skip
    api.deliver(api.photo(photo()))
    (welcome,) = api.wait(1)
    assert "please agree" in welcome.text
    assert "download" not in api.asked
    assert not rows()
    assert not any(path.is_file() for path in config.photos.rglob("*"))


def test_the_heatmap_of_a_rash_comes_when_it_is_asked_for(
    config: Config, make_app: Callable[[Config], Flask], start_bot: Callable[[Flask], Bot], api: BotApi,
    agree: Callable[..., Sent], photo: Photo, rash_bundle: Bundle, rows: Rows,
) -> None:  # fmt: skip
    start_bot(make_app(replace(config, model=str(rash_bundle.path), answer_not_dermatoscopic=True)))
    agree()
    seeds = iter(range(30))
    while True:  # until one is answered
        api.sent.clear()
        api.deliver(api.photo(photo("bcc", next(seeds))))
        (answer,) = api.wait(1)
        if "Show the heatmap" in answer.buttons:
            break
    assert "sendPhoto" not in api.asked
    api.failures["sendPhoto"] = [Refusal(400, "Bad Request: PHOTO_INVALID_DIMENSIONS")]
    api.press(answer, "Show the heatmap")
    api.all_forgotten()
    assert "Show the heatmap" in answer.buttons
    api.press(answer, "Show the heatmap")
    api.until(lambda: len(api.pictures) == 1)
    assert "no reason to trust the answer" in api.pictures[0].text
    api.until(lambda: list(answer.buttons) == ["Delete photo and result"])


@pytest.fixture
def without_heatmap(bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo) -> Sent:
    """An answer whose heatmap was not sent, and which offers it instead."""
    agree()
    api.failures["sendPhoto"] = [Refusal(400, "Bad Request: PHOTO_INVALID_DIMENSIONS")]
    api.deliver(api.photo(photo("mel")))
    (answer,) = api.wait(1)
    api.until(lambda: list(answer.buttons) == ["Show the heatmap", "Delete photo and result"])
    return answer


def test_an_answer_stands_where_its_heatmap_is_not_sent_and_offers_it(
    api: BotApi, without_heatmap: Sent, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    answer = without_heatmap
    assert "was not sent" in "".join(record.getMessage() for record in caplog.get_records("setup"))
    assert (rows()[0].state, rows()[0].reply_to) == ("done", None)
    api.press(answer, "Show the heatmap")
    api.until(lambda: len(api.pictures) == 1)
    api.until(lambda: list(answer.buttons) == ["Delete photo and result"])


def test_a_heatmap_of_a_photo_that_is_gone_is_one_sentence(
    api: BotApi, without_heatmap: Sent, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the photos' time ends while the button is pressed."""
    answer = without_heatmap
    for path in config.photos.rglob("*"):
        if path.is_file():
            path.unlink()
    api.press(answer, "Show the heatmap")
    assert api.wait(2)[-1].text == "The heatmap can no longer be shown, since the photo is deleted."
    api.until(lambda: list(answer.buttons) == ["Delete photo and result"])
    assert "Traceback" not in caplog.text
    assert "Model: tiny" in answer.text, "the answer stands"


def test_a_result_is_deleted_in_two_steps(bot: Bot, api: BotApi, agree: Callable[..., Sent], config: Config,
                                          photo: Photo, rows: Rows) -> None:  # fmt: skip
    agree()
    api.deliver(api.photo(photo("mel")))
    (answer,) = api.wait(1)
    before = dict(answer.buttons)
    api.press(answer, "Delete photo and result")
    api.until(lambda: list(answer.buttons) == ["Yes, delete", "No, keep"])
    api.press(answer, "No, keep")
    api.until(lambda: answer.buttons == before)
    api.press(answer, "Delete photo and result")
    api.until(lambda: "Yes, delete" in answer.buttons)
    stranger = replace(answer, chat=8)
    api.press(stranger, "Yes, delete")  # not of this chat
    api.until(lambda: any("deleted" in call.get("text", "") for call in api.calls["answerCallbackQuery"]))
    assert rows()[0].deleted_at is None
    api.press(answer, "Yes, delete")
    api.until(lambda: "are deleted" in answer.text)
    (row,) = rows()
    assert row.deleted_at is not None
    assert (row.sender, row.reply_to, row.probabilities, row.photos) == (None, None, None, [])
    assert not any(path.is_file() for path in config.photos.rglob("*"))


def test_each_chat_has_a_limit(config: Config, make_app: Callable[[Config], Flask], start_bot: Callable[[Flask], Bot],
                               api: BotApi, agree: Callable[..., Sent], photo: Photo, rows: Rows) -> None:  # fmt: skip
    start_bot(make_app(replace(config, telegram_rate="1 per hour", public_url="https://lens.example.org/")))
    agree()
    agree(chat=8)
    update = api.photo(photo("mel"))
    api.deliver(update)
    (answer,) = api.wait(1)
    assert answer.buttons["Open the result page"].startswith("https://lens.example.org/results/")
    api.deliver(api.photo(photo("mel", 1)))
    assert "in a short time" in api.wait(2)[-1].text
    api.deliver(api.photo(photo("mel", 2), chat=8))
    assert api.wait(3)[-1].chat == 8
    assert len(rows()) == 2


def test_whoever_sends_too_much_is_told_once(bot: Bot, api: BotApi) -> None:
    for _ in range(45):
        api.deliver(api.message(text="hello"))
    api.all_forgotten()
    assert len(api.sent) == 41
    assert sum("Wait a minute" in message.text for message in api.sent) == 1


def test_with_several_models_the_bot_asks_what_it_is_about(
    config: Config, make_app: Callable[[Config], Flask], start_bot: Callable[[Flask], Bot], api: BotApi, photo: Photo,
    rows: Rows, tiny_bundle: Bundle, rash_bundle: Bundle,
) -> None:  # fmt: skip
    start_bot(make_app(replace(config, model=f"{tiny_bundle.path},{rash_bundle.path}")))
    api.write("/start")
    (welcome,) = api.wait(1)
    api.press(welcome, "I agree")
    question = api.wait(2)[-1]
    assert list(question.buttons) == ["A spot or mole", "A rash"]
    api.deliver(api.photo(photo("mel")))
    assert api.wait(3)[-1].buttons == question.buttons
    assert not rows()
    api.press(question, "A spot or mole")
    api.until(lambda: "Chosen: A spot or mole" in question.text)
    api.deliver(api.photo(photo("mel")))
    api.wait(4)
    api.write("/topic")
    again = api.wait(5)[-1]
    api.press(again, "A rash")
    api.until(lambda: "Chosen: A rash" in again.text)
    api.deliver(api.photo(photo("mel")))
    api.wait(6)
    assert [row.asked_label_set for row in rows()] == [tiny_bundle.card.label_set, rash_bundle.card.label_set]
    assert all(row.state == "done" for row in rows())


def test_without_the_default_model_nobody_is_answered_by_another_unasked(
    config: Config, make_app: Callable[[Config], Flask], start_bot: Callable[[Flask], Bot], api: BotApi,
    agree: Callable[..., Sent], photo: Photo, rows: Rows, tiny_bundle: Bundle, rash_bundle: Bundle,
) -> None:  # fmt: skip
    spots = shutil.copytree(tiny_bundle.path, config.instance / "spots")
    app = make_app(replace(config, model=f"{spots},{rash_bundle.path}"))
    start_bot(app)
    agree()
    (spots / CARD).write_text("{", encoding="utf-8")
    for number, chosen in enumerate((None, tiny_bundle.card.label_set), start=1):
        with app.app_context(), write_transaction() as session:
            session.execute(update(TelegramChat).values(label_set=chosen))
        api.deliver(api.photo(photo("mel")))
        told = api.wait(number)[-1]
        assert "The model cannot be loaded at the moment." in told.text
        assert list(told.buttons) == ["A rash"]
    assert not rows()


def test_a_topic_whose_model_is_gone_is_answered_by_no_other(
    app: Flask, bot: Bot, api: BotApi, agree: Callable[..., Sent], photo: Photo, rows: Rows
) -> None:
    agree()
    with app.app_context(), write_transaction() as session:
        session.execute(update(TelegramChat).values(label_set="msid"))
    api.deliver(api.photo(photo("mel")))
    assert "not looked at here any more" in api.wait(1)[-1].text
    assert not rows()
    api.deliver(api.photo(photo("mel")))
    api.wait(2)
    assert [row.asked_label_set for row in rows()] == ["ham10000"]
