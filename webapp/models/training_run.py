"""Long work that waits for `flask trainer`, is done by it, or was: one row a run."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UTCDateTime

ACTIVE = text("state IN ('running', 'stopping')")


class Kind(StrEnum):
    """What a run computes. Of each kind the trainer works on one run at a time."""

    TRAIN = "train"
    PROMOTION = "promotion"


class RunState(StrEnum):
    """The life of a run: queued -> running -> done | failed; stopping -> stopped where someone asked for it; and
    interrupted where the trainer was told to end, to be taken up again at its next start."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class TrainingRun(Base):
    """One run. While it is active, `lease` names the trainer that works on it, and `heartbeat_at` is its last sign.

    `options` is what its kind needs to be started (see webapp.training.commands); `metrics` is the last row of its
    history, `progress` where it stands inside an epoch; `bundle` is what it made, NAME@VERSION; `error` is one sentence
    for a person. `attempts` counts starts since the last epoch that was finished.
    """

    __tablename__ = "training_runs"
    __table_args__ = (
        CheckConstraint("kind IN ('train', 'promotion')", name="kind"),
        CheckConstraint(
            "state IN ('queued', 'running', 'stopping', 'stopped', 'done', 'failed', 'interrupted')", name="state"
        ),
        # Whatever two trainers do at once, the database lets only one run of a kind be active.
        Index("uq_training_runs_active", "kind", unique=True, sqlite_where=ACTIVE, postgresql_where=ACTIVE),
        Index("ix_training_runs_state", "state", "id"),
        {"sqlite_autoincrement": True},  # a run's folder is named after its id
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), default=Kind.TRAIN)
    state: Mapped[str] = mapped_column(String(20), default=RunState.QUEUED)
    label_set: Mapped[str] = mapped_column(String(80))
    name: Mapped[str] = mapped_column(String(200))
    data: Mapped[str | None] = mapped_column(String(500))
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    requested_by: Mapped[str] = mapped_column(String(80))

    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    lease: Mapped[str | None] = mapped_column(String(32))
    heartbeat_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    attempts: Mapped[int] = mapped_column(default=0)

    epoch: Mapped[int] = mapped_column(default=0)
    epochs: Mapped[int] = mapped_column(default=0)
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    metrics: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    bundle: Mapped[str | None] = mapped_column(String(300))
    log_tail: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)

    @property
    def active(self) -> bool:
        """Whether a trainer works on it."""
        return self.state in (RunState.RUNNING, RunState.STOPPING)

    @property
    def waiting(self) -> bool:
        """Whether a trainer will take it up."""
        return self.state in (RunState.QUEUED, RunState.INTERRUPTED)
