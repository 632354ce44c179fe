"""What the bot takes of an update, before python-telegram-bot makes objects of it.

That library fails at an update that it cannot read, and with it at all others that came beside it, again at every
attempt; and it takes values of any type, which fail later. So each update is looked at alone: one that is damaged is
passed over, and has a number still, by which Telegram is told to forget it.
"""

import json
import logging
from typing import Any

from telegram import Update
from telegram.error import TelegramError
from telegram.request import HTTPXRequest

log = logging.getLogger(__name__)

KINDS = ["message", "callback_query"]
"""The updates that Telegram is asked for. For a while it sends those, too, that were asked for before."""

# The types of what the bot reads. A name that ends with a question mark may be missing.
CHAT = {"id": int, "type": str}
PERSON = {"id": int, "language_code?": str}
FILE = {"file_id": str, "file_size?": int, "mime_type?": str}
ENTITY = {"type": str, "offset": int, "length": int}
MESSAGE = {
    "message_id": int, "chat": CHAT, "from?": PERSON, "text?": str, "entities?": [ENTITY], "media_group_id?": str,
    "photo?": [FILE], "document?": FILE,
}  # fmt: skip
BUTTON = {"id": str, "from": PERSON, "data?": str, "message?": {"message_id": int, "chat": CHAT}}
UPDATE = {"message?": MESSAGE, "callback_query?": BUTTON}


def taken(given: object) -> dict[str, Any] | None:
    """An update as JSON has it, with nothing but what the bot asks for; its number alone where that is damaged. None
    for what is no update: it has no number."""
    number = given.get("update_id") if isinstance(given, dict) else None
    if not isinstance(given, dict) or type(number) is not int:
        log.warning("what came is not an update")
        return None
    kept = {name: given[name] for name in KINDS if name in given}
    if not _is_whole(kept):
        log.warning("an update could not be read and is passed over")
        kept = {}
    return {"update_id": number, **kept}


class UpdatesRequest(HTTPXRequest):
    """Requests for updates. Those that are damaged do not come with the others."""

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """The answer of the Bot API. Raises TelegramError for what is none."""
        answer = HTTPXRequest.parse_json_payload(payload)
        given = answer.get("result", []) if isinstance(answer, dict) else None
        if not isinstance(given, list):
            raise TelegramError("Invalid server response")
        found = [update for update in map(taken, given) if update is not None]
        if given and not found:  # nothing to tell Telegram that it may forget: it would send the same at once
            raise TelegramError("Invalid updates")
        return answer | {"result": found}


def _is_whole(kept: dict[str, Any]) -> bool:
    if not _fits(kept, UPDATE):
        return False
    try:
        json.dumps(kept, ensure_ascii=False).encode()  # half a character cannot be sent back or hashed
        Update.de_json({"update_id": 0, **kept}, None)
    except Exception:  # python-telegram-bot says of no error that it raises it
        return False
    return True


def _fits(value: object, shape: object) -> bool:
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            key.endswith("?") if value.get(name := key.rstrip("?")) is None else _fits(value[name], inner)
            for key, inner in shape.items()
        )
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(one, shape[0]) for one in value)
    return type(value) is shape  # True is no number
