"""`flask users`: who may log in, and what each may do."""

import sys
from collections.abc import Callable

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import select

from webapp import clock
from webapp.account import accounts
from webapp.account.accounts import AccountError
from webapp.account.passwords import weakness
from webapp.extensions import db
from webapp.models.user import Role, User

ROLES = click.Choice([role.value for role in Role])

users = AppGroup("users", help="Who may log in.")


@users.command("create")
@click.argument("name")
@click.option("--role", type=ROLES, default=Role.VIEWER.value, show_default=True)
@click.option("--one-time", is_flag=True, help="Print a password made here, which must be changed at the first log-in.")
def create(name: str, role: str, one_time: bool) -> None:
    """Make an account. The password is asked for, or read from standard input."""
    password = None if one_time else _ask_password(name)
    try:
        user, password = accounts.create(name, Role(role), password)
    except AccountError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Made the account '{user.name}' ({role}).", err=one_time)
    if one_time:
        _tell(password)


@users.command("list")
def list_users() -> None:
    """Show all accounts."""
    now = clock.now()
    for user in db.session.scalars(select(User).order_by(User.name)):
        last = f"{user.last_login_at:%Y-%m-%d %H:%M} UTC" if user.last_login_at else "never"
        state = "active" if user.active else "closed"
        if user.active and user.locked_until is not None and user.locked_until > now:
            state = f"locked until {user.locked_until:%H:%M} UTC"
        factor = "second factor" if user.totp_secret else "no second factor"
        click.echo(f"{user.name}\t{user.role}\tlast log-in: {last}\t{state}\t{factor}")


@users.command("role")
@click.argument("name")
@click.argument("role", type=ROLES)
def change_role(name: str, role: str) -> None:
    """Change what an account may do, and end its sessions."""
    user = _change(name, lambda found: accounts.set_role(found, Role(role)))
    click.echo(f"'{user.name}' is {role} now.")


@users.command("password")
@click.argument("name")
@click.option("--one-time", is_flag=True, help="Print a password made here, which must be changed at the next log-in.")
def change_password(name: str, one_time: bool) -> None:
    """Set a new password, unlock the account and end its sessions."""
    user = _find(name)
    password = accounts.set_password(user, None if one_time else _ask_password(user.name))
    click.echo(f"The password of '{user.name}' is changed.", err=one_time)
    if one_time:
        _tell(password)


@users.command("deactivate")
@click.argument("name")
def deactivate(name: str) -> None:
    """Close an account and end its sessions."""
    user = _change(name, lambda found: accounts.set_active(found, False))
    click.echo(f"The account '{user.name}' is closed.")


@users.command("activate")
@click.argument("name")
def activate(name: str) -> None:
    """Open a closed account again."""
    user = _change(name, lambda found: accounts.set_active(found, True))
    click.echo(f"The account '{user.name}' is open.")


@users.command("unlock")
@click.argument("name")
def unlock(name: str) -> None:
    """End the lock that wrong passwords have set."""
    user = _change(name, accounts.unlock)
    click.echo(f"The account '{user.name}' is not locked.")


@users.command("reset-totp")
@click.argument("name")
def reset_totp(name: str) -> None:
    """Turn the second factor off, for somebody who has lost theirs, and end their sessions."""
    user = _change(name, accounts.reset_second_factor)
    click.echo(f"The account '{user.name}' has no second factor any more.")


def _change(name: str, change: Callable[[User], None]) -> User:
    user = _find(name)
    try:
        change(user)
    except AccountError as error:
        raise click.ClickException(str(error)) from error
    return user


def _find(name: str) -> User:
    user = accounts.find(name)
    if user is None:
        raise click.ClickException(f"There is no account '{name}'. `flask users list` shows them.")
    return user


def _tell(password: str) -> None:
    click.echo(f"Counts for {accounts.ONE_TIME_DAYS} days and is not shown again:", err=True)
    click.echo(password)


def _ask_password(name: str) -> str:
    """A password typed twice, or the first line of standard input where that is not a terminal."""
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if (fault := weakness(password, name, current_app.config["LENS"])) is not None:
        raise click.ClickException(fault)
    return password
