"""The columns that the history is filtered and sorted by: filled with an answer, back-filled, erased."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import downgrade, upgrade
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from ml.screening import disagreement, uncertainty
from webapp import clock, create_app
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.screening import CaseStatus, ScreeningRow
from webapp.models.user import Role, User
from webapp.screening.erasing import erase

Rows = Callable[[], Sequence[ScreeningRow]]


def test_uncertainty_is_entropy_over_its_largest_value() -> None:
    assert uncertainty({"a": 1.0, "b": 0.0, "c": 0.0}) == 0
    assert uncertainty(dict.fromkeys("abcdefg", 1 / 7)) == pytest.approx(1)
    told = uncertainty({"a": 0.7, "b": 0.2, "c": 0.1})
    assert told == pytest.approx(-(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)) / math.log(3))
    assert uncertainty(None) is None
    assert uncertainty({"a": 1.0}) is None


def test_disagreement_is_total_variation() -> None:
    assert disagreement({"a": 0.5, "b": 0.5}, {"a": 0.5, "b": 0.5}) == 0
    assert disagreement({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}) == 1
    assert disagreement({"a": 0.9, "b": 0.1}, {"a": 0.6, "b": 0.4}) == pytest.approx(0.3)
    assert disagreement(None, {"a": 1.0}) is None
    assert disagreement({"a": 1.0}, None) is None
    assert disagreement({"a": 0.5, "b": 0.5}, {"a": 0.5, "c": 0.5}) is None


def test_answering_fills_them_and_deleting_erases_them(
    upload: Callable[..., TestResponse], photo: Callable[..., bytes], rows: Rows, app: Flask
) -> None:
    upload(photo("mel", 1))
    row = rows()[0]
    assert row.gate is not None
    assert row.gate_verdict == row.gate["verdict"]
    assert row.uncertainty == uncertainty(row.probabilities)
    assert row.disagreement == disagreement(row.probabilities, (row.first_look or {}).get("probabilities"))
    assert (row.review_status, row.reviewed_class) == (CaseStatus.PENDING, None)
    with app.app_context():
        with write_transaction() as session:
            kept = session.get_one(ScreeningRow, row.id)
            kept.review_status, kept.reviewed_class = CaseStatus.SUBMITTED, "mel"
        erase(row.id)
    gone = rows()[0]
    assert (gone.uncertainty, gone.disagreement, gone.gate_verdict, gone.reviewed_class) == (None, None, None, None)
    assert gone.review_status == CaseStatus.PENDING


def test_migration_fills_them_for_older_rows(config: Config) -> None:
    config.instance.mkdir(parents=True)
    app = create_app(config)
    answer = '{"nv": 0.9, "mel": 0.1}', '{"verdict": "usable"}', '{"probabilities": {"nv": 0.6, "mel": 0.4}}'
    refused = None, '{"verdict": "not_skin"}', None
    insert = text(
        "INSERT INTO screenings (token_hash, state, channel, language, created_at, attempts, probabilities, gate,"
        " first_look) VALUES (:hash, 'done', 'web', 'en', '2026-03-01', 1, :probabilities, :gate, :look)"
    )
    with app.app_context():
        upgrade()
        downgrade(revision="0006")
        with write_transaction() as session:
            for number, (probabilities, gate, look) in enumerate((answer, refused, (None, None, None))):
                values: dict[str, Any] = {"probabilities": probabilities, "gate": gate, "look": look}
                session.execute(insert, {"hash": f"{number:064d}", **values})
        upgrade()
        found = db.session.query(ScreeningRow).order_by(ScreeningRow.id).all()
        told = [(row.uncertainty, row.disagreement, row.gate_verdict, row.review_status) for row in found]
        db.session.commit()
        db.engine.dispose()
    assert told[0][:2] == pytest.approx((uncertainty({"nv": 0.9, "mel": 0.1}), 0.3))
    assert told[0][2:] == ("usable", "pending")
    assert told[1:] == [(None, None, "not_skin", "pending"), (None, None, None, "pending")]


def test_migration_finds_the_labels_beside_the_classes(config: Config) -> None:
    """Of cases that were agreed on before they were kept with the screening; down again they are forgotten."""
    config.instance.mkdir(parents=True)
    app = create_app(config)
    # Of each screening: who said what, whether as the adjudicator; "pending" in the adjudicator's name opens it again.
    said: dict[int, list[tuple[int, str | None, bool]]] = {
        1: [(1, "_other", False)],
        2: [(1, "mel", False), (2, "nv", False), (3, "_no_lesion", True), (1, "bkl", False)],
        3: [(1, "_other", False), (3, None, True), (2, "_cannot_tell", False), (2, "_cannot_tell", False)],
        4: [(1, "nv", False)],
    }
    with app.app_context():
        upgrade()
        downgrade(revision="0019")
        with write_transaction() as session:
            for number in (1, 2, 3):
                session.add(User(id=number, name=f"n{number}", password_hash="!", role="admin", created_at=clock.now()))
            session.flush()
            for number, reviews in said.items():
                agreed = "nv" if number == 4 else None
                session.execute(
                    text(
                        "INSERT INTO screenings (id, token_hash, state, channel, language, created_at, attempts,"
                        " review_status, reviewed_class)"
                        " VALUES (:number, :number, 'done', 'web', 'en', '2026-03-01', 1, 'submitted', :agreed)"
                    ),
                    {"number": number, "agreed": agreed},
                )
                for who, label, decides in reviews:
                    session.execute(
                        text(
                            "INSERT INTO reviews (screening_id, reviewer_id, status, label, blind, adjudicates,"
                            " created_at) VALUES (:number, :who, :status, :label, false, :decides, '2026-03-01')"
                        ),
                        {"number": number, "who": who, "status": "submitted" if label else "pending",
                         "label": label, "decides": decides},
                    )  # fmt: skip
        upgrade()
        column = select(ScreeningRow.reviewed_class).order_by(ScreeningRow.id)
        assert list(db.session.scalars(column)) == ["_other", "_no_lesion", "_cannot_tell", "nv"]
        db.session.commit()
        downgrade(revision="0019")
        assert list(db.session.scalars(column)) == [None, None, None, "nv"]
        db.session.commit()
        db.engine.dispose()


def test_the_bar_has_the_pages_of_ones_role(app: Flask, admin: FlaskClient, add_user: Callable[..., User]) -> None:
    from webapp.admin.navigation import admin_pages

    with app.test_request_context():
        from flask_login import login_user

        login_user(add_user("vera", Role.VIEWER))
        seen = [endpoint for endpoint, _title in admin_pages()]
        login_user(add_user("adam", Role.ADMIN))
        assert set(seen) <= {endpoint for endpoint, _title in admin_pages()}
    assert "admin.history" in seen
    assert not {"admin.users", "admin.audit"} & set(seen)
    assert admin.get("/admin/history").status_code == 200
