"""Blocking work off the event loop: the database, pictures and the network, each in a thread of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from flask import Flask
from flask_babel import force_locale

Result = TypeVar("Result")

# One model answers one screening at a time: more threads for that would only wait for each other.
STORING_THREADS, ANSWERING_THREADS = 4, 1


class Threads:
    """Runs functions in an application context: `store` for what is short, `answer` for the network."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._storing = ThreadPoolExecutor(STORING_THREADS, "telegram-store")
        self._answering = ThreadPoolExecutor(ANSWERING_THREADS, "telegram-answer")

    async def store(self, work: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """The result of `work(...)`, which uses the database or decodes a picture."""
        return await self._run(self._storing, partial(work, *args, **kwargs))

    async def answer(self, work: Callable[..., Result], *args: Any) -> Result:
        """The result of `work(...)`, which has the network look at photos."""
        return await self._run(self._answering, partial(work, *args))

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(pool, self._within, work)

    def _within(self, work: Callable[[], Result]) -> Result:
        with self._app.app_context():
            return work()

    async def tell(self, language: str, text: Callable[..., Result], *args: Any) -> Result:
        """The result of `text(...)`, which may read files, in a language."""
        return await self._run(self._storing, partial(self.say, language, text, *args))

    def say(self, language: str, text: Callable[..., Result], *args: Any) -> Result:
        """The result of `text(...)`, which reads nothing but catalogues, in a language."""
        with self._app.app_context(), force_locale(language):
            return text(*args)

    def close(self) -> None:
        """Let what runs come to its end, and take nothing new."""
        for pool in (self._storing, self._answering):
            pool.shutdown(wait=True, cancel_futures=True)
