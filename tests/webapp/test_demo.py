"""`flask demo`: fills an empty database, labels what it made, and takes it away; only the audit log remembers."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from tests.webapp.forms import form_token
from webapp import audit, clock
from webapp.database import write_transaction
from webapp.demo.entries import INVENTED, entered
from webapp.demo.filling import ACCOUNTS
from webapp.extensions import db
from webapp.insights.alerts import recent_alerts
from webapp.models.promotion import Promotion
from webapp.models.review import Review
from webapp.models.saved_view import SavedView
from webapp.models.screening import PhotoRow, ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.training_run import TrainingRun
from webapp.photos import get_photos
from webapp.promotion.standing import read_standings

BANNER = "Demonstration: the pictures are drawn"


def count(table: type) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def contents() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but for the audit log, which keeps all, with what it counts, and the counters of
    ids."""
    tables = [table for table in db.metadata.sorted_tables if not table.name.startswith("audit_")]
    return {table.name: [tuple(row) for row in db.session.execute(select(table))] for table in tables}


@pytest.mark.slow
def test_demo_fills_and_removes(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        empty = contents()
    filled = app.test_cli_runner().invoke(args=["demo", "--small"])
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
        assert count(SavedView) == 3
        actions = {row.action: row for row in db.session.scalars(select(Promotion))}
        assert actions.keys() >= {"shadow", "promote", "rollback"}
        forward = actions["promote"].numbers or {}
        assert forward["figures"]["sensitivity"]["lesions"] > 0
        assert forward["passes"] or actions["promote"].reason
        assert "refuse" not in actions or not (actions["refuse"].numbers or {})["passes"]
        assert read_standings()["ham10000"].promoted == ()
        beside = db.session.execute(
            select(ScreeningRow.predicted, SecondAnswer.answer).join(
                SecondAnswer, SecondAnswer.screening_id == ScreeningRow.id
            )
        ).all()
        assert any(row.answer["predicted"] != row.predicted for row in beside)
        assert any(row.first_look for row in rows)
        run_ids = list(db.session.scalars(select(TrainingRun.id)))
        invented = {int(key) for key in entered(INVENTED)}
        given = next(row.id for row in rows if row.status and row.deleted_at is None and row.id not in invented)
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
    assert "INSTANCE=instance/demo" in again.output
    assert BANNER in client.get("/").text
    login = {"csrf_token": form_token(client, "/login"), "name": "demo-viewer", "password": passwords["demo-viewer"]}
    assert client.post("/login", data=login).status_code == 303
    page = client.get("/admin/insights").text
    assert BANNER in page
    assert "alert-list" in page

    assert "Invented answer" in client.get(f"/admin/screenings/{min(invented)}").text
    assert "Invented answer" not in client.get(f"/admin/screenings/{given}").text
    for run_id in run_ids:
        assert "<svg" in client.get(f"/admin/training/{run_id}").text
    assert 'data-decision="promote"' in client.get("/admin/models/demo-challenger/1").text

    removed = app.test_cli_runner().invoke(args=["demo", "--remove"])
    assert removed.exit_code == 0, removed.output
    with app.app_context():
        assert contents() == empty
        assert not list(get_photos().folder.rglob("*.jpg"))
        assert not list(audit.faults())
        triggers = text("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'reviews_%'")
        assert db.session.scalar(triggers) == 3
    assert not list(models.iterdir())
    assert not any(app.config["LENS"].runs.iterdir())
    assert BANNER not in client.get("/").text
    assert app.test_cli_runner().invoke(args=["demo", "--remove"]).exit_code == 1
