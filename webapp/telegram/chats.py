"""What is kept of a chat: a keyed hash of its id, its language and choices, and when its person agreed.

The id of a chat is never stored in clear. Between a photo and its answer, which a restart may lie in, it is kept
encrypted in the photo's row, because the answer could not be sent otherwise; it is removed as soon as that is done.
All keys derive from the application's secret key and the bot's number: with another one, chats begin anew.

Everything here talks to the database and runs in an application context, off the event loop.
"""

import json
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass

from cryptography.fernet import Fernet, InvalidToken
from flask import current_app
from limits import RateLimitItem, parse_many
from sqlalchemy import delete, select, update
from telegram import User

from webapp import clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db, limiter
from webapp.i18n import LANGUAGES
from webapp.keyed import keyed
from webapp.models.chat import TelegramChat
from webapp.models.screening import ScreeningRow, token_hash
from webapp.reviews.copies import delete_copies
from webapp.screening.erasing import erase

# Everything that one chat may send, and how often it is told that this is too much.
MESSAGES = "40 per minute"
REMINDERS = "1 per minute"


@dataclass(frozen=True)
class Address:
    """Where an answer goes: the chat, the message to reply to, and which message or album it is the answer to.

    `compressed` tells that the photo came as a photo, which Telegram makes smaller, and not as a file.
    """

    chat: int
    message: int
    album: str
    compressed: bool

    @property
    def token(self) -> str:
        """The token of the result: the same for the same message or album, so that nothing is opened twice."""
        digest = _digest("result", f"{self.chat} {self.album or self.message}")
        return urlsafe_b64encode(digest).decode().rstrip("=")


def seal(address: Address) -> bytes:
    """The address, encrypted and authenticated."""
    return _cipher().encrypt(json.dumps(asdict(address)).encode())


def unseal(sealed: bytes) -> Address | None:
    """The address again; None where it was made with another secret key or for another bot."""
    try:
        return Address(**json.loads(_cipher().decrypt(sealed)))
    except InvalidToken:
        return None


def chat_hash(chat: int) -> str:
    """What is stored of a chat's id: a keyed hash in hexadecimal, which tells nothing without the secret key."""
    return _digest("chat", str(chat)).hex()


def language_of(person: User | None) -> str:
    """The language among ours that a person's Telegram is set to; English where it is none of them."""
    code = (person.language_code or "").partition("-")[0] if person else ""
    return code if code in LANGUAGES else "en"


def find_chat(chat: int) -> TelegramChat | None:
    """What is kept of this chat; None before its person has agreed."""
    return db.session.scalar(
        select(TelegramChat).where(TelegramChat.chat_hash == chat_hash(chat)).execution_options(populate_existing=True)
    )


def agree(chat: int, language: str) -> TelegramChat:
    """Remember that the person of this chat agrees, since when, and their language. Agreeing twice changes nothing."""
    with write_transaction() as session:
        found = find_chat(chat)
        if found is None:
            found = TelegramChat(chat_hash=chat_hash(chat), language=language, consent_at=clock.now())
            session.add(found)
    return found


def set_language(chat: int, language: str) -> None:
    """Remember the language of a chat whose person has agreed."""
    with write_transaction() as session:
        session.execute(update(TelegramChat).where(TelegramChat.chat_hash == chat_hash(chat)).values(language=language))


def set_label_set(chat: int, label_set: str | None) -> None:
    """Remember what a chat, whose person has agreed, wants to have looked at; None to forget it."""
    with write_transaction() as session:
        session.execute(
            update(TelegramChat).where(TelegramChat.chat_hash == chat_hash(chat)).values(label_set=label_set)
        )


def set_training(chat: int, allowed: bool) -> None:
    """Remember whether models may be trained with what this chat sends; a no holds for all it has sent, too."""
    with write_transaction() as session:
        session.execute(
            update(TelegramChat)
            .where(TelegramChat.chat_hash == chat_hash(chat))
            .values(training_consent_at=clock.now() if allowed else None)
        )
        if not allowed:
            sent = ScreeningRow.sender == chat_hash(chat)
            session.execute(update(ScreeningRow).where(sent).values(training_consent_at=None))
    if not allowed:
        for screening_id in screenings_of(chat):
            delete_copies(current_app.config["LENS"].runs, screening_id)


def screenings_of(chat: int) -> list[int]:
    """Ids of everything that this chat has sent and that is not deleted."""
    sent = ScreeningRow.sender == chat_hash(chat)
    return list(db.session.scalars(select(ScreeningRow.id).where(sent, ScreeningRow.deleted_at.is_(None))))


def forget(chat: int) -> int:
    """Erase all screenings of this chat, and its consent and choices. Returns how many screenings there were."""
    found = screenings_of(chat)
    for screening_id in found:
        erase(screening_id)
    with write_transaction() as session:
        session.execute(delete(TelegramChat).where(TelegramChat.chat_hash == chat_hash(chat)))
    return len(found)


def find_screening(token: str, chat: int) -> ScreeningRow | None:
    """The screening with this token, if this chat sent it and it is not deleted, with its photos."""
    row = db.session.scalar(
        select(ScreeningRow)
        .where(ScreeningRow.token_hash == token_hash(token), ScreeningRow.sender == chat_hash(chat))
        .execution_options(populate_existing=True)
    )
    return row if row and row.deleted_at is None else None


def admit_message(chat: int) -> bool | None:
    """Count a message: True within the limit; beyond it False, but None where that has just been said already."""
    if _within(MESSAGES, "telegram messages", chat):
        return True
    return False if _within(REMINDERS, "telegram reminders", chat) else None


def admit_photo(chat: int) -> bool:
    """Count a photo, or an album, against the configured rate."""
    config: Config = current_app.config["LENS"]
    return _within(config.telegram_rate, "telegram photos", chat)


def webhook_secret() -> str:
    """The secret that Telegram sends with each message to the webhook: made here, so that nobody has to choose one."""
    return _digest("webhook", "").hex()


def _within(rates: str, scope: str, chat: int) -> bool:
    def hit(limit: RateLimitItem) -> bool:
        return bool(limiter.limiter.hit(limit, scope, chat_hash(chat)))

    try:
        return all(hit(limit) for limit in parse_many(rates))
    except limiter.storage.base_exceptions:
        current_app.logger.exception("rates cannot be counted: the bot answers without its limits")
        return True


def _digest(purpose: str, text: str) -> bytes:
    config: Config = current_app.config["LENS"]
    bot = config.telegram_token.partition(":")[0]
    return keyed(f"telegram {bot} {purpose} {text}")


def _cipher() -> Fernet:
    return Fernet(urlsafe_b64encode(_digest("address", "")))
