"""The bot at work: in a thread of the test, against a Bot API server of the tests."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from flask import Flask

from tests.webapp.telegram.bot_api import TOKEN, BotApi, Sent
from webapp.config import Config
from webapp.telegram.service import serve


@pytest.fixture
def api() -> Iterator[BotApi]:
    """The Bot API server."""
    server = BotApi()
    yield server
    server.close()


@pytest.fixture
def config(config: Config, api: BotApi) -> Config:
    """Settings of a bot."""
    return replace(config, telegram_token=TOKEN, telegram_api=api.address, telegram_rate="1000 per minute")


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bot:
    """A running bot."""

    def __init__(self, app: Flask) -> None:
        self.loop = asyncio.new_event_loop()
        self.stop = asyncio.Event()
        self.ready = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(app,))
        self._thread.start()
        assert self.ready.wait(30)

    def _run(self, app: Flask) -> None:
        try:
            self.loop.run_until_complete(serve(app, self.stop, lambda name: self.ready.set()))
        except Exception as error:
            self.error = error
        finally:
            self.ready.set()
            self.loop.close()

    def end(self) -> None:
        """Stop it as SIGTERM does, and wait for its end."""
        with suppress(RuntimeError):  # it has ended by itself
            self.loop.call_soon_threadsafe(self.stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def start_bot() -> Iterator[Callable[[Flask], Bot]]:
    """Starts bots, and stops them in the end."""
    bots: list[Bot] = []

    def start(app: Flask) -> Bot:
        bots.append(Bot(app))
        return bots[-1]

    yield start
    for bot in bots:
        bot.end()


@pytest.fixture
def bot(app: Flask, start_bot: Callable[[Flask], Bot]) -> Bot:
    """A bot that runs."""
    return start_bot(app)


@pytest.fixture
def agree(api: BotApi) -> Callable[..., Sent]:
    """Has the person of a chat agree; the bot's messages are none again afterwards."""

    def do(chat: int = 7, language: str = "en") -> Sent:
        api.write("/start", chat=chat, language=language)
        (welcome,) = api.wait(1)
        api.press(welcome, "Ich stimme zu" if language == "de" else "I agree")
        api.until(lambda: not welcome.buttons)
        api.all_forgotten()
        api.sent.clear()
        return welcome

    return do
