"""A Bot API server of the tests: what the bot needs of it, on loopback, as strict as Telegram where that matters."""

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

BOT_NUMBER = 123456789
TOKEN = f"{BOT_NUMBER}:AAtests-only_0123456789abcdefghijklm"
PATIENCE = 30.0
TAGS = {"b", "i", "a", "code"}
LONGEST, LONGEST_CAPTION, LONGEST_DATA, LONGEST_NOTICE = 4096, 1024, 64, 200


class Refusal(Exception):
    """An error as the Bot API tells it."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code = code
        self.body = {"ok": False, "error_code": code, "description": description, "parameters": parameters}


class Markup(HTMLParser):
    """Telegram's HTML: known tags, closed in order, nothing unescaped."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in TAGS:
            raise Refusal(400, f'Bad Request: can\'t parse entities: Unsupported start tag "{tag}"')
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise Refusal(400, "Bad Request: can't parse entities: Unmatched end tag")

    def handle_data(self, data: str) -> None:
        if "<" in data or re.search("&(?!(amp|lt|gt|quot);)", data):
            raise Refusal(400, "Bad Request: can't parse entities")
        self.text += data

    def handle_entityref(self, name: str) -> None:
        self.text += {"amp": "&", "lt": "<", "gt": ">", "quot": '"'}[name]


def plain(text: str, limit: int) -> str:
    """The text that HTML shows, if Telegram would take it."""
    markup = Markup()
    markup.feed(text)
    markup.close()
    if markup.open or not 0 < len(markup.text) <= limit:
        raise Refusal(400, "Bad Request: message is too long or not closed")
    return markup.text


@dataclass
class Sent:
    """A message of the bot, as the chat shows it now."""

    number: int
    chat: int
    text: str
    html: str
    buttons: dict[str, str] = field(default_factory=dict)
    picture: bytes = b""
    reply_to: int | None = None


