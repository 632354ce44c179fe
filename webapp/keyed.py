"""Keyed hashes: what stands for something that is not to be kept, and that nobody without the secret can try out."""

import hashlib
import hmac

from flask import current_app


def keyed(text: str) -> bytes:
    """HMAC-SHA-256 of a text with the application's secret. The text begins with what the hash is for, so that no two
    uses of it ever meet."""
    return hmac.new(str(current_app.config["SECRET_KEY"]).encode(), text.encode(), hashlib.sha256).digest()
