"""From a committed row to the answer in the chat: exactly once in effect, also across a restart.

A row that waits for its answer to be sent has `reply_to`; it is set when the row is committed and removed once the
answer has gone out. Whatever has it when the bot starts is taken up again.
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

from flask_babel import force_locale
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from telegram import Bot, InlineKeyboardMarkup, ReplyParameters
from telegram.constants import ChatAction, ParseMode
from telegram.error import BadRequest, Forbidden, TelegramError

from ml.errors import MLError
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.inference import Busy
from webapp.models.screening import ScreeningRow, State
from webapp.screening.lifecycle import answer
from webapp.telegram import buttons, words
from webapp.telegram.answers import answer_text, comes_with_heatmap, heatmap_pictures, offers_heatmap, result_page
from webapp.telegram.calls import persistently, send_pictures
from webapp.telegram.chats import Address, unseal
from webapp.telegram.threads import Threads

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.5
"""An album is complete when none of its photos is being taken and none has come for this long."""

FORGET_SECONDS = 600.0
"""An album is not thought of any more after this long."""

RETRY_SECONDS = 3.0
"""Pause before a row that could not be answered is tried again."""

Message = tuple[str, InlineKeyboardMarkup | None]


class Albums:
    """When the photos of an album, which arrive as messages of their own, have all come."""

    def __init__(self) -> None:
        self._taking: dict[str, int] = {}
        self._last: dict[str, float] = {}

    def begin(self, album: str) -> None:
        """One of its photos has arrived and is being taken."""
        self._taking[album] = self._taking.get(album, 0) + 1

    def end(self, album: str) -> None:
        """That photo is kept, or refused."""
        now = time.monotonic()
        self._taking[album] -= 1
        self._last[album] = now
        for old in [one for one, last in self._last.items() if last < now - FORGET_SECONDS]:
            if not self._taking.get(old):  # one of its photos may have come this late
                del self._last[old]
                self._taking.pop(old, None)

    async def complete(self, album: str) -> None:
        """Wait until the album is complete."""
        self._last.setdefault(album, time.monotonic())
        while self._taking.get(album) or time.monotonic() < self._last.get(album, 0) + SETTLE_SECONDS:
            await asyncio.sleep(SETTLE_SECONDS / 10)


@dataclass(frozen=True)
class Unsent:
    """A row whose answer has not been sent: its place, and the language that it was sent in."""

    screening_id: int
    address: Address
    language: str


class Outbox:
    """Answers rows one after the other and sends what they became."""

    def __init__(self, bot: Bot, threads: Threads, config: Config, albums: Albums) -> None:
        self._bot, self._threads, self._albums = bot, threads, albums
        self._patience = config.wait_seconds
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def resume(self) -> None:
        """Take up what an earlier run of the bot did not get to."""
        for unsent in await self._threads.store(_all_unsent):
            self._start(unsent)

    def put(self, screening_id: int, address: Address, language: str) -> None:
        """Answer a row, unless that is under way."""
        self._start(Unsent(screening_id, address, language))

    async def finish(self, seconds: float) -> None:
        """Wait for what is under way. What is not done in time is taken up by the next run."""
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, unsent: Unsent) -> None:
        number = unsent.screening_id
        if number not in self._tasks:
            self._tasks[number] = asyncio.create_task(self._guarded(unsent))
            self._tasks[number].add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _guarded(self, unsent: Unsent) -> None:
        try:
            await self._serve(unsent)
        except (Forbidden, BadRequest) as error:
            # The person has blocked the bot, for example. Their results are kept until somebody deletes them.
            log.warning("the answer to screening %d was not taken: %s", unsent.screening_id, error)
            await self._threads.store(_mark_sent, unsent.screening_id)
        except Exception:
            log.exception("the answer to screening %d could not be sent", unsent.screening_id)

    async def _serve(self, unsent: Unsent) -> None:
        address = unsent.address
        if address.album:
            await self._albums.complete(address.album)
        answered = asyncio.create_task(self._answered(unsent))
        try:
            done, _ = await asyncio.wait({answered}, timeout=self._patience)
            if not done:
                await self._say_that_it_waits(unsent)
            await answered
        finally:
            answered.cancel()
        message = await self._threads.store(_message, unsent)
        if message is None:
            return  # deleted meanwhile, or sent
        text, keyboard = message
        sent = await persistently(
            lambda: self._bot.send_message(
                address.chat,
                text,
                parse_mode=ParseMode.HTML,
                reply_markup=keyboard,
                reply_parameters=ReplyParameters(address.message, allow_sending_without_reply=True),
            ),
            attempts=None,
        )
        await self._threads.store(_mark_sent, unsent.screening_id)
        await self._send_heatmaps(unsent, sent.message_id)

    async def _send_heatmaps(self, unsent: Unsent, answer: int) -> None:
        """What the answer rests on, below it. The answer stands without it: where one is not sent, a button offers
        it."""
        chat = unsent.address.chat
        try:
            await send_pictures(
                self._bot, chat, await self._threads.store(_heatmaps, unsent.screening_id), below=answer
            )
        except (TelegramError, MLError, OSError) as error:
            log.warning("a heatmap of screening %d was not sent: %s", unsent.screening_id, error)
            keyboard = await self._threads.store(_button_for_heatmaps, unsent)
            if keyboard is not None:
                with suppress(TelegramError):  # not reached either, or the message is gone
                    await persistently(lambda: self._bot.edit_message_reply_markup(chat, answer, reply_markup=keyboard))

    async def _answered(self, unsent: Unsent) -> None:
        """Until the row is answered, given up, or erased."""
        await self._show_activity(unsent.address.chat)
        while await self._threads.answer(_try_to_answer, unsent.screening_id):
            await asyncio.sleep(RETRY_SECONDS)

    async def _show_activity(self, chat: int) -> None:
        with suppress(TelegramError):  # the answer matters, this does not
            await self._bot.send_chat_action(chat, ChatAction.TYPING)

    async def _say_that_it_waits(self, unsent: Unsent) -> None:
        text = self._threads.say(unsent.language, words.waiting)
        with suppress(TelegramError):
            await self._bot.send_message(unsent.address.chat, text, parse_mode=ParseMode.HTML)


def _message(unsent: Unsent) -> Message | None:
    """The answer and its buttons; None where it has been sent, or the row was erased."""
    row = _read(unsent.screening_id)
    if row is None or row.reply_to is None:
        return None
    token = unsent.address.token
    with force_locale(row.language):
        text = answer_text(row, compressed=unsent.address.compressed)
        return text, buttons.result(token, result_page(token), heatmap=offers_heatmap(row))


def _button_for_heatmaps(unsent: Unsent) -> InlineKeyboardMarkup | None:
    """The buttons of an answer whose heatmaps did not go out; None where the row was erased."""
    row, token = _read(unsent.screening_id), unsent.address.token
    if row is None:
        return None
    with force_locale(row.language):
        return buttons.result(token, result_page(token), heatmap=True)


def _heatmaps(screening_id: int) -> list[tuple[bytes, str]]:
    """The pictures that go out with the answer, with their captions."""
    row = _read(screening_id)
    if row is None or not comes_with_heatmap(row):
        return []
    with force_locale(row.language):
        return heatmap_pictures(row)


def _read(screening_id: int) -> ScreeningRow | None:
    row = db.session.get(ScreeningRow, screening_id, populate_existing=True)
    return row if row and row.deleted_at is None else None


def _all_unsent() -> list[Unsent]:
    rows = db.session.scalars(
        select(ScreeningRow)
        .where(ScreeningRow.reply_to.is_not(None), ScreeningRow.deleted_at.is_(None))
        .order_by(ScreeningRow.id)
    )
    found = [(row, unseal(row.reply_to or b"")) for row in rows]
    return [Unsent(row.id, address, row.language) for row, address in found if address]


def _try_to_answer(screening_id: int) -> bool:
    """Whether the row still waits after an attempt to answer it."""
    try:
        answer(screening_id)
    except Busy:
        log.warning("screening %d waits for its turn", screening_id)
    except (MLError, OSError, SQLAlchemyError) as error:
        log.warning("screening %d waits for its answer: %s: %s", screening_id, type(error).__name__, error)
        db.session.rollback()
        return True
    row = _read(screening_id)
    return row is not None and row.state == State.PENDING


def _mark_sent(screening_id: int) -> None:
    with write_transaction() as session:
        session.execute(update(ScreeningRow).where(ScreeningRow.id == screening_id).values(reply_to=None))
