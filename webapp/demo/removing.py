"""Taking the demonstration away again."""

import shutil
from collections.abc import Sequence

from flask import current_app
from flask_sqlalchemy.session import Session
from sqlalchemy import Integer, Select, and_, cast, delete, or_, select, text, update
from sqlalchemy.orm import scoped_session

from webapp import audit
from webapp.config import Config
from webapp.database import write_transaction
from webapp.demo.entries import entered
from webapp.extensions import db
from webapp.models.daily import DailyFigures
from webapp.models.demo import DemoEntry
from webapp.models.promotion import Promotion, PromotionCheck
from webapp.models.review import APPEND_ONLY, Review
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.training_run import TrainingRun
from webapp.models.user import User
from webapp.photos import get_photos
from webapp.training.commands import run_folder


def remove() -> int:
    """Take away everything that `fill` has made, and what was added to it since; returns how many screenings that were.

    An account that reviewed or re-scored anything else stays, switched off. The audit log keeps its entries, as ever.
    """
    config: Config = current_app.config["LENS"]
    screenings = [int(key) for key in entered("screening")]
    users = [int(key) for key in entered("user")]
    runs = [int(key) for key in entered("training_run")]
    bundles = entered("bundle")
    names = db.session.scalars(select(PhotoRow.name).where(PhotoRow.screening_id.in_(_demo_ids()))).all()
    names = [*names, *entered("photo")]
    with write_transaction() as session:
        _allow_deleting(session)
        for table in (Review, SecondAnswer, PhotoRow):
            session.execute(delete(table).where(table.screening_id.in_(_demo_ids())))
        session.execute(delete(ScreeningRow).where(ScreeningRow.id.in_(_demo_ids())))
        _forbid_deleting(session)
        _forget_models(session, bundles)
        session.execute(delete(TrainingRun).where(TrainingRun.id.in_(runs)))
        busy = set(session.scalars(select(Review.reviewer_id).where(Review.reviewer_id.in_(users))))
        busy |= set(session.scalars(select(SecondAnswer.by).where(SecondAnswer.by.in_(users))))
        session.execute(update(User).where(User.id.in_(busy)).values(active=False))
        session.execute(delete(User).where(User.id.in_(set(users) - busy)))  # log-ins and saved views with them
        session.execute(delete(DailyFigures))  # what remains is counted anew
        session.execute(delete(DemoEntry))
        audit.record("demo.remove", "demo", screenings=len(screenings), accounts=len(users))
    for name in names:
        get_photos().delete(name)
    for run_id in runs:
        shutil.rmtree(run_folder(config, run_id), ignore_errors=True)
    for bundle in bundles:
        folder = config.models / bundle
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    return len(screenings)


def _forget_models(session: scoped_session[Session], bundles: Sequence[str]) -> None:
    """Decisions and comparisons that the demonstration made, or anybody about its models: they are gone."""
    references = [bundle.replace("/", "@") for bundle in bundles]
    about = [
        and_(Promotion.name == name, Promotion.version == version)
        for name, _slash, version in (bundle.partition("/") for bundle in bundles)
    ]
    made = select(cast(DemoEntry.key, Integer)).where(DemoEntry.kind == "promotion")
    session.execute(delete(Promotion).where(or_(Promotion.id.in_(made), *about)))
    session.execute(
        delete(PromotionCheck).where(
            or_(PromotionCheck.champion_name.in_(references), PromotionCheck.challenger_name.in_(references))
        )
    )


def _demo_ids() -> Select[int]:
    return select(cast(DemoEntry.key, Integer)).where(DemoEntry.kind == "screening")


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
