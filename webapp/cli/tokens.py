"""`flask tokens`: which programs may use the API, and how much."""

import secrets

import click
from flask.cli import AppGroup
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from webapp import audit, clock
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.token import ApiToken, secret_hash

# Says in a log or a leaked file what it is: scanners look for such beginnings.
PREFIX = "lens_"
MAX_NAME = 80

tokens = AppGroup("tokens", help="Tokens of programs that use the API.")


@tokens.command("create")
@click.argument("name")
@click.option(
    "--per-day", type=click.IntRange(min=1), default=1000, show_default=True, help="Screenings allowed a day (UTC)."
)
def create(name: str, per_day: int) -> None:
    """Make a token and print it. Only its hash is kept: it is shown this once."""
    name = name.strip()
    if not name or len(name) > MAX_NAME:
        raise click.ClickException(f"The name must have 1 to {MAX_NAME} characters.")
    secret = PREFIX + secrets.token_urlsafe(32)
    try:
        with write_transaction() as session:
            token = ApiToken(name=name, secret_hash=secret_hash(secret), per_day=per_day, created_at=clock.now())
            session.add(token)
            session.flush()
            audit.record("token.create", f"token:{token.id}", name=name, per_day=per_day)
    except IntegrityError as error:
        raise click.ClickException(f"There is, or was, a token '{name}'. Choose another name.") from error
    click.echo(f"Made the token '{name}', {per_day} screenings a day. Keep it now, it is not shown again:", err=True)
    click.echo(secret)


@tokens.command("list")
def list_tokens() -> None:
    """Show all tokens and how many screenings each has opened today (UTC)."""
    today = clock.now().date()
    for token in db.session.scalars(select(ApiToken).order_by(ApiToken.name)):
        state = f"revoked on {token.revoked_at:%Y-%m-%d}" if token.revoked_at else "valid"
        last = f"last used on {token.used_on}" if token.used_on else "never used"
        click.echo(f"{token.name}\t{token.used_today(today)} of {token.per_day} today\t{last}\t{state}")


@tokens.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """End a token for good."""
    with write_transaction() as session:
        token = session.scalar(select(ApiToken).where(ApiToken.name == name.strip()))
        if token is None:
            raise click.ClickException(f"There is no token '{name}'. `flask tokens list` shows them.")
        if token.revoked_at is None:
            token.revoked_at = clock.now()
            audit.record("token.revoke", f"token:{token.id}", name=token.name)
    click.echo(f"The token '{token.name}' is revoked.")
