"""`flask demo`: fills an empty database, labels what it made, and takes it away; only the audit log remembers."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from tests.webapp.forms import form_token
from webapp import audit, clock
from webapp.database import write_transaction
from webapp.demo.filling import ACCOUNTS
from webapp.extensions import db
from webapp.insights.alerts import recent_alerts
from webapp.models.daily import DailyFigures
from webapp.models.demo import DemoEntry
from webapp.models.review import Review
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.models.user import User
from webapp.photos import get_photos

BANNER = "Demonstration: the pictures are drawn"


def count(table: type) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.slow
def test_demo_fills_and_removes(app: Flask, client: FlaskClient) -> None:
    filled = app.test_cli_runner().invoke(args=["demo"])
    assert filled.exit_code == 0, filled.output
    passwords = dict(re.findall(r"^  (demo-\S+)  (\S+)$", filled.output, re.MULTILINE))
    assert passwords.keys() == ACCOUNTS.keys()
    models = app.config["LENS"].models
    with app.app_context():
        rows = list(db.session.scalars(select(ScreeningRow)))
        assert 600 < len(rows) < 2000
        assert {row.channel for row in rows} == {"web", "telegram", "api"}
        assert {row.language for row in rows} == {"en", "de"}
        assert {"benign", "malignant", "refused"} <= {row.status for row in rows}
        assert {"pending", "draft", "submitted", "disputed"} <= {row.review_status for row in rows}
        assert all(row.created_at <= clock.now() for row in rows)
        assert max(row.created_at for row in rows) - min(row.created_at for row in rows) > timedelta(days=100)
        assert all(abs(sum(row.probabilities.values()) - 1) < 1e-3 for row in rows if row.probabilities)
        reviews = list(db.session.scalars(select(Review)))
        assert {review.blind for review in reviews} == {True, False}
        assert any(review.adjudicates for review in reviews)
        with app.test_request_context():
            assert recent_alerts() > 0
        photo = db.session.scalars(select(PhotoRow)).first()
        assert photo is not None
        assert get_photos().open(photo.name, small=True)
        with pytest.raises(IntegrityError, match="reviews are never deleted"), write_transaction() as session:
            session.execute(text("DELETE FROM reviews"))
    assert {path.name for path in models.iterdir()} == {"demo-champion", "demo-challenger"}

    again = app.test_cli_runner().invoke(args=["demo"])
    assert again.exit_code == 1
    assert "INSTANCE=demo" in again.output
    assert BANNER in client.get("/").text
    login = {"csrf_token": form_token(client, "/login"), "name": "demo-viewer", "password": passwords["demo-viewer"]}
    assert client.post("/login", data=login).status_code == 303
    page = client.get("/admin/insights").text
    assert BANNER in page
    assert "alert-list" in page

    removed = app.test_cli_runner().invoke(args=["demo", "--remove"])
    assert removed.exit_code == 0, removed.output
    with app.app_context():
        assert [count(table) for table in (ScreeningRow, PhotoRow, Review, User, DailyFigures, DemoEntry)] == [0] * 6
        assert not list(get_photos().folder.rglob("*.jpg"))
        assert not list(audit.faults())
        triggers = text("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'reviews_%'")
        assert db.session.scalar(triggers) == 2
    assert not list(models.iterdir())
    assert BANNER not in client.get("/").text
    assert app.test_cli_runner().invoke(args=["demo", "--remove"]).exit_code == 1
