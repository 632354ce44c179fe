"""Which version a name in `MODEL` stands for: the one that answered under it first, whatever is trained since.

Without this a run that is given the name of the model that answers would take its place unseen. The first process that
answers writes the version down; all others, and later ones, read it there.
"""

from __future__ import annotations

import logging

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from webapp import audit, clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.model_names import versions
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
        found = versions(name, self._config)
        pinned = self.pinned(name) if found != (name,) or "@" not in name else None
        if pinned is None:
            return found
        first = f"{name}@{pinned.version}"
        older = found[found.index(first) + 1 :] if first in found else [one for one in found if one < first]
        return (first, *older)

    def pinned(self, name: str) -> StartModel | None:
        """What was written down about a name."""
        if name not in self._known:
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
