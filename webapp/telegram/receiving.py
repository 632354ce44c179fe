"""What comes from Telegram, one message of a chat after the other, and whether it may be forgotten there.

python-telegram-bot's own Updater tells Telegram that an update has arrived before it has been handled, so that a
process that is killed in between loses it. Here Telegram is told afterwards (webapp.telegram.polling and .webhook), and
an update that could not be handled because the database is away is delivered again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from telegram import Update
from telegram.error import TelegramError
from telegram.ext import Application, ApplicationHandlerStop, CallbackQueryHandler, CommandHandler, MessageHandler
from telegram.ext.filters import ALL, COMMAND, PHOTO, ChatType, Document

from webapp.database import does_not_answer
from webapp.telegram import words
from webapp.telegram.calls import reply
from webapp.telegram.chats import admit_message, language_of
from webapp.telegram.conversation import Context, Conversation
from webapp.telegram.intake import Intake
from webapp.telegram.outbox import Albums
from webapp.telegram.threads import Threads

log = logging.getLogger(__name__)

BotApplication = Application[Any, Any, Any, Any, Any, Any]


class Receiver:
    """Hands updates to the handlers."""

    def __init__(self, bot: BotApplication, threads: Threads, conversation: Conversation, intake: Intake,
                 albums: Albums) -> None:  # fmt: skip
        self._bot, self._threads, self._intake, self._albums = bot, threads, intake, albums
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._in_hand: dict[int, asyncio.Task[bool]] = {}
        self._again: set[int] = set()
        private = ChatType.PRIVATE
        # Groups are asked one after the other; the first one stops those who send too much.
        bot.add_handler(MessageHandler(private, self._limit), group=0)
        bot.add_handler(CallbackQueryHandler(self._limit), group=0)
        bot.add_handlers(
            [
                *(
                    CommandHandler(name, handler, filters=private)
                    for name, handler in (
                        ("start", conversation.start),
                        ("help", conversation.help),
                        ("language", conversation.language),
                        ("topic", conversation.topic),
                        ("training", conversation.training),
                        ("privacy", conversation.privacy),
                        ("delete", conversation.delete),
                    )
                ),
                MessageHandler(private & (PHOTO | Document.ALL), self._photo),
                MessageHandler(private & ALL, conversation.anything_else),
                MessageHandler(~private & COMMAND, conversation.in_a_group),
                CallbackQueryHandler(conversation.button),
            ],
            group=1,
        )
        bot.add_error_handler(self._failed)

    async def receive(self, update: Update) -> bool:
        """Handle an update; False where it is to be delivered again. One that is being handled is not begun twice."""
        task = self._in_hand.get(update.update_id)
        if task is None:
            task = self._in_hand[update.update_id] = asyncio.create_task(self._handle(update))
            task.add_done_callback(lambda _: self._in_hand.pop(update.update_id, None))
        return await asyncio.shield(task)

    async def finish(self, seconds: float) -> None:
        """Wait for what is being handled. What is not done in time is delivered again."""
        if self._in_hand:
            await asyncio.wait(list(self._in_hand.values()), timeout=seconds)

    async def _handle(self, update: Update) -> bool:
        chat = update.effective_chat.id if update.effective_chat else 0
        lock = self._locks.setdefault(chat, asyncio.Lock())
        album = update.message.media_group_id if update.message else None
        if album:
            self._albums.begin(album)
        try:
            async with lock:
                await self._bot.process_update(update)
        finally:
            if album:
                self._albums.end(album)
        again = update.update_id in self._again
        self._again.discard(update.update_id)
        return not again

    async def _limit(self, update: Update, context: Context) -> None:
        """Stop those who send too much. A button counts as a message does: some have pictures drawn."""
        message, query, chat = update.message, update.callback_query, update.effective_chat
        if chat is None or (message is None and query is None):
            return
        admitted = await self._threads.store(admit_message, chat.id)
        if admitted:
            return
        language = language_of(update.effective_user)
        text = self._threads.say(language, words.too_many_messages) if admitted is False else None
        if query is not None:
            with suppress(TelegramError):  # too old to be answered
                await query.answer(text, show_alert=text is not None)
        elif message is not None and text is not None:
            await reply(message, text)
        raise ApplicationHandlerStop

    async def _photo(self, update: Update, context: Context) -> None:
        if update.message is not None:
            await self._intake.take(update.message)

    async def _failed(self, update: object, context: Context) -> None:
        """What a handler did not foresee: noted, and told to the person in one sentence."""
        error = context.error
        if not isinstance(update, Update):
            log.error("outside of a message", exc_info=error)
        elif isinstance(error, (DBAPIError, NoConnection)) and does_not_answer(error):
            log.warning("the database does not answer: a message waits")
            self._again.add(update.update_id)
        elif isinstance(error, TelegramError):
            log.warning("a message was not answered: %s: %s", type(error).__name__, error)
        else:
            log.error("a message could not be handled", exc_info=error)
            if update.message:
                await reply(update.message, self._threads.say(language_of(update.message.from_user), words.our_fault))


Receive = Callable[[Update], Coroutine[Any, Any, bool]]
