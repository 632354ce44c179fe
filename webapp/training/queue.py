"""The queue of long work: put in, stopped and put back by people, taken and told of by `flask trainer`.

Other features queue their own kind of work here: `enqueue(Kind.PROMOTION, ...)` puts a row in, `flask trainer` runs the
command that webapp.training.commands makes of it in a child process, and the row tells its state, its log and, where
it failed, one sentence. What the command computes it keeps itself (in a table or a file of its own).

Of each kind one run at a time is active, in the whole installation; a unique index holds that. A trainer that has
taken a run has its lease: it says so every few seconds, and a lease that has not been renewed for LEASE_SECONDS may be
taken over by another trainer.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import CursorResult, Select, Update, or_, select, update
from sqlalchemy.exc import IntegrityError

from webapp import clock
from webapp.audit import record
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.training_run import Kind, RunState, TrainingRun

LEASE_SECONDS = 60
"""After this long without a heartbeat a run counts as left behind by its trainer."""

NOUNS = {Kind.TRAIN: "training", Kind.PROMOTION: "promotion"}
"""What the audit log calls each kind of run: "training.start", "promotion.stop"."""

ACTIVE = (RunState.RUNNING, RunState.STOPPING)
WAITING = (RunState.QUEUED, RunState.INTERRUPTED)


def enqueue(
    kind: Kind,
    *,
    label_set: str,
    name: str,
    options: dict[str, Any],
    requested_by: str,
    data: str | None = None,
    epochs: int = 0,
) -> int:
    """Put a run at the end of the queue; returns its id. `name` is the bundle that it makes or is about."""
    row = TrainingRun(
        kind=kind,
        label_set=label_set,
        name=name,
        data=data,
        options=options,
        requested_by=requested_by,
        epochs=epochs,
        created_at=clock.now(),
    )
    with write_transaction() as session:
        session.add(row)
        session.flush()
        record(f"{NOUNS[kind]}.start", f"training-run:{row.id}", model=name, label_set=label_set, data=data, **options)
        return row.id


def read(run_id: int) -> TrainingRun:
    """A run as the database has it now. Raises NoResultFound where there is none."""
    return db.session.scalars(
        select(TrainingRun).where(TrainingRun.id == run_id).execution_options(populate_existing=True)
    ).one()


def request_stop(run_id: int) -> bool:
    """Ask for the end of a run: a waiting one is stopped at once, an active one ends as soon as it can. False where
    there was nothing to stop."""
    with write_transaction():
        waiting = _change(
            update(TrainingRun)
            .where(TrainingRun.id == run_id, TrainingRun.state.in_(WAITING))
            .values(state=RunState.STOPPED, finished_at=clock.now())
        )
        running = _change(
            update(TrainingRun)
            .where(TrainingRun.id == run_id, TrainingRun.state == RunState.RUNNING)
            .values(state=RunState.STOPPING)
        )
        if waiting or running:
            record(f"{NOUNS[Kind(read(run_id).kind)]}.stop", f"training-run:{run_id}")
        return bool(waiting or running)


def put_back(run_id: int) -> bool:
    """Queue a stopped or failed run again, to go on from where it stands. False where it is neither."""
    with write_transaction():
        back = _change(
            update(TrainingRun)
            .where(TrainingRun.id == run_id, TrainingRun.state.in_((RunState.STOPPED, RunState.FAILED)))
            .values(state=RunState.QUEUED, error=None, finished_at=None, attempts=0, lease=None)
        )
        if back:
            record(f"{NOUNS[Kind(read(run_id).kind)]}.restart", f"training-run:{run_id}")
        return bool(back)


def claim(kind: Kind, lease: str) -> TrainingRun | None:
    """Take the run of a kind that has waited longest, or one that its trainer has left behind; None where there is
    none, or another trainer is at work on one."""
    left_behind = or_(
        TrainingRun.heartbeat_at.is_(None),
        TrainingRun.heartbeat_at < clock.now() - timedelta(seconds=LEASE_SECONDS),
    )
    abandoned = select(TrainingRun).where(TrainingRun.state.in_(ACTIVE), left_behind)
    waiting = select(TrainingRun).where(TrainingRun.state.in_(WAITING))
    for question in (abandoned, waiting):
        taken = _take(question.where(TrainingRun.kind == kind), lease)
        if taken is not None:
            return taken
    return None


def _take(question: Select[TrainingRun], lease: str) -> TrainingRun | None:
    found = db.session.scalar(question.order_by(TrainingRun.id).limit(1))
    if found is None:
        db.session.commit()
        return None
    run_id, state, unchanged = found.id, found.state, TrainingRun.lease.is_not_distinct_from(found.lease)
    now = clock.now()
    try:
        with write_transaction():
            taken = _change(
                update(TrainingRun)
                .where(TrainingRun.id == run_id, TrainingRun.state == state, unchanged)
                .values(
                    state=RunState.STOPPING if state == RunState.STOPPING else RunState.RUNNING,
                    lease=lease,
                    heartbeat_at=now,
                    started_at=found.started_at or now,
                    attempts=TrainingRun.attempts + 1,
                    error=None,
                )
            )
    except IntegrityError:  # another trainer was first with a run of this kind
        return None
    return db.session.get(TrainingRun, run_id, populate_existing=True) if taken else None


def tell(run_id: int, lease: str, **values: Any) -> str | None:
    """Renew the lease of an active run and write what is new of it; returns its state, None where the lease is lost."""
    with write_transaction() as session:
        kept = _change(_own(run_id, lease).values(heartbeat_at=clock.now(), **values))
        return session.scalar(select(TrainingRun.state).where(TrainingRun.id == run_id)) if kept else None


def release(run_id: int, lease: str, state: RunState, **values: Any) -> bool:
    """End the work on a run and give its lease back. False where the lease was lost before."""
    if state not in WAITING:
        values["finished_at"] = clock.now()
    with write_transaction():
        return bool(_change(_own(run_id, lease).values(state=state, lease=None, heartbeat_at=None, **values)))


def _own(run_id: int, lease: str) -> Update:
    return update(TrainingRun).where(
        TrainingRun.id == run_id, TrainingRun.lease == lease, TrainingRun.state.in_(ACTIVE)
    )


def _change(statement: Update) -> int:
    """Run an update inside the current write transaction; how many rows it changed."""
    result: CursorResult[Any] = db.session.execute(statement.execution_options(synchronize_session=False))  # type: ignore[assignment]
    return result.rowcount
