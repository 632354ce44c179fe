"""Which version a name in `MODEL` stands for: the one that answered under it first, whatever is trained since.

Without this a run that is given the name of the model that answers would take its place unseen. The first process that
answers somebody, or decides about a promotion, writes the version down; all others, and later ones, read it there.
Looking which model answers writes nothing.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ml.errors import BundleError
from webapp import audit, clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.model_names import references, stated
from webapp.models.promotion import StartModel

log = logging.getLogger(__name__)

ACTOR = "start"
"""Who an entry of the audit log names: nobody decided, somebody was answered for the first time."""


class Starts:
    """What the names in `MODEL` stand for, as one process knows it. What was written down never changes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[str, StartModel] = {}

    def stands_for(self, name: str) -> tuple[str, ...]:
        """The references that may answer under a name, in the order in which they are tried.

        First the version that answered first, then those before it: a newer one only once it is promoted. All of them,
        the newest first, where none has answered yet or the database cannot be read.
        """
        return self._in_order(name, self.pinned(name))

    def label_set(self, name: str) -> str | None:
        """The label set that is answered under a name: the one that was written down, else that of the first card that
        can be read. None where nothing of it is there."""
        from ml.bundle import find_bundle

        pinned = self.pinned(name)
        tried = self._in_order(name, pinned)
        if pinned is None:
            return next((found for one in tried if (found := stated(one, self._config))), None)
        for one in tried:
            with suppress(BundleError):
                find_bundle(one, self._config.models)
                return pinned.label_set
        return None

    def answering(self, name: str, label_set: str) -> tuple[str, ...]:
        """The references of `stands_for`, without those whose cards state another label set; all where it is ""."""
        pinned = self.pinned(name)
        found = self._in_order(name, pinned)
        if not label_set or len(found) == 1:
            return found
        known = found[:1] if pinned and pinned.label_set == label_set else ()
        others = found[len(known) :]
        return (*known, *(one for one in others if stated(one, self._config) in (None, label_set))) or found[:1]

    def is_settled(self, name: str) -> bool:
        """Whether nothing is left to be written down about a name, also since it says the version or is a path."""
        from ml.bundle import is_name

        return self.pinned(name) is not None or not is_name(name)

    def _in_order(self, name: str, pinned: StartModel | None) -> tuple[str, ...]:
        found = references(name, self._config)
        if pinned is None:
            return found
        first = f"{name}@{pinned.version}"
        older = found[found.index(first) + 1 :] if first in found else [one for one in found if one < first]
        return (first, *older)

    def pinned(self, name: str) -> StartModel | None:
        """What was written down about a name; never anything of one that says the version, or of a path."""
        from ml.bundle import is_name

        if name not in self._known:
            if not is_name(name):
                return None
            try:
                # A connection of its own, as in webapp.promotion.standing.
                with db.engine.connect() as connection:
                    row = connection.execute(select(StartModel.__table__).where(StartModel.name == name)).first()
            except SQLAlchemyError as error:
                log.warning("the version that '%s' stands for cannot be read: %s", name, type(error).__name__)
                return None
            if row is None:
                return None
            self._known[name] = StartModel(**row._mapping)
        return self._known[name]

    def keep(self, name: str, reference: str, label_set: str, digest: str) -> bool:
        """Write down that a name stands for `reference`, one of its versions, where nothing is written down yet.

        `digest` is the SHA-256 of the bundle's SHA256SUMS. False where that version may not answer, since another
        process came first with another one. Not within a transaction. Where the database cannot be written, the next
        answer tries again.
        """
        if reference == name or self.pinned(name) is not None:
            return reference == name or reference in self.stands_for(name)
        version = reference.rpartition("@")[2]
        try:
            with write_transaction() as session:
                session.execute(
                    insert(StartModel).values(
                        name=name, version=version, label_set=label_set, digest=digest, at=clock.now()
                    )
                )
                audit.record_as(ACTOR, "model.start", f"model:{reference}", label_set=label_set)
            log.info("%s answers under the name '%s' from now on", reference, name)
        except IntegrityError:
            return reference in self.stands_for(name)
        except SQLAlchemyError as error:
            log.warning("the version that '%s' stands for cannot be kept: %s", name, type(error).__name__)
        return True
