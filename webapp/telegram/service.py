"""The bot as a process: started, running until told to stop, and ended without losing anything."""

import asyncio
import logging
import os
from collections.abc import Callable
from functools import partial

from flask import Flask
from telegram import Bot, BotCommand
from telegram.error import TelegramError
from telegram.ext import Application

from webapp.config import Config
from webapp.i18n import LANGUAGES
from webapp.telegram import webhook, words
from webapp.telegram.calls import persistently
from webapp.telegram.chats import webhook_secret
from webapp.telegram.conversation import Conversation
from webapp.telegram.intake import Intake
from webapp.telegram.outbox import Albums, Outbox
from webapp.telegram.polling import Polling
from webapp.telegram.receiving import BotApplication, Receiver
from webapp.telegram.threads import Threads
from webapp.telegram.updates import KINDS, UpdatesRequest

log = logging.getLogger(__name__)

GRACE_SECONDS = 25.0
"""How long an ending process works on what it has accepted."""

CONNECTIONS = 32
TIMEOUT_SECONDS = 30.0


def build_bot(config: Config) -> BotApplication:
    """python-telegram-bot's application, with the configured Bot API. What receives updates is our own."""
    api = config.telegram_api.rstrip("/")
    return (
        Application.builder()
        .token(config.telegram_token)
        .base_url(f"{api}/bot")
        .base_file_url(f"{api}/file/bot")
        .connection_pool_size(CONNECTIONS)
        .connect_timeout(TIMEOUT_SECONDS / 3)
        .read_timeout(TIMEOUT_SECONDS)
        .write_timeout(TIMEOUT_SECONDS)
        .media_write_timeout(2 * TIMEOUT_SECONDS)
        .pool_timeout(TIMEOUT_SECONDS)
        .get_updates_request(UpdatesRequest(connection_pool_size=1))
        .updater(None)
        .job_queue(None)
        .build()
    )


async def serve(app: Flask, stop: asyncio.Event, ready: Callable[[str], None] = lambda name: None) -> None:
    """Run the bot until `stop` is set; `ready` is told its name once it listens.

    Raises InvalidToken where Telegram does not accept the token, and OSError where the port of the webhook is taken.
    """
    # Times from python-telegram-bot as timedelta, as its next release has them.
    os.environ.setdefault("PTB_TIMEDELTA", "true")
    config: Config = app.config["LENS"]
    application, threads, albums = build_bot(config), Threads(app), Albums()
    bot: Bot = application.bot
    outbox = Outbox(bot, threads, config, albums)
    intake = Intake(threads, config, outbox)
    receiver = Receiver(application, threads, Conversation(threads), intake, albums)
    try:
        await persistently(application.initialize, attempts=None)
        await _introduce(bot, threads)
        await outbox.resume()
        if config.telegram_webhook_url:
            await _by_webhook(bot, threads, receiver, stop, config, ready)
        else:
            await _by_polling(bot, receiver, stop, ready)
        await outbox.finish(GRACE_SECONDS)
    finally:
        await asyncio.to_thread(threads.close)
        await application.shutdown()


async def _by_polling(bot: Bot, receiver: Receiver, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
    await persistently(bot.delete_webhook, attempts=None)
    polling = Polling(bot, receiver.receive)
    ready(bot.username)
    await polling.run(stop)
    await polling.finish(GRACE_SECONDS)


async def _by_webhook(
    bot: Bot, threads: Threads, receiver: Receiver, stop: asyncio.Event, config: Config, ready: Callable[[str], None]
) -> None:
    secret = await threads.store(webhook_secret)
    server = webhook.listen(bot, config.telegram_port, secret, receiver.receive)
    try:
        url = config.telegram_webhook_url
        await persistently(lambda: bot.set_webhook(url, secret_token=secret, allowed_updates=KINDS), attempts=None)
        ready(bot.username)
        await stop.wait()
    finally:
        server.stop()
        await receiver.finish(GRACE_SECONDS)
        await server.close_all_connections()


async def _introduce(bot: Bot, threads: Threads) -> None:
    """Tell Telegram the commands, which it then offers, in each language."""
    for language in LANGUAGES:
        offered = [BotCommand(*item) for item in (await threads.tell(language, words.commands)).items()]
        try:
            await persistently(
                partial(bot.set_my_commands, offered, language_code="" if language == "en" else language)
            )
        except TelegramError as error:
            log.warning("the commands were not told to Telegram: %s", type(error).__name__)
