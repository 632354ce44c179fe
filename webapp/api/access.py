"""Who may use the API, and how much: tokens with a daily quota, and rates per token or address."""

import time

from flask import current_app, g, request
from limits import RateLimitItem, parse_many
from sqlalchemy import select

from webapp import clock
from webapp.api.problems import Problem, unavailable
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db, limiter
from webapp.models.token import ApiToken, secret_hash
from webapp.senders import sender_key

# These tell how to get in, so they are open even where a token is required.
ALWAYS_OPEN = ("api.openapi_document", "api.documentation")


def admit() -> None:
    """Count the request, and keep in `g.api_token` whose token it carries, if any.

    Raises Problem for a token that is not valid, one that is missing where it is required, and too many requests.
    """
    config: Config = current_app.config["LENS"]
    g.api_token = None
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    # Another scheme is meant for somebody else, such as a proxy in front that asks for a password.
    carries_token = scheme.lower() == "bearer"
    if carries_token:
        g.api_token = db.session.scalar(
            select(ApiToken).where(ApiToken.secret_hash == secret_hash(secret.strip()), ApiToken.revoked_at.is_(None))
        )
    spend(config.api_rate, "api")
    if carries_token and g.api_token is None:
        raise Problem("token-invalid", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    if config.api_tokens_required and g.api_token is None and request.endpoint not in ALWAYS_OPEN:
        raise Problem("token-required", headers={"WWW-Authenticate": "Bearer"})


def spend(rate: str, scope: str) -> None:
    """Count one hit against `rate`, for the token of this request, else for its address.

    Raises Problem past it, and where hits cannot be counted at the moment.
    """
    key = f"token:{g.api_token.id}" if g.api_token else f"address:{sender_key()}"
    for limit in parse_many(rate):
        if (wait := _hit(limit, scope, key)) is not None:
            raise Problem("too-many-requests", headers={"Retry-After": str(wait)})


def _hit(limit: RateLimitItem, scope: str, key: str) -> int | None:
    """Count one hit: None within the limit, else after how many seconds to come back."""
    try:
        if limiter.limiter.hit(limit, scope, key):
            return None
        reset = limiter.limiter.get_window_stats(limit, scope, key).reset_time
    except limiter.storage.base_exceptions as error:  # what several processes count in is down
        current_app.logger.exception("rates cannot be counted")
        raise unavailable() from error
    return max(1, int(reset - time.time()) + 1)


def spend_quota() -> None:
    """Count one screening against the daily quota of the token, if there is one. Raises Problem past it."""
    if g.api_token is None:
        return
    now = clock.now()
    with write_transaction() as session:
        token = session.get_one(ApiToken, g.api_token.id, populate_existing=True, with_for_update=True)
        used = token.used_today(now.date())
        if used >= token.per_day:
            left = 24 * 3600 - (now.hour * 3600 + now.minute * 60 + now.second)
            raise Problem("quota-used-up", headers={"Retry-After": str(left)})
        token.used_on, token.used = now.date(), used + 1
