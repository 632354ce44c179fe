"""Filling an empty database with the demonstration, and taking it away again."""

import secrets
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from flask import current_app
from flask_sqlalchemy.session import Session
from sqlalchemy import Integer, Select, cast, delete, func, select, text, update
from sqlalchemy.orm import scoped_session

from ml.bundle import load_bundle
from ml.screen import Screener
from webapp import audit, clock
from webapp.account.passwords import hash_password
from webapp.config import Config
from webapp.database import write_transaction
from webapp.demo.answers import answer_pictures
from webapp.demo.bundles import RECIPES, train_bundle
from webapp.demo.history import Model, make_rows
from webapp.demo.pictures import draw_pictures
from webapp.demo.reviewing import review_all
from webapp.extensions import db
from webapp.models.daily import DailyFigures
from webapp.models.demo import DemoEntry
from webapp.models.review import APPEND_ONLY, Review
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.user import Role, User
from webapp.photos import get_photos

ACCOUNTS = {
    "demo-admin": Role.ADMIN,
    "demo-reviewer": Role.REVIEWER,
    "demo-second-reviewer": Role.REVIEWER,
    "demo-viewer": Role.VIEWER,
}
WORKERS = 2
SEED = 7


class NotEmpty(Exception):
    """There is something in the database already."""


def is_empty() -> bool:
    """Whether nobody has an account and nothing was ever uploaded."""
    return not any(db.session.scalar(select(table.id).limit(1)) for table in (ScreeningRow, User, DemoEntry))


def fill(tell: Callable[[str], None]) -> dict[str, str]:
    """Fill the database and the folders beside it; returns the passwords of the accounts by name.

    Raises NotEmpty where there is anything already. What is made is entered in `demo_entries` in the same transaction.
    """
    if not is_empty():
        raise NotEmpty
    models = _config().models
    tell("Training two tiny models and drawing pictures ...")
    # Started anew rather than forked: this process may hold threads and locks.
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        training = [pool.submit(train_bundle, recipe, models) for recipe in RECIPES]
        pictures = draw_pictures(pool)
        folders = [one.result() for one in training]
    tell(f"Answering {len(pictures)} pictures with both ...")
    store, rng, now = get_photos(), np.random.default_rng(SEED), clock.now()
    screeners = [Screener(load_bundle(folder)) for folder in folders]
    answered = [Model(screener, answer_pictures(screener, pictures, store)) for screener in screeners]
    tell("Writing some months of history ...")
    rows = make_rows(answered[0], answered[1], now, store, rng)
    passwords = {name: secrets.token_urlsafe(12) for name in ACCOUNTS}
    with write_transaction() as session:
        users = [
            User(name=name, password_hash=hash_password(passwords[name]), role=role, created_at=rows[0][0].created_at)
            for name, role in ACCOUNTS.items()
        ]
        session.add_all([*users, *(row for row, _code in rows)])
        session.flush()
        admin, first, second, _viewer = users
        session.add_all(review_all(rows, first, second, admin, now, rng))
        _enter(session, "user", (user.id for user in users))
        _enter(session, "screening", (row.id for row, _code in rows))
        _enter(session, "bundle", (str(folder.relative_to(models)) for folder in folders))
        _enter(session, "photo", (one.name for model in answered for one in model.answered))
        audit.record("demo.fill", "demo", screenings=len(rows), accounts=len(users))
    return passwords


def remove() -> int:
    """Take away everything that `fill` has made, and what was added to it since; returns how many screenings that were.

    An account that reviewed anything else stays, switched off. The audit log keeps its entries, as ever.
    """
    screenings = [int(key) for key in _entered("screening")]
    users = [int(key) for key in _entered("user")]
    names = db.session.scalars(select(PhotoRow.name).where(PhotoRow.screening_id.in_(_demo_ids()))).all()
    bundles = _entered("bundle")
    names = [*names, *_entered("photo")]
    with write_transaction() as session:
        _allow_deleting(session)
        for table in (Review, SecondAnswer, PhotoRow):
            session.execute(delete(table).where(table.screening_id.in_(_demo_ids())))
        session.execute(delete(ScreeningRow).where(ScreeningRow.id.in_(_demo_ids())))
        _forbid_deleting(session)
        busy = set(session.scalars(select(Review.reviewer_id).where(Review.reviewer_id.in_(users))))
        session.execute(update(User).where(User.id.in_(busy)).values(active=False))
        session.execute(delete(User).where(User.id.in_(set(users) - busy)))
        session.execute(delete(DailyFigures))  # what remains is counted anew
        session.execute(delete(DemoEntry))
        audit.record("demo.remove", "demo", screenings=len(screenings), accounts=len(users))
    for name in names:
        get_photos().delete(name)
    for bundle in bundles:
        folder = _config().models / bundle
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    return len(screenings)


def demo_size() -> int:
    """How many things of the demonstration there are."""
    return db.session.scalar(select(func.count()).select_from(DemoEntry)) or 0


def _demo_ids() -> Select[int]:
    return select(cast(DemoEntry.key, Integer)).where(DemoEntry.kind == "screening")


def _entered(kind: str) -> list[str]:
    return list(db.session.scalars(select(DemoEntry.key).where(DemoEntry.kind == kind)))


def _enter(session: scoped_session[Session], kind: str, keys: Iterable[object]) -> None:
    session.add_all(DemoEntry(kind=kind, key=str(key)) for key in keys)


def _allow_deleting(session: scoped_session[Session]) -> None:
    """Reviews are never deleted: the database itself refuses it. Those of the demonstration are nobody's."""
    if session.connection().dialect.name == "sqlite":
        session.execute(text("DROP TRIGGER reviews_never_deleted"))
    else:
        session.execute(text("ALTER TABLE reviews DISABLE TRIGGER reviews_append_only"))


def _forbid_deleting(session: scoped_session[Session]) -> None:
    if session.connection().dialect.name == "sqlite":
        session.execute(text(APPEND_ONLY["sqlite"][0]))
    else:
        session.execute(text("ALTER TABLE reviews ENABLE TRIGGER reviews_append_only"))


def _config() -> Config:
    config: Config = current_app.config["LENS"]
    return config
