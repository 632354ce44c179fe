"""Updates as Telegram posts them to the webhook."""

import http.client
import json
from contextlib import closing
from typing import Any

from webapp.telegram.webhook import HEADER


def post_update(port: int, secret: str | None, body: Any, path: str = "/hook") -> int:
    """The status that a request to the webhook gets. Bytes are sent as they are, anything else as JSON."""
    headers = {"Content-Type": "application/json"} | ({HEADER: secret} if secret is not None else {})
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body), headers)
        return connection.getresponse().status
