"""Long polling: asking Telegram for updates, and letting it forget those that have been handled.

getUpdates forgets everything before its `offset`. That stays at the first update that is not handled yet, so that
whatever a killed process had in its hands is delivered again.
"""

import asyncio
import logging
from contextlib import suppress

from telegram import Bot, Update
from telegram.error import InvalidToken, RetryAfter, TelegramError

from webapp.telegram.calls import seconds
from webapp.telegram.receiving import Receive
from webapp.telegram.updates import KINDS

log = logging.getLogger(__name__)

WAIT_SECONDS = 30
"""How long Telegram holds a question open while there is nothing new."""

LOOK_SECONDS = 0.5
"""How often new updates are asked for while others are being handled: holding on is not possible then."""

RETRY_SECONDS = 3.0
LONGEST_RETRY_SECONDS = 60.0


class Polling:
    """Asks for updates until told to stop."""

    def __init__(self, bot: Bot, receive: Receive) -> None:
        self._bot, self._receive = bot, receive
        self._in_hand: dict[int, asyncio.Task[None]] = {}
        self._done: set[int] = set()
        self._newest: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set. Raises InvalidToken where Telegram does not know the bot any more."""
        trouble = 0.0
        while not stop.is_set():
            try:
                updates = await self._ask(stop)
                trouble = 0.0
            except InvalidToken:
                raise
            except TelegramError as error:
                asked = seconds(error) if isinstance(error, RetryAfter) else RETRY_SECONDS
                trouble = min(max(2 * trouble, asked), max(asked, LONGEST_RETRY_SECONDS))
                log.warning("Telegram gave no messages: %s, next attempt in %g seconds", type(error).__name__, trouble)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), trouble)
                continue
            for update in updates:
                self._begin(update)
            if self._in_hand:
                await asyncio.wait(list(self._in_hand.values()), timeout=LOOK_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Wait for what is being handled, and let Telegram forget it. What is left is delivered at the next start."""
        if self._in_hand:
            await asyncio.wait(list(self._in_hand.values()), timeout=seconds)
        offset = self._offset()
        for task in list(self._in_hand.values()):
            task.cancel()
        if offset is not None:
            with suppress(TelegramError):
                await self._bot.get_updates(offset=offset, limit=1, timeout=0, allowed_updates=KINDS)

    async def _ask(self, stop: asyncio.Event) -> tuple[Update, ...]:
        question = asyncio.create_task(
            self._bot.get_updates(
                offset=self._offset(), timeout=0 if self._in_hand else WAIT_SECONDS, allowed_updates=KINDS
            )
        )
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({question, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not question.done():
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)
            return ()
        return await question

    def _begin(self, update: Update) -> None:
        number = update.update_id
        self._newest = max(number, self._newest or number)
        if number not in self._in_hand and number not in self._done:
            self._in_hand[number] = asyncio.create_task(self._until_handled(update))
            self._in_hand[number].add_done_callback(lambda _: self._in_hand.pop(number, None))

    async def _until_handled(self, update: Update) -> None:
        while not await self._receive(update):
            await asyncio.sleep(RETRY_SECONDS)
        self._done.add(update.update_id)

    def _offset(self) -> int | None:
        """The first update that is not handled yet; None before there was any."""
        if self._newest is None:
            return None
        unfinished = [number for number in self._in_hand if number not in self._done]
        offset = min(unfinished, default=self._newest + 1)
        self._done = {number for number in self._done if number >= offset}
        return offset