class BotApi:
    """The server, and the hands of the people who write to the bot."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.updates: list[dict[str, Any]] = []
        self.sent: list[Sent] = []
        self.pictures: list[Sent] = []
        self.files: dict[str, bytes | None] = {}  # None: known, but not handed out
        self.asked: list[str] = []
        self.calls: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.failures: dict[str, list[Refusal | None]] = defaultdict(list)
        self.refused: list[str] = []
        self.forgets = True
        self._numbers = iter(range(1, 1_000_000))
        self._server: BaseWSGIServer = make_server("127.0.0.1", 0, self._application, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    # What people do

    def number(self) -> int:
        """The next number of a message or update."""
        return next(self._numbers)

    def deliver(self, update: dict[str, Any]) -> dict[str, Any]:
        """Have the bot find an update; the same one may be delivered again."""
        with self.changed:
            self.updates.append(update)
            self.changed.notify_all()
        return update

    def message(self, chat: int = 7, language: str = "en", kind: str = "private", **content: Any) -> dict[str, Any]:
        """An update with a message of a person, not delivered yet."""
        person = {"id": chat, "is_bot": False, "first_name": "Zoe", "last_name": "Quux", "username": "zoequux",
                  "language_code": language}  # fmt: skip
        text = content.get("text", "")
        if text.startswith("/"):
            content["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        return {
            "update_id": self.number(),
            "message": {
                "message_id": self.number(),
                "date": int(time.time()),
                "chat": {"id": chat, "type": kind, "first_name": "Zoe"},
                "from": person,
                **content,
            },
        }

    def write(self, text: str, **about: Any) -> dict[str, Any]:
        """Write a message or command."""
        return self.deliver(self.message(text=text, **about))

    def photo(self, content: bytes, **about: Any) -> dict[str, Any]:
        """A message with a compressed photo, not delivered yet."""
        return self.message(photo=[self._file(b"small"), self._file(content)], **about)

    def document(self, content: bytes, kind: str = "image/jpeg", size: int | None = None, **about: Any) -> Any:
        """A message with a file, not delivered yet."""
        file = {**self._file(content), "mime_type": kind, "file_name": "IMG_1.jpg"}
        return self.message(document={**file, "file_size": len(content) if size is None else size}, **about)

    def press(self, message: Sent, label: str, language: str = "en") -> dict[str, Any]:
        """Press a button below a message of the bot."""
        return self.deliver(
            {
                "update_id": self.number(),
                "callback_query": {
                    "id": str(self.number()),
                    "from": {"id": message.chat, "is_bot": False, "first_name": "Zoe", "language_code": language},
                    "message": self._shown(message),
                    "chat_instance": "1",
                    "data": message.buttons[label],
                },
            }
        )

    def wait(self, count: int, seconds: float = PATIENCE) -> list[Sent]:
        """The bot's messages, once there are `count` of them."""
        self.until(lambda: len(self.sent) >= count, seconds)
        assert len(self.sent) == count, [message.text for message in self.sent]
        return self.sent

    def until(self, true: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until something is so. It may be so without the server's being asked, hence the looking again."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, [message.text for message in self.sent]
            with self.changed:
                self.changed.wait(0.05)

    def all_forgotten(self) -> None:
        """Wait until the bot has said that it has handled everything."""
        self.until(lambda: not self.updates)

    def _file(self, content: bytes) -> dict[str, Any]:
        name = f"file-{self.number()}"
        self.files[name] = content
        return {"file_id": name, "file_unique_id": name, "width": 90, "height": 90, "file_size": len(content)}

    # What the server does

    def _application(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        path = request.path.strip("/").split("/")
        try:
            if path[0] == "file" and path[1] == f"bot{TOKEN}":
                response = Response(self._download(path[-1]))
            elif path[0] != f"bot{TOKEN}":
                raise Refusal(401, "Unauthorized")
            else:
                response = self._json({"ok": True, "result": self._call(path[1], request)}, 200)
        except Refusal as refusal:
            self.refused.append(str(refusal))
            response = self._json(refusal.body, refusal.code)
        return response(environ, start_response)

    def _json(self, body: dict[str, Any], status: int) -> Response:
        return Response(json.dumps(body), status, mimetype="application/json")

    def _download(self, name: str) -> bytes:
        self._count("download", {"name": name})
        if (content := self.files.get(name)) is None:
            raise Refusal(404, "Not Found")
        return content

    def _count(self, method: str, values: dict[str, str]) -> None:
        with self.changed:
            self.asked.append(method)
            self.calls[method].append(values)
            failure = self.failures[method].pop(0) if self.failures[method] else None
            self.changed.notify_all()
        if failure:
            raise failure

    def _call(self, method: str, request: Request) -> Any:
        values = request.form.to_dict()
        self._count(method, values)
        if method == "getMe":
            return {"id": BOT_NUMBER, "is_bot": True, "first_name": "Lens", "username": "lens_test_bot"}
        if method == "getUpdates":
            return self._get_updates(int(values.get("offset", 0)), float(values.get("timeout", 0)))
        if method == "sendMessage":
            return self._send(values)
        if method == "sendPhoto":
            return self._send(values, request.files["photo"].read())
        if method in ("editMessageText", "editMessageReplyMarkup"):
            return self._edit(values)
        if method == "getFile":
            name = values["file_id"]
            if name not in self.files:
                raise Refusal(400, "Bad Request: invalid file_id")
            path = {} if self.files[name] is None else {"file_path": f"photos/{name}"}
            return {"file_id": name, "file_unique_id": name, **path}
        if method == "answerCallbackQuery" and len(values.get("text", "")) > LONGEST_NOTICE:
            raise Refusal(400, "Bad Request: MESSAGE_TOO_LONG")
        if method in ("sendChatAction", "setMyCommands", "deleteWebhook", "setWebhook", "answerCallbackQuery"):
            return True
        raise Refusal(404, "Not Found")

    def _get_updates(self, offset: int, timeout: float) -> list[dict[str, Any]]:
        with self.changed:
            if self.forgets:
                self.updates = [update for update in self.updates if update["update_id"] >= offset]
            self.changed.notify_all()
            self.changed.wait_for(lambda: bool(self.updates), timeout)
            return self.updates[:100]

    def _buttons(self, values: dict[str, str]) -> dict[str, str]:
        found = {}
        for row in json.loads(values.get("reply_markup", "{}")).get("inline_keyboard", []):
            for button in row:
                data = button.get("callback_data", "")
                if len(data.encode()) > LONGEST_DATA:
                    raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")
                found[button["text"]] = data or button["url"]
        return found

    def _send(self, values: dict[str, str], picture: bytes = b"") -> dict[str, Any]:
        html = values["caption"] if picture else values["text"]
        assert values["parse_mode"] == "HTML"
        text = plain(html, LONGEST_CAPTION if picture else LONGEST)
        reply = json.loads(values.get("reply_parameters", "{}")).get("message_id")
        message = Sent(self.number(), int(values["chat_id"]), text, html, self._buttons(values), picture, reply)
        with self.changed:
            (self.pictures if picture else self.sent).append(message)
            self.changed.notify_all()
        return self._shown(message)

    def _edit(self, values: dict[str, str]) -> dict[str, Any]:
        with self.changed:
            place = (int(values["chat_id"]), int(values["message_id"]))
            message = next((sent for sent in self.sent if (sent.chat, sent.number) == place), None)
            if message is None:
                raise Refusal(400, "Bad Request: message to edit not found")
            before = (message.html, dict(message.buttons))
            if "text" in values:
                message.text, message.html = plain(values["text"], LONGEST), values["text"]
            message.buttons = self._buttons(values)
            if before == (message.html, message.buttons):
                raise Refusal(400, "Bad Request: message is not modified")
            self.changed.notify_all()
        return self._shown(message)

    def _shown(self, message: Sent) -> dict[str, Any]:
        return {
            "message_id": message.number,
            "date": int(time.time()),
            "chat": {"id": message.chat, "type": "private"},
            "from": {"id": BOT_NUMBER, "is_bot": True, "first_name": "Lens"},
            "text": message.text,
        }
