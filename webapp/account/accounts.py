"""What admins do to accounts, in the browser and with `flask users`: the same rules, each change in the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from webapp import audit, clock
from webapp.account import logins, second_factor
from webapp.account.passwords import hash_password, one_time_password
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.i18n import gettext as _
from webapp.models.user import Role, User

LONGEST_NAME = 80
# How long a password counts that an admin has made for somebody.
ONE_TIME_DAYS = 7


class AccountError(Exception):
    """A change that cannot be made; the message says why, in the language of the request."""


def find(name: str) -> User | None:
    """The account of this name."""
    return db.session.scalar(select(User).where(User.name == _plain(name)))


def create(name: str, role: Role, password: str | None = None) -> tuple[User, str]:
    """Make an account and return it with its password: the given one, or one that is made here, to be told once, and
    to be changed at the first log-in. Raises AccountError where the name cannot be used."""
    name = _plain(name)
    if not name or len(name) > LONGEST_NAME:
        raise AccountError(_("The name must have 1 to %(most)d characters.", most=LONGEST_NAME))
    if not name.isprintable():
        raise AccountError(_("The name must consist of visible characters."))
    now = clock.now()
    until = None if password else now + timedelta(days=ONE_TIME_DAYS)
    password = password or one_time_password()
    user = User(name=name, password_hash=hash_password(password), role=role, created_at=now, one_time_until=until)
    try:
        with write_transaction() as session:
            session.add(user)
            session.flush()
            audit.record("user.create", _subject(user), name=name, role=str(role))
    except IntegrityError as error:
        raise AccountError(_("There is an account '%(name)s' already.", name=name)) from error
    return user, password


def set_password(user: User, password: str | None = None, *, own: bool = False) -> str:
    """Give an account a new password, the given one or a one-time password; returns it. Its sessions end, but for the
    one that asks. An account's owner keeps the count of wrong guesses; for anybody else it is unlocked."""
    until = None if password else clock.now() + timedelta(days=ONE_TIME_DAYS)
    password = password or one_time_password()
    hashed = hash_password(password)
    with _held(user):
        user.password_hash = hashed
        user.one_time_until = until
        user.session_version += 1
        if not own:
            user.failed_logins = 0
            user.locked_until = None
        ended = logins.drop_all(user)
        audit.record("user.password", _subject(user), name=user.name, one_time=until is not None, sessions=ended)
    return password


def set_role(user: User, role: Role) -> None:
    """Change what an account may do. Its sessions end: rights hold from a log-in on. Raises AccountError for the last
    admin."""
    with _held(user):
        if user.role == role:
            return
        if role is not Role.ADMIN:
            _keep_an_admin(user)
        before, user.role = user.role, role
        logins.drop_all(user)
        user.session_version += 1
        audit.record("user.role", _subject(user), name=user.name, before=str(before), role=str(role))


def set_active(user: User, active: bool) -> None:
    """Close an account, which ends its sessions, or open it again. Raises AccountError for the last admin."""
    with _held(user):
        if user.active == active:
            return
        if not active:
            _keep_an_admin(user)
            logins.drop_all(user)
            user.session_version += 1
        user.active = active
        audit.record("user.activate" if active else "user.deactivate", _subject(user), name=user.name)


def unlock(user: User) -> None:
    """End the lock that wrong passwords have set."""
    with _held(user):
        user.failed_logins = 0
        user.locked_until = None
        audit.record("user.unlock", _subject(user), name=user.name)


def reset_second_factor(user: User) -> None:
    """Turn an account's second factor off, for somebody who has lost theirs. Its sessions end."""
    with _held(user):
        second_factor.remove(user)
        logins.drop_all(user)
        user.session_version += 1
        audit.record("second_factor.reset", _subject(user), name=user.name)


@contextmanager
def _held(user: User) -> Iterator[None]:
    """A write transaction that holds the account's row, read anew."""
    with write_transaction() as session:
        session.refresh(user, with_for_update=True)
        yield


def _keep_an_admin(user: User) -> None:
    # All admins are held, so that two of them cannot step down at once.
    admins = db.session.scalars(
        select(User.id).where(User.role == Role.ADMIN, User.active).order_by(User.id).with_for_update()
    ).all()
    if list(admins) == [user.id]:
        raise AccountError(_("This is the last administrator: make another one first."))


def _plain(name: str) -> str:
    return name.strip().casefold()


def _subject(user: User) -> str:
    return f"user:{user.id}"
