"""The audit log: what was done, by whom, when, newest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, select

from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.extensions import db
from webapp.models.audit import AuditEntry
from webapp.models.user import Role

PAGE_SIZE = 50


@dataclass(frozen=True)
class AuditFilters:
    """What the log is narrowed to; empty strings and None mean everything."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    first: date | None = None
    last: date | None = None

    @classmethod
    def from_args(cls, args: Mapping[str, str]) -> "AuditFilters":
        """Read a query string; values that make no sense count as not given."""
        names = {name: args.get(name, "").strip() for name in ("actor", "action", "subject")}
        return cls(**names, first=_date(args.get("from", "")), last=_date(args.get("to", "")))

    def to_args(self) -> dict[str, str]:
        """The inverse of `from_args`, without empty values."""
        values = {
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "from": self.first.isoformat() if self.first else "",
            "to": self.last.isoformat() if self.last else "",
        }
        return {name: value for name, value in values.items() if value}

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filters as conditions on `AuditEntry`. An action without its verb means all of its kind."""
        found: list[ColumnElement[bool]] = []
        if self.actor:
            found.append(AuditEntry.actor == self.actor.casefold())
        if self.action:
            # A range, not LIKE, so that the index serves: '/' follows '.'.
            exact = AuditEntry.action == self.action
            kind = (AuditEntry.action > f"{self.action}.") & (AuditEntry.action < f"{self.action}/")
            found.append(exact | kind)
        if self.subject:
            found.append(AuditEntry.subject == self.subject)
        if self.first:
            found.append(AuditEntry.at >= datetime.combine(self.first, time(), UTC))
        if self.last and self.last < date.max:
            found.append(AuditEntry.at < datetime.combine(self.last + timedelta(days=1), time(), UTC))
        return found


@dataclass(frozen=True)
class AuditPage:
    """One page of entries, newest first, and the keys of its neighbours (None where there is none)."""

    entries: list[AuditEntry]
    newer: int | None
    older: int | None


def read_entries(filters: AuditFilters, *, older: int | None = None, newer: int | None = None) -> AuditPage:
    """The page after the entry `older`, or before the entry `newer`, or the first."""
    query = select(AuditEntry).where(*filters.conditions())
    backwards = newer is not None and older is None
    if backwards:
        query = query.where(AuditEntry.id > newer).order_by(AuditEntry.id)
    else:
        if older is not None:
            query = query.where(AuditEntry.id < older)
        query = query.order_by(AuditEntry.id.desc())
    entries = list(db.session.scalars(query.limit(PAGE_SIZE + 1)))
    more = len(entries) > PAGE_SIZE
    entries = entries[:PAGE_SIZE]
    if backwards:
        entries.reverse()
    if not entries:
        return AuditPage([], None, None)
    has_newer = more if backwards else older is not None
    has_older = True if backwards else more
    return AuditPage(entries, entries[0].id if has_newer else None, entries[-1].id if has_older else None)


@blueprint.get("/audit")
@requires(Role.ADMIN)
def audit() -> ResponseReturnValue:
    """One page of the audit log, narrowed by the filters in the query string."""
    filters = AuditFilters.from_args(request.args)
    page = read_entries(filters, older=_number("older"), newer=_number("newer"))
    return render_template("admin/audit.html", page=page, filters=filters)


def _number(name: str) -> int | None:
    text = request.args.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
