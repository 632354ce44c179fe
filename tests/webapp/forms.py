"""Forms as a test fills them in."""

import re

from flask.testing import FlaskClient

PASSWORD = "correct horse battery staple"
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def form_token(client: FlaskClient, path: str) -> str:
    """The form token on a page."""
    found = TOKEN.search(client.get(path).text)
    assert found
    return found.group(1)
