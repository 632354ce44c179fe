"""Passwords and the log-in decision: argon2, one answer for every kind of failure, and a lock after repeated ones."""

from datetime import timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select

from webapp import audit, clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.user import User

_hasher = PasswordHasher()  # argon2id with the library's recommended costs (RFC 9106, low-memory profile)


def hash_password(password: str) -> str:
    """The argon2id hash of a password."""
    return _hasher.hash(password)


@cache
def _nobody() -> str:
    """The hash that is checked where there is no account, so that a wrong name takes as long as a wrong password."""
    return _hasher.hash("no account has this password")


def authenticate(name: str, password: str, config: Config) -> User | None:
    """The account that these belong to, or None: wrong name, wrong password, locked and closed look the same."""
    now = clock.now()
    user = db.session.scalar(
        select(User).where(User.name == name.strip().casefold()).execution_options(populate_existing=True)
    )
    known = user.password_hash if user is not None else _nobody()
    db.session.commit()  # no transaction stays open while the hash is computed
    correct = _matches(known, password)
    if user is None:
        return None
    with write_transaction() as session:
        # Read again, and held: attempts made at the same time count too, and so does a lock that they have set.
        session.refresh(user, with_for_update=True)
        # A lock that ends later than any made now was made before the clock was set back.
        longest = now + timedelta(minutes=config.login_lock_minutes)
        if user.locked_until is not None and now < user.locked_until <= longest:
            return None
        if not correct or not user.active or user.password_hash != known:
            user.failed_logins += 1
            if user.failed_logins >= config.login_failures:
                user.failed_logins = 0
                user.locked_until = longest
                audit.record_as(audit.NOBODY, "user.lock", f"user:{user.id}", minutes=config.login_lock_minutes)
            return None
        user.failed_logins = 0
        user.locked_until = None
        user.last_login_at = now
        if _hasher.check_needs_rehash(known):
            user.password_hash = hash_password(password)
        audit.record_as(user.name, "session.begin", f"user:{user.id}")
    return user


def _matches(known: str, password: str) -> bool:
    try:
        return _hasher.verify(known, password)
    except (VerificationError, InvalidHashError):
        return False
