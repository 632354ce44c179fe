"""Calls to the Bot API that are repeated where that helps: told to wait, or trouble on the way."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from telegram import Bot, InlineKeyboardMarkup, Message, ReplyParameters
from telegram.constants import ParseMode
from telegram.error import BadRequest, Forbidden, NetworkError, RetryAfter

Result = TypeVar("Result")

log = logging.getLogger(__name__)

ATTEMPTS = 6
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before the second attempt after trouble, doubled each time, and the most of them."""


async def persistently(call: Callable[[], Awaitable[Result]], attempts: int | None = ATTEMPTS) -> Result:
    """The result of a call to the Bot API, made again after a pause where Telegram asks for one or is not reached.

    `attempts` of None never gives up. Raises what the last attempt raised; a refusal is not tried again.
    """
    pause, number = FIRST_PAUSE, 0
    while True:
        number += 1
        try:
            return await call()
        except BadRequest:  # a NetworkError by name only
            raise
        except RetryAfter as error:
            if number == attempts:
                raise
            wait = seconds(error)
            log.info("Telegram asks to wait %g seconds", wait)
            await asyncio.sleep(wait)
        except NetworkError as error:
            if number == attempts:
                raise
            log.warning("Telegram was not reached (%s), next attempt in %g seconds", type(error).__name__, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def seconds(error: RetryAfter) -> float:
    """How long Telegram asks to wait; a little more, since it counts in whole seconds."""
    asked = error.retry_after
    return (asked.total_seconds() if isinstance(asked, timedelta) else asked) + 0.1


async def reply(message: Message, text: str, keyboard: InlineKeyboardMarkup | None = None) -> None:
    """Answer a message with HTML. Nothing happens where the person has blocked the bot or the chat is gone."""
    try:
        await persistently(
            lambda: message.get_bot().send_message(
                message.chat_id, text, parse_mode=ParseMode.HTML, reply_markup=keyboard,
                reply_parameters=ReplyParameters(message.message_id, allow_sending_without_reply=True),
            )
        )  # fmt: skip
    except Forbidden as error:
        log.info("a reply was not taken: %s", error)


async def send_pictures(bot: Bot, chat: int, pictures: Iterable[tuple[bytes, str]], below: int) -> None:
    """Send pictures with captions in HTML, one after the other, as replies to a message. Raises TelegramError for the
    first that is not taken."""
    for picture, caption in pictures:
        await persistently(
            partial(
                bot.send_photo,
                chat,
                picture,
                caption=caption,
                parse_mode=ParseMode.HTML,
                reply_parameters=ReplyParameters(below, allow_sending_without_reply=True),
            )
        )
