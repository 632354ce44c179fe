"""A photo from a chat, until its row is committed: looked at before it is fetched, fetched, decoded, kept.

The row is committed before the message counts as received (see webapp.telegram.receiving). A message that is delivered
twice makes one row: the token of the row derives from the message, or from the album that it belongs to.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from telegram import InlineKeyboardMarkup, Message
from telegram.error import TelegramError

from ml.errors import DecoderUnavailable, ImageFault, InvalidImage
from webapp.config import Config
from webapp.extensions import db
from webapp.models.chat import TelegramChat
from webapp.models.screening import ScreeningRow, token_hash
from webapp.screening import advice
from webapp.screening.lifecycle import Sender, Upload, add_photo, open_screening
from webapp.screening.questions import gone, is_put, lacks_default, questions, unavailable
from webapp.telegram import buttons, words
from webapp.telegram.calls import persistently, reply
from webapp.telegram.chats import Address, admit_photo, chat_hash, find_chat, language_of, seal, set_label_set
from webapp.telegram.conversation import question
from webapp.telegram.outbox import Outbox
from webapp.telegram.threads import Threads

log = logging.getLogger(__name__)

CHANNEL = "telegram"
FETCH_ATTEMPTS = 3
ALBUMS_REMEMBERED = 1000
# What a file without a useful type of its own is called; its content tells whether it is a picture.
UNTYPED = ("", "application/octet-stream")


@dataclass(frozen=True)
class Attachment:
    """A picture as Telegram tells of it before it is fetched. `compressed`: it came as a photo, not as a file."""

    file_id: str
    size: int | None
    compressed: bool


class Refused(Exception):
    """A photo is not taken; carries the text that says why, as HTML, and buttons. `once`: an album is told so once."""

    def __init__(self, text: str, *, once: bool = False, keyboard: InlineKeyboardMarkup | None = None) -> None:
        super().__init__(text)
        self.keyboard = keyboard
        self.text = text
        self.once = once


class Intake:
    """Takes photos and hands their rows to the outbox."""

    def __init__(self, threads: Threads, config: Config, outbox: Outbox) -> None:
        self._threads, self._config, self._outbox = threads, config, outbox
        self._told: dict[tuple[int, str, str], None] = {}

    async def take(self, message: Message) -> None:
        """Keep the photo of a message and have it answered; one that cannot be taken gets a sentence instead."""
        chat = await self._threads.store(find_chat, message.chat_id)
        if chat is None:
            language = language_of(message.from_user)
            text, keyboard = self._threads.say(language, lambda: (words.welcome(), buttons.consent(language)))
            await reply(message, text, keyboard)
            return
        try:
            await self._take(message, chat)
        except Refused as refused:
            if not (refused.once and message.media_group_id and self._was_told(message, refused.text)):
                await reply(message, refused.text, refused.keyboard)

    async def _take(self, message: Message, chat: TelegramChat) -> None:
        def say(text: Callable[[], str]) -> str:
            return self._threads.say(chat.language, text)

        def fault(reason: ImageFault) -> Refused:
            return Refused(say(lambda: words.paragraphs(advice.image_fault(reason, megabytes=words.megabytes()))))

        attachment = attachment_of(message)
        compressed = attachment is not None and attachment.compressed
        address = Address(message.chat_id, message.message_id, message.media_group_id or "", compressed)
        opened = await self._threads.store(_opened, address)
        if opened is not None and not address.album:
            self._outbox.put(opened, address, chat.language)  # delivered twice
            return
        if attachment is None:
            raise fault("not_an_image")
        if self._threads.say(chat.language, words.is_too_large, attachment.size):
            raise fault("too_many_bytes")
        offered = await self._threads.store(questions)
        label_set = next((one.label_set for one in offered if one.label_set == chat.label_set), None)
        put = await self._threads.store(is_put, offered)
        if label_set is None and (put or (offered and chat.label_set)):
            text, keyboard = await self._threads.tell(chat.language, question)
            if await self._threads.store(lacks_default, offered):
                text = f"{say(lambda: words.paragraphs(unavailable()))}\n\n{text}"
            elif chat.label_set:
                await self._threads.store(set_label_set, message.chat_id, None)
                text = f"{say(lambda: words.paragraphs(gone()))}\n\n{text}"
            raise Refused(text, once=True, keyboard=keyboard)
        if label_set is None and offered:
            label_set = offered[0].label_set
        if opened is None and not await self._threads.store(admit_photo, message.chat_id):
            raise Refused(say(words.too_many_requests), once=True)
        content = await self._fetch(message, attachment)
        if content is None:
            raise Refused(say(words.not_fetched))
        if self._threads.say(chat.language, words.is_too_large, len(content)):
            raise fault("too_many_bytes")
        try:
            upload = await self._threads.store(Upload.read, content, self._config)
            screening_id, outcome = await self._threads.store(_keep, upload, address, chat, label_set)
        except InvalidImage as error:
            raise fault(error.reason) from error
        except (OSError, DecoderUnavailable) as error:
            log.exception("a photo could not be read or kept")
            raise Refused(say(words.not_stored)) from error
        if outcome != "added":
            raise Refused(say(words.too_many_photos if outcome == "full" else words.too_late), once=outcome == "full")
        self._outbox.put(screening_id, address, chat.language)

    async def _fetch(self, message: Message, attachment: Attachment) -> bytes | None:
        """The file; None where Telegram does not hand it out."""

        async def fetch() -> bytes | None:
            file = await message.get_bot().get_file(attachment.file_id)
            if not file.file_path:  # known to Telegram, but not to be had
                return None
            return bytes(await file.download_as_bytearray())

        try:
            return await persistently(fetch, FETCH_ATTEMPTS)
        except TelegramError as error:
            log.warning("a photo was not handed over: %s", type(error).__name__)
            return None

    def _was_told(self, message: Message, text: str) -> bool:
        """Whether the chat was told this of this album before; from now on it was."""
        key = (message.chat_id, str(message.media_group_id), text)
        known = key in self._told
        self._told[key] = None
        if len(self._told) > ALBUMS_REMEMBERED:
            del self._told[next(iter(self._told))]
        return known


def attachment_of(message: Message) -> Attachment | None:
    """The picture of a message: the largest size of a photo, or a file; None for a file of another kind."""
    if message.photo:
        largest = message.photo[-1]
        return Attachment(largest.file_id, largest.file_size, True)
    document = message.document
    kind = (document.mime_type or "") if document else "none"
    if document and (kind.startswith("image/") or kind in UNTYPED):
        return Attachment(document.file_id, document.file_size, False)
    return None


def _opened(address: Address) -> int | None:
    """The id of the screening that this message or album has opened already."""
    return db.session.scalar(select(ScreeningRow.id).where(ScreeningRow.token_hash == token_hash(address.token)))


def _keep(
    upload: Upload, address: Address, chat: TelegramChat, label_set: str | None
) -> tuple[int, Literal["added", "full", "late"]]:
    """Open a screening with a photo or, for an album that has one, add it there. Raises OSError as those do."""
    opened = _opened(address)
    if opened is None:
        sender = Sender(chat_hash(address.chat), seal(address), chat.consent_at, chat.training_consent_at)
        try:
            return open_screening(
                [upload],
                channel=CHANNEL,
                language=chat.language,
                consented=True,
                label_set=label_set,
                token=address.token,
                sender=sender,
            )[0], "added"
        except IntegrityError:
            db.session.rollback()
            opened = _opened(address)
            if opened is None:
                raise
    return opened, add_photo(opened, upload) if address.album else "added"
