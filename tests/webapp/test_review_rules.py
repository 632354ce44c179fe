"""What the reviews of a screening amount to: agreement, dispute, decision, undo; and a table that only grows."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError

from webapp import create_app
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.review import Review
from webapp.models.screening import ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.user import Role, User
from webapp.reviews.rules import may_adjudicate, standing
from webapp.screening.erasing import erase

ANNA, BEN, CARA = 1, 2, 3
Say = Callable[..., Review]


@pytest.fixture
def say() -> Say:
    """Makes reviews with rising ids: `say(ANNA, "mel")`, `say(BEN, status="discarded")`."""
    numbers = count(1)

    def make(
        who: int, label: str | None = None, *, status: str = "submitted", adjudicates: bool = False,
        undoes: int | None = None,
    ) -> Review:  # fmt: skip
        return Review(
            id=next(numbers), reviewer_id=who, label=label, status=status, adjudicates=adjudicates, undoes=undoes
        )

    return make


def outcome(*reviews: Review) -> tuple[str, str | None]:
    found = standing(reviews)
    return found.status, found.label


def test_one_reviewer(say: Say) -> None:
    assert outcome() == ("pending", None)
    draft = say(ANNA, "mel", status="draft")
    assert outcome(draft) == ("draft", None)
    submitted = say(ANNA, "mel")
    assert outcome(draft, submitted) == ("submitted", "mel")
    assert outcome(draft, submitted, say(ANNA, "nv")) == ("submitted", "nv")
    assert outcome(submitted, say(ANNA, "nv", status="draft")) == ("submitted", "mel"), "a draft takes nothing back"
    assert outcome(submitted, say(ANNA, status="pending")) == ("pending", None)
    assert outcome(submitted, say(ANNA, status="discarded")) == ("discarded", None)


def test_two_who_agree_and_two_who_do_not(say: Say) -> None:
    first, second, third = say(ANNA, "mel"), say(BEN, "mel"), say(BEN, "nv")
    assert outcome(first, second) == ("submitted", "mel")
    assert outcome(first, second, third) == ("disputed", None)
    assert outcome(first, say(BEN, status="discarded")) == ("disputed", None)
    assert outcome(first, third, say(BEN, "mel")) == ("submitted", "mel"), "whoever changes their mind ends the dispute"


def test_an_adjudicator_decides_and_later_reviews_do_not_overturn_it(say: Say) -> None:
    dispute = [say(ANNA, "mel"), say(BEN, "nv")]
    decided = [*dispute, say(CARA, "bkl", adjudicates=True)]
    assert outcome(*decided) == ("submitted", "bkl")
    later = [*decided, say(ANNA, "mel")]
    assert outcome(*later) == ("submitted", "bkl")
    assert [one.reviewer_id for one in standing(later).dissent] == [ANNA]
    anew = [*later, say(BEN, "mel", adjudicates=True)]
    assert outcome(*anew) == ("submitted", "mel")
    assert outcome(*decided, say(CARA, status="pending")) == ("disputed", None), "the adjudicator took it back"
    assert outcome(*decided, say(BEN, status="pending", adjudicates=True)) == ("pending", None), "opened again"


def test_undone_reviews_count_as_never_made(say: Say) -> None:
    first, bulk = say(ANNA, "mel"), say(ANNA, "nv")
    assert outcome(first, bulk, say(ANNA, status="pending", undoes=bulk.id)) == ("submitted", "mel")
    opened = say(BEN, status="pending", adjudicates=True)
    assert outcome(first, opened) == ("pending", None)
    assert outcome(first, opened, say(BEN, status="pending", undoes=opened.id)) == ("submitted", "mel")


def test_who_may_adjudicate(say: Say) -> None:
    anna, ben, cara = (User(id=number, role=Role.REVIEWER) for number in (ANNA, BEN, CARA))
    admin, viewer = User(id=9, role=Role.ADMIN), User(id=8, role=Role.VIEWER)
    agreed = standing([say(ANNA, "mel"), say(BEN, "mel")])
    assert not may_adjudicate(agreed, admin), "there is nothing to decide"
    reviews = [say(ANNA, "mel"), say(BEN, "nv")]
    disputed = standing(reviews)
    assert [may_adjudicate(disputed, user) for user in (anna, ben, cara, admin, viewer)] == [0, 0, 1, 1, 0]
    decided = standing([*reviews, say(CARA, "nv", adjudicates=True)])
    assert [may_adjudicate(decided, user) for user in (anna, ben, cara, admin, viewer)] == [0, 0, 1, 1, 0]


def test_taking_a_review_back_makes_nobody_an_adjudicator(say: Say) -> None:
    anna, cara, admin = (
        User(id=ANNA, role=Role.REVIEWER),
        User(id=CARA, role=Role.REVIEWER),
        User(id=9, role=Role.ADMIN),
    )
    reviews = [say(ANNA, "mel"), say(BEN, "nv"), say(CARA, "bkl")]
    bulk = reviews[-1]
    for back in (say(CARA, status="pending"), say(CARA, status="pending", undoes=bulk.id)):
        found = standing([*reviews, back])
        assert found.status == "disputed"
        assert [may_adjudicate(found, user) for user in (anna, cara, admin)] == [0, 0, 1]
    opened = [*reviews, say(9, status="pending", adjudicates=True), say(ANNA, "mel"), say(BEN, "nv")]
    assert may_adjudicate(standing(opened), cara), "the case was opened again for all"
    draft = [say(ANNA, "mel"), say(BEN, "nv"), say(CARA, "bkl", status="draft")]
    assert may_adjudicate(standing(draft), cara), "a draft takes no side"


@pytest.fixture
def kept(app: Flask, add_user: Callable[..., User]) -> Iterator[Review]:
    """A review with a note, of a screening that another model has answered, too."""
    user = add_user()
    now = datetime.now(UTC)
    with app.app_context():
        with write_transaction() as session:
            row = ScreeningRow(token_hash="0" * 64, channel="web", language="en", created_at=now, state="done")
            session.add(row)
            session.flush()
            session.add(
                SecondAnswer(
                    screening_id=row.id,
                    purpose="rescore",
                    model_name="other",
                    model_version="1",
                    answer={},
                    created_at=now,
                )
            )
            review = Review(
                screening_id=row.id, reviewer_id=user.id, status="submitted", label="mel", note="a name", created_at=now
            )
            session.add(review)
        yield review


@pytest.mark.parametrize(
    "values", [{"label": "nv"}, {"note": None}, {"status": "pending"}, {"label": None, "note": None}]
)
def test_the_database_refuses_changes(kept: Review, values: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="never changed"), write_transaction() as session:
        session.execute(update(Review).values(**values))


def test_the_database_refuses_deletions(kept: Review) -> None:
    with pytest.raises(IntegrityError, match="never deleted"), write_transaction() as session:
        session.execute(delete(Review))


def test_the_database_refuses_replacements(kept: Review) -> None:
    """INSERT OR REPLACE asks no trigger on DELETE."""
    columns = ", ".join(column.name for column in Review.__table__.columns if column.name != "label")
    replace = text(f"INSERT OR REPLACE INTO reviews ({columns}, label) SELECT {columns}, 'nv' FROM reviews")  # noqa: S608
    with pytest.raises(IntegrityError, match="never changed"), write_transaction() as session:
        session.execute(replace)
    assert db.session.scalars(select(Review.label)).one() == "mel"


def test_migrations_and_tables_have_the_same_triggers(config: Config) -> None:
    """Up, down and up again, and as the tables are made without migrations."""
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'reviews'")
    config.instance.mkdir(parents=True)
    app = create_app(config)

    def triggers() -> dict[str, str]:
        with db.engine.connect() as connection:
            return {name: sql for name, sql in connection.execute(query)}

    with app.app_context():
        upgrade()
        migrated = triggers()
        downgrade(revision="0021")
        assert migrated.keys() - triggers().keys() == {"reviews_never_replaced"}
        upgrade()
        assert triggers() == migrated
        downgrade(revision="base")
        db.create_all()
        assert triggers() == migrated
        db.session.remove()
        db.engine.dispose()


def test_a_persons_deletion_erases_what_was_said_and_leaves_that_it_was(kept: Review) -> None:
    erase(kept.screening_id)
    db.session.expire_all()
    left = db.session.scalars(select(Review)).one()
    assert (left.label, left.note) == (None, None)
    assert (left.status, left.reviewer_id) == ("submitted", kept.reviewer_id)
    assert db.session.scalars(select(SecondAnswer)).all() == []
    erase(kept.screening_id)  # twice does no harm
    for values in ({"status": "pending"}, {"label": "nv"}):
        with pytest.raises(IntegrityError, match="never changed"), write_transaction() as session:
            session.execute(update(Review).values(**values))
