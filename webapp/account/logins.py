"""Sessions of accounts: each log-in is a row, so that it can be listed and ended; the cookie carries its random key."""

import hashlib
import secrets
from datetime import datetime, timedelta

from flask import current_app, g, has_request_context, request, session
from flask_login import current_user, login_user
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from webapp import audit, clock
from webapp.account.agents import agent_words
from webapp.config import Config
from webapp.database import does_not_answer, write_transaction
from webapp.extensions import db
from webapp.models.login import LoginSession
from webapp.models.user import User

# Under this name the cookie carries the key.
KEY = "login"
# A session's last use is written down once in this share of its idle time at most: not every page is a write.
COARSE = 12


def begin(user: User) -> None:
    """Begin a session of `user` in this browser, with a new key. What the cookie held before is dropped but for the
    language: nothing from before the log-in, such as a planted form token, carries over."""
    now = clock.now()
    key = secrets.token_urlsafe(32)
    browser, system = agent_words(request.user_agent.string)
    with write_transaction() as transaction:
        _remove_expired(now)
        transaction.execute(delete(LoginSession).where(LoginSession.key_hash == _hash(session.get(KEY, ""))))
        transaction.execute(update(User).where(User.id == user.id).values(last_login_at=now))
        transaction.add(
            LoginSession(
                user_id=user.id, key_hash=_hash(key), created_at=now, seen_at=now, browser=browser, system=system
            )
        )
        audit.record_as(user.name, "session.begin", f"user:{user.id}", browser=browser, system=system)
    language = session.get("language")
    session.clear()
    if language:
        session["language"] = language
    _carry(user, key)


def renew(user: User) -> None:
    """Give this browser's session another key, because its rights have changed: the key before is worth nothing."""
    key = secrets.token_urlsafe(32)
    with write_transaction() as transaction:
        transaction.execute(
            update(LoginSession).where(LoginSession.key_hash == _hash(session.get(KEY, ""))).values(key_hash=_hash(key))
        )
    _carry(user, key)


def end() -> None:
    """End this browser's session."""
    with write_transaction() as transaction:
        transaction.execute(delete(LoginSession).where(LoginSession.key_hash == _hash(session.get(KEY, ""))))
        if current_user.is_authenticated:
            audit.record("session.end", f"user:{current_user.id}")


def load(remembered: str) -> User | None:
    """The account that this browser's session belongs to, if the session is still valid. `remembered` is what
    Flask-Login has kept, `User.get_id`."""
    config: Config = current_app.config["LENS"]
    found = db.session.scalar(select(LoginSession).where(LoginSession.key_hash == _hash(session.get(KEY, ""))))
    if found is None or _expired(found, clock.now(), config):
        return None
    user = found.user
    if not user.active or user.get_id() != remembered:
        return None
    g.login_session = found
    return user


def touch() -> None:
    """Write down that this browser's session is in use. Where the database cannot be written to, pages still answer."""
    config: Config = current_app.config["LENS"]
    found, now = current_session(), clock.now()
    if found is None or now - found.seen_at < timedelta(minutes=(config.session_idle_minutes or 30) / COARSE):
        return
    try:
        with write_transaction() as transaction:
            transaction.execute(update(LoginSession).where(LoginSession.id == found.id).values(seen_at=now))
    except (DBAPIError, NoConnection) as error:
        if not does_not_answer(error):
            raise
        current_app.logger.warning("the last use of a session cannot be written down", exc_info=True)


def current_session() -> LoginSession | None:
    """The row of this browser's session; None where nobody is logged in."""
    found: LoginSession | None = g.get("login_session") if current_user.is_authenticated else None
    return found


def sessions_of(user: User) -> list[LoginSession]:
    """The sessions of an account that are still valid, the latest used first."""
    config: Config = current_app.config["LENS"]
    now = clock.now()
    found = select(LoginSession).where(LoginSession.user_id == user.id)
    rows = db.session.scalars(found.order_by(LoginSession.seen_at.desc(), LoginSession.id.desc()))
    return [row for row in rows if not _expired(row, now, config)]


def revoke(user: User, session_id: int) -> bool:
    """End one session of an account. False where it has no such session."""
    with write_transaction() as transaction:
        ended = transaction.execute(
            delete(LoginSession)
            .where(LoginSession.id == session_id, LoginSession.user_id == user.id)
            .returning(LoginSession.id)
        ).first()
        if ended:
            audit.record("session.revoke", f"user:{user.id}", session=session_id)
    return ended is not None


def revoke_all(user: User) -> int:
    """End all sessions of an account but this browser's own; returns how many."""
    with write_transaction():
        number = drop_all(user)
        audit.record("session.revoke", f"user:{user.id}", sessions=number)
    return number


def drop_all(user: User) -> int:
    """`revoke_all` inside a write transaction that records what it is part of."""
    own = current_session() if has_request_context() else None
    others = delete(LoginSession).where(LoginSession.user_id == user.id)
    if own is not None:
        others = others.where(LoginSession.id != own.id)
    return len(db.session.execute(others.returning(LoginSession.id)).all())


def _carry(user: User, key: str) -> None:
    session[KEY] = key
    session.permanent = True
    login_user(user)


def _expired(row: LoginSession, now: datetime, config: Config) -> bool:
    idle = config.session_idle_minutes
    return now - row.created_at >= timedelta(hours=config.session_hours) or (
        idle > 0 and now - row.seen_at >= timedelta(minutes=idle)
    )


def _remove_expired(now: datetime) -> None:
    config: Config = current_app.config["LENS"]
    db.session.execute(
        delete(LoginSession).where(LoginSession.created_at < now - timedelta(hours=config.session_hours))
    )


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
