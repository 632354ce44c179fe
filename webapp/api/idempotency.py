"""The Idempotency-Key header: a POST that is sent again, because its answer was lost, opens no second screening.

After draft-ietf-httpapi-idempotency-key-header. The screening's token is computed from the key, so that a key finds its
screening again without being stored: whoever sends it again with the same photos gets the same answer.
"""

import re
from base64 import urlsafe_b64encode

from flask import g, request

from webapp.api.form import ScreeningForm
from webapp.api.problems import Problem
from webapp.keyed import keyed
from webapp.models.screening import ScreeningRow, State

HEADER = "Idempotency-Key"
# A string of RFC 9651, quotes left out or not. Its length keeps keys of different senders apart: a UUID has 36.
KEY_PATTERN = r'^("[!#-\[\]-~]{16,200}"|[!#-\[\]-~]{16,200})$'


def token_of_request() -> str | None:
    """The token that belongs to this request's key, as long as a random one; None without the header."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not re.fullmatch(KEY_PATTERN, key):
        raise Problem("bad-request", f"Send 16 to 200 visible characters as {HEADER}, for example a new UUID.")
    sender = g.api_token.id if g.api_token else ""
    return urlsafe_b64encode(keyed(f"idempotency {sender} {key.strip(chr(34))}")).decode().rstrip("=")


def check_repeated(row: ScreeningRow, form: ScreeningForm) -> None:
    """Raises Problem where the screening that a key opened is deleted, or was opened with other photos, for another
    label set, or with the first look alone where now the model is asked, or the other way round."""
    if row.deleted_at is not None:
        raise Problem("deleted", "The screening that this key opened was deleted. Send a new key to open another one.")
    alone = row.state == State.DONE and row.attempts == 0  # no model was asked
    asked = ([photo.sha256 for photo in row.photos], row.asked_label_set, alone)
    if asked != ([upload.sha256 for upload in form.uploads], form.label_set, form.alone is not None):
        raise Problem("key-reused")
