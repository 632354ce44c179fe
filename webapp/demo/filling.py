"""Filling an empty database with the demonstration."""

import secrets
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.context import BaseContext

import numpy as np
from flask import current_app
from sqlalchemy import select

from ml.preliminary import find_first_look
from ml.screening import Screening
from webapp import audit, clock
from webapp.account.passwords import hash_password
from webapp.config import Config
from webapp.database import write_transaction
from webapp.demo.answers import answer_pictures, keep_pictures
from webapp.demo.bundles import LABEL_SET, compare_bundles, train_bundle
from webapp.demo.deciding import checks, decisions, keep_curves, training_runs
from webapp.demo.entries import INVENTED, enter
from webapp.demo.history import make_rows
from webapp.demo.pictures import draw_pictures
from webapp.demo.reviewing import review_all
from webapp.demo.sizes import FULL, Size
from webapp.extensions import db
from webapp.history.filters import NEWEST, SORTS, Filters, write_queue
from webapp.models.demo import DemoEntry
from webapp.models.saved_view import SavedView
from webapp.models.screening import ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.user import Role, User
from webapp.photos import get_photos
from webapp.promotion.shadow import PURPOSE

ACCOUNTS = {
    "demo-admin": Role.ADMIN,
    "demo-reviewer": Role.REVIEWER,
    "demo-second-reviewer": Role.REVIEWER,
    "demo-viewer": Role.VIEWER,
}
VIEWS = (
    ("Telegram, not answered", Filters(status="refused", channel="telegram"), NEWEST),
    ("Malignant, not yet reviewed", Filters(status="malignant", review="pending"), SORTS["risk"]),
    ("Reviewed as melanoma", Filters(reviewed="mel"), NEWEST),
)
"""Saved views, shown to everybody."""
WORKERS = 2
SEED = 7


class NotEmpty(Exception):
    """There is something in the database already."""


def is_empty() -> bool:
    """Whether nobody has an account and nothing was ever uploaded."""
    return not any(db.session.scalar(select(table.id).limit(1)) for table in (ScreeningRow, User, DemoEntry))


def fill(tell: Callable[[str], None], size: Size = FULL) -> dict[str, str]:
    """Fill the database and the folders beside it; returns the passwords of the accounts by name.

    Raises NotEmpty where there is anything already. What is made is entered in `demo_entries` in the same transaction.
    """
    if not is_empty():
        raise NotEmpty
    config = _config()
    store, rng, now = get_photos(), np.random.default_rng(SEED), clock.now()
    tell("Training two tiny models and drawing pictures ...")
    pool = ProcessPoolExecutor(WORKERS, mp_context=_fresh_processes())
    try:
        training = [pool.submit(train_bundle, recipe, config.models) for recipe in size.recipes]
        drawing = draw_pictures(pool, size, find_first_look(LABEL_SET, config.models))
        trained = [one.result() for one in training]
        comparing = pool.submit(compare_bundles, trained[0].folder, trained[1].folder, size.compared)
        kept = keep_pictures(drawing, store)
        tell(f"Answering {len(kept)} pictures with both, and comparing them ...")
        answering = [pool.submit(answer_pictures, one.folder, kept) for one in trained]
        champion, challenger = [one.result() for one in answering]
        compared = comparing.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    tell("Writing some months of history ...")
    made = make_rows(champion, challenger, size.lesions, now, store, rng)
    passwords = {name: secrets.token_urlsafe(12) for name in ACCOUNTS}
    by = next(iter(ACCOUNTS))
    began = made[0].row.created_at
    runs = training_runs(trained, by, now)
    decided, checked = decisions(compared, trained, by, now), checks(compared, trained, by, now)
    with write_transaction() as session:
        users = [
            User(name=name, password_hash=hash_password(passwords[name]), role=role, created_at=began)
            for name, role in ACCOUNTS.items()
        ]
        session.add_all([*users, *(one.row for one in made), *runs, *decided, *checked])
        session.flush()
        admin, first, second, _viewer = users
        session.add_all(review_all([(one.row, one.code) for one in made], first, second, admin, now, rng))
        session.add_all(_shadow_answer(one.row, one.shadow) for one in made if one.shadow)
        session.add_all(
            SavedView(owner_id=first.id, name=name, query=write_queue(filters, sort), shared=True, created_at=began)
            for name, filters, sort in VIEWS
        )
        enter(session, "user", (user.id for user in users))
        enter(session, "screening", (one.row.id for one in made))
        enter(session, INVENTED, (one.row.id for one in made if one.invented and one.row.status))
        enter(session, "bundle", (str(one.folder.relative_to(config.models)) for one in trained))
        enter(session, "photo", (name for _picture, name, _sha256 in kept))
        enter(session, "training_run", (run.id for run in runs))
        enter(session, "promotion", (row.id for row in decided))
        audit.record("demo.fill", "demo", screenings=len(made), accounts=len(users))
    keep_curves(runs, trained, config)
    return passwords


def _fresh_processes() -> BaseContext:
    """Processes that are not forked from this one, which may hold threads and locks.

    On Linux they are forked from one that has loaded the numerical libraries once for all; elsewhere a library may not
    bear that.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["ml.train"])
    return context


def _shadow_answer(row: ScreeningRow, answer: Screening) -> SecondAnswer:
    return SecondAnswer(
        screening_id=row.id,
        purpose=PURPOSE,
        model_name=answer.model["name"],
        model_version=answer.model["version"],
        answer=answer.to_dict(),
        created_at=row.created_at + timedelta(seconds=4),
    )


def _config() -> Config:
    config: Config = current_app.config["LENS"]
    return config
