"""The benchmark of the history on a small one: what is seeded is what the rules make of it, and all is measured."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from benchmarks.history import PAGES, drain, measure, signed_in
from benchmarks.seed_history import fill
from webapp.config import Config
from webapp.extensions import db
from webapp.models.review import Review
from webapp.models.screening import ScreeningRow
from webapp.reviews.rules import standing

ROWS = 1500


@pytest.fixture
def app(tmp_path: Path, make_app: Callable[[Config], Flask]) -> Flask:
    """An application without a model, with a seeded history."""
    app = make_app(Config(instance=tmp_path / "instance", secret_key="for tests only", testing=True))
    with app.app_context():
        fill(ROWS)
    return app


def test_the_reviews_amount_to_what_the_screenings_say(app: Flask) -> None:
    with app.app_context():
        reviews: dict[int, list[Review]] = {}
        for review in db.session.scalars(select(Review).order_by(Review.id)):
            reviews.setdefault(review.screening_id, []).append(review)
        rows = list(db.session.scalars(select(ScreeningRow)))
        assert {row.review_status for row in rows} >= {"pending", "submitted", "disputed", "discarded"}
        for row in rows:
            found = standing(reviews.get(row.id, []))
            assert (row.review_status, row.reviewed_class) == (found.status, found.label), row.id


def test_everything_is_measured(app: Flask) -> None:
    rows = measure(app, 1)
    found = {row["page"]: row["found"] for row in rows}
    assert set(found) > set(PAGES)
    assert (found["the address of a result"], found["a screening's number"]) == ("1", "1")
    assert "a case, with its neighbours in a queue" in found
    whole = drain(signed_in(app), "/admin/export.jsonl")
    assert whole["rows"] == ROWS
    assert whole["mib"] > 0
