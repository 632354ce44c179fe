"""The decision to let somebody in: one answer for every kind of failure, and a lock after repeated ones.

Passwords and codes count together. Every failure costs the same, whether there is such an account or not, one hash and
one small write that the audit log counts, so that neither words nor time tell which names exist.
"""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import func, select, update

from webapp import audit, clock
from webapp.account import passwords, second_factor
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.user import User


def authenticate(name: str, password: str, config: Config) -> User | None:
    """The account that these belong to, or None: wrong name, wrong password, locked and closed look the same.

    Where the account has a second factor this is half of the way: `second_step` decides.
    """
    user = db.session.scalar(
        select(User).where(User.name == name.strip().casefold()).execution_options(populate_existing=True)
    )
    known = user.password_hash if user is not None else passwords.nobody()
    db.session.commit()  # no transaction stays open while the hash is computed
    correct = passwords.matches(known, password)
    if user is None:
        with write_transaction():
            _write_all_the_same(None)
            _note_refusal(None)
        return None

    def check(held: User) -> bool:
        in_time = held.one_time_until is None or held.one_time_until > clock.now()
        if not (correct and held.active and held.password_hash == known and in_time):
            return False
        if held.totp_secret is None:  # with a second factor, right passwords must not buy more guesses at codes
            held.failed_logins = 0
        if passwords.HASHER.check_needs_rehash(known):
            held.password_hash = passwords.hash_password(password)
        return True

    return user if _attempt(user, config, check) else None


def second_step(user_id: int, version: int, code: str, config: Config) -> User | None:
    """The account, whose password was right before, if the code of its second factor is right too. `version` is its
    `session_version` at that time: a new password in between ends the way."""
    user = db.session.get(User, user_id)
    if user is None:
        return None

    def check(held: User) -> bool:
        if not held.active or held.session_version != version or held.totp_secret is None:
            return False
        if not second_factor.accept(held, code, clock.now()):
            return False
        held.failed_logins = 0
        return True

    return user if _attempt(user, config, check) else None


def code_was_used(user_id: int, code: str) -> bool:
    """Whether the code that `second_step` has just refused is right and used already; it never tells of a locked
    account. A code that counts no more is nothing that a guess could gain by."""
    user = db.session.get(User, user_id, populate_existing=True)
    if user is None or (user.locked_until is not None and clock.now() < user.locked_until):
        return False
    return second_factor.was_used(user, code, clock.now())


def confirm(user: User, password: str, config: Config, code: str | None = None) -> bool:
    """Whether whoever is logged in knows the password, and with `code` has the second factor, before what matters is
    changed. Failures count as those of a log-in."""
    known = user.password_hash
    db.session.commit()
    correct = passwords.matches(known, password)

    def check(held: User) -> bool:
        if not correct or held.password_hash != known:
            return False
        if code is not None and not second_factor.accept(held, code, clock.now()):
            return False
        if code is not None or held.totp_secret is None:
            held.failed_logins = 0
        return True

    return _attempt(user, config, check)


def _attempt(user: User, config: Config, check: Callable[[User], bool]) -> bool:
    """Decide with the account's row held: attempts made at the same time count too, and so does a lock they set."""
    now = clock.now()
    with write_transaction() as session:
        session.refresh(user, with_for_update=True)
        # A lock that ends later than any made now was made before the clock was set back.
        longest = now + timedelta(minutes=config.login_lock_minutes)
        if user.locked_until is not None and now < user.locked_until <= longest:
            _write_all_the_same(user.id)
            _note_refusal(user.id)
            return False
        if check(user):
            user.locked_until = None
            return True
        user.failed_logins += 1
        _note_refusal(user.id)
        if user.failed_logins >= config.login_failures:
            user.failed_logins = 0
            user.locked_until = longest
            audit.record_as(audit.NOBODY, "user.lock", f"user:{user.id}", minutes=config.login_lock_minutes)
        return False


def _note_refusal(user_id: int | None) -> None:
    """Put a refused attempt on record; a name that no account has is not written down: it may be a password."""
    audit.record_hourly(audit.NOBODY, "session.refuse", f"user:{user_id}" if user_id is not None else "user:unknown")


def _write_all_the_same(user_id: int | None) -> None:
    """Write what a counted failure writes, and change nothing by it: it must not be seen in the time of the answer."""
    which = select(func.min(User.id)).scalar_subquery() if user_id is None else user_id
    db.session.execute(update(User).where(User.id == which).values(failed_logins=User.failed_logins))
