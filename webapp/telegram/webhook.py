"""Webhook: Telegram sends each update as a request, and again until it is answered with 200."""

import hmac
import json
import logging

from telegram import Bot, Update
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from webapp.telegram.receiving import Receive
from webapp.telegram.updates import taken

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
HEADER = "X-Telegram-Bot-Api-Secret-Token"
MAX_BYTES = 1024 * 1024
"""An update tells of photos; it does not contain them."""


class Incoming(RequestHandler):
    """One update. Answered once it has been handled."""

    def initialize(self, bot: Bot, secret: str, receive: Receive) -> None:
        """What the server was started with."""
        self._bot, self._secret, self._receive_update = bot, secret, receive

    async def post(self) -> None:
        """200 when handled, 503 to have it sent again, 403 for whoever does not know the secret."""
        given = self.request.headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            self.set_status(403)
            return
        try:
            found = taken(json.loads(self.request.body))
        except (ValueError, RecursionError) as error:
            log.warning("what came is no JSON: %s", type(error).__name__)
            found = None
        if found is None:
            self.set_status(400)
            return
        if not await self._receive_update(Update.de_json(found, self._bot)):
            self.set_status(503)

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """No page: nobody reads it."""
        self.finish()


def listen(bot: Bot, port: int, secret: str, receive: Receive) -> HTTPServer:
    """A server on the loopback address that hands over updates. Raises OSError where the port is taken."""
    application = Application([(r"/.*", Incoming, {"bot": bot, "secret": secret, "receive": receive})])
    # Tornado logs each refused request otherwise.
    application.settings["log_function"] = lambda handler: None
    server = HTTPServer(application, max_body_size=MAX_BYTES)
    server.listen(port, ADDRESS)
    return server
