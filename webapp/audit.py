"""The audit log: what admins, reviewers and commands did, in entries that cannot be changed without it being seen.

Each entry holds the SHA-256 over its own content and the hash of the entry before. Whoever changes, removes or
reorders entries must compute all later hashes anew; whoever does that too, or cuts off the end, is found out by a hash
that was noted elsewhere (`flask audit head`, `flask audit verify --expect`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from flask import has_request_context
from flask_login import current_user
from sqlalchemy import func, select, text

from webapp import clock
from webapp.extensions import db
from webapp.models.audit import HOUR, AuditEntry, AuditRepeats

# What the first entry names as the hash before it.
BEGINNING = "0" * 64
COMMAND = "cli"
VIEW = "case.view"
NOBODY = "nobody"
# No detail may be called like what must never be in this log. Compared with each word of a name.
SECRETS = frozenset({"password", "secret", "token", "note", "notes", "address", "ip", "email"})
# Longer texts in details are cut: an entry is a fact, not a copy.
LONGEST_TEXT = 200
# Any number that nothing else locks: writers of this log wait for each other there on PostgreSQL.
POSTGRESQL_LOCK = 0x1E510


def record(action: str, subject: str, **details: Any) -> None:
    """Add an entry within the current write transaction; the caller commits, and what is rolled back never happened.

    The actor is whoever is logged in, "cli" for a command, or "nobody". `action` is "noun.verb", `subject` such as
    "screening:12"; `details` are JSON values, never secrets, notes or addresses. Raises ValueError for a detail that is
    called like one, and RuntimeError outside of a write transaction (`webapp.database.write_transaction`).
    """
    record_as(current_actor(), action, subject, **details)


def record_as(actor: str, action: str, subject: str, **details: Any) -> None:
    """`record` in the name of somebody who is not, or not yet, logged in."""
    for name in details:
        if not SECRETS.isdisjoint(name.split("_")):
            raise ValueError(f"'{name}' does not belong in the audit log")
    _hold()
    last = db.session.execute(
        select(AuditEntry.id, AuditEntry.entry_hash).order_by(AuditEntry.id.desc()).limit(1)
    ).first()
    entry = AuditEntry(
        id=last.id + 1 if last else 1,
        at=clock.now(),
        actor=actor,
        action=action,
        subject=subject,
        details=_shortened(details),
        previous_hash=last.entry_hash if last else BEGINNING,
    )
    entry.entry_hash = content_hash(entry)
    db.session.add(entry)
    db.session.flush()  # the next entry of this transaction must find it


def record_hourly(actor: str, action: str, subject: str, **details: Any) -> None:
    """`record_as` for what somebody can repeat at will, so that nobody fills the disk: one entry an hour of each actor,
    action and subject. What comes in between is counted, and the next entry, or `record_repeats`, says how many.

    Where no entry is made one is written all the same and taken back: the time of an answer must not tell whether
    somebody else has tried the same name.
    """
    _hold()
    now, key = clock.now(), (actor, action, subject)
    known = db.session.get(AuditRepeats, key, populate_existing=True)
    if known is not None and known.is_fresh(now):
        with db.session.begin_nested() as attempt:
            record_as(actor, action, subject, **details)
            attempt.rollback()
        known.repeats += 1
        return
    repeats = {"repeats": known.repeats} if known is not None and known.repeats else {}
    record_as(actor, action, subject, **details, **repeats)
    db.session.merge(AuditRepeats(actor=actor, action=action, subject=subject, entered_at=now, repeats=0))


def in_this_hour(actor: str, action: str, subject: str) -> bool:
    """Whether `record_hourly` has an entry of these already: who has nothing to count need not write then."""
    known = db.session.get(AuditRepeats, (actor, action, subject), populate_existing=True)
    return known is not None and known.is_fresh(clock.now())


def record_repeats() -> None:
    """Enter, within the current write transaction, what was counted more than an hour ago and never came again."""
    _hold()
    old = select(AuditRepeats).where(AuditRepeats.entered_at <= clock.now() - HOUR).order_by(AuditRepeats.entered_at)
    for known in db.session.scalars(old).all():
        if known.repeats:
            record_as(known.actor, known.action, known.subject, repeats=known.repeats)
        db.session.delete(known)


def trail(subject: str, limit: int = 100) -> list[AuditEntry]:
    """The newest entries about a subject such as "screening:12", oldest first; not that it was only looked at."""
    found = select(AuditEntry).where(AuditEntry.subject == subject, AuditEntry.action != VIEW)
    return list(db.session.scalars(found.order_by(AuditEntry.id.desc()).limit(limit)))[::-1]


def content_hash(entry: AuditEntry) -> str:
    """SHA-256, in hexadecimal, over an entry's canonical content: JSON with sorted keys, the hash before included."""
    content = {
        "id": entry.id,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "details": entry.details,
        "previous_hash": entry.previous_hash,
    }
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def head() -> tuple[int, str]:
    """Number and hash of the newest entry; 0 and the hash before the first one where there is none."""
    last = db.session.execute(
        select(AuditEntry.id, AuditEntry.entry_hash).order_by(AuditEntry.id.desc()).limit(1)
    ).first()
    return (last.id, last.entry_hash) if last else (0, BEGINNING)


def count() -> int:
    """How many entries there are."""
    return db.session.scalar(select(func.count()).select_from(AuditEntry)) or 0


def faults(expected: str | None = None) -> Iterator[str]:
    """What is wrong with the log, entry by entry, as English sentences; nothing where all is well.

    `expected` is a hash that was noted earlier: an entry, any entry, must still carry it.
    """
    previous, number, seen = BEGINNING, 0, expected in (None, BEGINNING)
    for entry in db.session.scalars(
        select(AuditEntry).order_by(AuditEntry.id).execution_options(yield_per=1000, populate_existing=True)
    ):
        if entry.id != number + 1:
            missing = f"entry {number + 1}" if entry.id == number + 2 else f"entries {number + 1} to {entry.id - 1}"
            yield f"{missing}: missing"
        elif entry.previous_hash != previous:
            yield f"entry {entry.id}: does not follow entry {number}; one of the two was changed, moved or exchanged"
        if entry.entry_hash != content_hash(entry):
            yield f"entry {entry.id}: its content does not match its hash; it was changed"
        previous, number = entry.entry_hash, entry.id
        seen = seen or entry.entry_hash == expected
    if not seen:
        yield f"no entry has the expected hash {expected}: entries were cut off or all hashes were computed anew"


def _hold() -> None:
    """Keep other writers of this log out until the transaction ends, which must be a write transaction."""
    connection = db.session.connection()
    if not connection.get_execution_options().get("writing"):
        raise RuntimeError("an audit entry needs a write transaction, so that it stands and falls with what it tells")
    if connection.dialect.name == "postgresql":
        db.session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": POSTGRESQL_LOCK})


def current_actor() -> str:
    """Who is at work: a name, "cli" or "nobody"."""
    if not has_request_context():
        return COMMAND
    return str(current_user.name) if current_user.is_authenticated else NOBODY


def _shortened(value: Any) -> Any:
    """`value` with long texts cut, as JSON reads it back. Raises TypeError or ValueError for what JSON cannot hold."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, Mapping):
        return {str(key): _shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(item) for item in value]
    return json.loads(_canonical(value))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
