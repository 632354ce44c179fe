"""`flask users`: who may log in."""

import sys

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from webapp import audit, clock
from webapp.account.forms import MAX_PASSWORD
from webapp.account.passwords import hash_password
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.user import Role, User

users = AppGroup("users", help="Who may log in.")


@users.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.VIEWER.value, show_default=True)
def create(name: str, role: str) -> None:
    """Make an account. The password is asked for, or read from standard input."""
    name = name.strip().casefold()
    if not name or len(name) > 80:
        raise click.ClickException("The name must have 1 to 80 characters.")
    password = _ask_password()
    try:
        with write_transaction() as session:
            user = User(name=name, password_hash=hash_password(password), role=role, created_at=clock.now())
            session.add(user)
            session.flush()
            audit.record("user.create", f"user:{user.id}", name=name, role=role)
    except IntegrityError as error:
        raise click.ClickException(f"There is an account '{name}' already.") from error
    click.echo(f"Made the account '{name}' ({role}).")


@users.command("password")
@click.argument("name")
def change_password(name: str) -> None:
    """Set a new password, unlock the account and end its sessions."""
    password = _ask_password()
    with write_transaction() as session:
        user = session.scalar(select(User).where(User.name == name.strip().casefold()))
        if user is None:
            raise click.ClickException(f"There is no account '{name}'. `flask users list` shows them.")
        user.password_hash = hash_password(password)
        user.session_version += 1
        user.failed_logins = 0
        user.locked_until = None
        audit.record("user.password", f"user:{user.id}", name=user.name)
    click.echo(f"The password of '{user.name}' is changed.")


@users.command("list")
def list_users() -> None:
    """Show all accounts."""
    for user in db.session.scalars(select(User).order_by(User.name)):
        last = f"{user.last_login_at:%Y-%m-%d %H:%M} UTC" if user.last_login_at else "never"
        click.echo(f"{user.name}\t{user.role}\tlast log-in: {last}")


def _ask_password() -> str:
    """A password typed twice, or the first line of standard input where that is not a terminal."""
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    shortest = current_app.config["LENS"].password_min_length
    if not shortest <= len(password) <= MAX_PASSWORD:
        raise click.ClickException(f"The password must have {shortest} to {MAX_PASSWORD} characters.")
    return password
