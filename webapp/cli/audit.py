"""`flask audit`: read and check the log of what was done."""

import json
from datetime import UTC, datetime, timedelta

import click
from flask.cli import AppGroup
from sqlalchemy import select

from webapp.audit import count, faults, head
from webapp.extensions import db
from webapp.models.audit import AuditEntry

audit = AppGroup("audit", help="The log of what was done.")


@audit.command("verify")
@click.option(
    "--expect", metavar="HASH", help="A hash that `flask audit head` printed earlier: it must still be there."
)
def verify(expect: str | None) -> None:
    """Check that no entry was changed, removed or reordered. Ends with an error where one was.

    That the newest entries were cut off, or all hashes computed anew, is only seen with --expect.
    """
    wrong = 0
    for fault in faults(expect.strip().lower() if expect else None):
        click.echo(fault)
        wrong += 1
    if wrong:
        raise click.ClickException("The audit log is not what was written.")
    number, newest = head()
    click.echo(f"{count()} entries, all as they were written. Newest: {number} {newest}")


@audit.command("head")
def show_head() -> None:
    """Print the hash of the newest entry. Keep it elsewhere and give it to `flask audit verify --expect` later."""
    click.echo(head()[1])


@audit.command("list")
@click.option("--actor", help="Only what this account did; 'cli' for commands.")
@click.option("--action", help="Only this action, such as review.submit, or all of a kind, such as review.")
@click.option("--subject", help="Only what was done to this, such as screening:12.")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First day (UTC).")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day (UTC).")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, newest.")
def list_entries(
    actor: str | None,
    action: str | None,
    subject: str | None,
    first: datetime | None,
    last: datetime | None,
    limit: int,
) -> None:
    """Show entries, newest first."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if actor:
        query = query.where(AuditEntry.actor == actor)
    if action:
        query = query.where((AuditEntry.action == action) | AuditEntry.action.startswith(f"{action}.", autoescape=True))
    if subject:
        query = query.where(AuditEntry.subject == subject)
    if first:
        query = query.where(AuditEntry.at >= first.replace(tzinfo=UTC))
    if last:
        query = query.where(AuditEntry.at < last.replace(tzinfo=UTC) + timedelta(days=1))
    for entry in db.session.scalars(query):
        details = json.dumps(entry.details, sort_keys=True, ensure_ascii=False) if entry.details else ""
        fields = (str(entry.id), f"{entry.at:%Y-%m-%d %H:%M:%S} UTC", entry.actor, entry.action, entry.subject, details)
        click.echo("\t".join(fields).rstrip())
