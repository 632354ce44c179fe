"""Reviews on the case page: confirm, correct, dispute, decide; nobody overwrites anybody; blind means blind."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from ml.labels import load_taxonomy
from tests.times import Clock
from tests.webapp.forms import PASSWORD, form_token
from webapp.admin.case import _choices, mark_shown
from webapp.extensions import db
from webapp.models.audit import AuditEntry
from webapp.models.review import Review
from webapp.models.screening import ScreeningRow
from webapp.models.shown_answer import ShownAnswer
from webapp.models.user import Role, User
from webapp.screening.erasing import erase

Rows = Callable[[], Sequence[ScreeningRow]]
Log = Callable[..., FlaskClient]


@pytest.fixture
def log_in(app: Flask, add_user: Callable[..., User]) -> Log:
    """Makes an account and a client that is logged in with it: `log_in("ben", Role.REVIEWER)`."""

    def enter(name: str, role: Role = Role.REVIEWER) -> FlaskClient:
        add_user(name, role)
        client = app.test_client()
        fields = {"csrf_token": form_token(client, "/login"), "name": name, "password": PASSWORD}
        assert client.post("/login", data=fields).status_code == 303
        return client

    return enter


@pytest.fixture
def row(upload: Callable[..., TestResponse], photo: Callable[..., bytes], rows: Rows) -> ScreeningRow:
    """An answered screening."""
    upload(photo("mel", 1))
    return rows()[0]


def say(
    client: FlaskClient, row: ScreeningRow, action: str = "submit", seen: int | None = None, **fields: str
) -> TestResponse:
    """Send the review form as it stands on the page."""
    path = f"/admin/screenings/{row.id}"
    page = client.get(path).text
    shown = page.split('name="seen" value="')[1].split('"')[0]
    data = {"csrf_token": form_token(client, path), "action": action, "seen": shown if seen is None else str(seen)}
    return client.post(f"{path}/reviews", data={**data, **fields})


def state(rows: Rows) -> tuple[str, str | None]:
    found = rows()[0]
    return found.review_status, found.reviewed_class


def other_than(row: ScreeningRow) -> list[str]:
    return [code for code in row.probabilities or {} if code != row.predicted]


def test_draft_confirm_correct_and_take_back(log_in: Log, row: ScreeningRow, rows: Rows, app: Flask) -> None:
    ben, named = log_in("ben"), row.predicted or ""
    assert say(ben, row, "draft", label=named, note="at first sight").status_code == 303
    assert state(rows) == ("draft", None)
    assert "at first sight" in ben.get(f"/admin/screenings/{row.id}").text
    assert say(ben, row, label=named).status_code == 303
    assert state(rows) == ("submitted", named)
    say(ben, row, label=other_than(row)[0], note="a pigment network")
    assert state(rows) == ("submitted", other_than(row)[0])
    say(ben, row, label="_other")
    assert state(rows) == ("submitted", "_other")
    say(ben, row, "withdraw")
    assert state(rows) == ("pending", None)
    with app.app_context():
        made = db.session.scalars(select(Review).order_by(Review.id)).all()
        assert [one.supersedes for one in made] == [None, *(one.id for one in made[:-1])]
        assert made[2].note == "a pigment network"
        about = select(AuditEntry).where(AuditEntry.subject == f"screening:{row.id}", AuditEntry.action != "case.view")
        told = db.session.scalars(about).all()
        verbs = ["draft", "submit", "submit", "submit", "withdraw"]
        assert [one.action for one in told] == [f"review.{verb}" for verb in verbs]
        assert all(one.actor == "ben" for one in told)
        assert not any(named in str(one.details) for one in told), "the audit log outlives a deletion"


def test_answers_beside_the_classes_can_be_found_again(log_in: Log, row: ScreeningRow) -> None:
    ben = log_in("ben")
    for label in ("_other", "_no_lesion", "_cannot_tell"):
        say(ben, row, label=label)
        for asked in ("_other", "_no_lesion", "_cannot_tell", row.predicted):
            found = ben.get(f"/admin/history?reviewed={asked}").text.count("data-id=")
            assert found == (asked == label), (asked, label)


def test_two_disagree_and_a_third_decides(log_in: Log, row: ScreeningRow, rows: Rows) -> None:
    ben, cara, dora = log_in("ben"), log_in("cara"), log_in("dora")
    first, second, third = (row.predicted or "", *other_than(row)[:2])
    say(ben, row, label=first)
    say(cara, row, label=second)
    assert state(rows) == ("disputed", None)
    page = ben.get(f"/admin/screenings/{row.id}").text
    assert "Reviewers disagree" in page
    assert 'name="decide"' not in page
    assert say(ben, row, label=first, decide="y").status_code == 409
    assert state(rows) == ("disputed", None)
    assert 'name="decide"' in dora.get(f"/admin/screenings/{row.id}").text
    assert say(dora, row, label=third, decide="y").status_code == 303
    assert state(rows) == ("submitted", third)
    assert "kept beside the decision" in ben.get(f"/admin/screenings/{row.id}").text
    say(ben, row, label=second)
    assert state(rows) == ("submitted", third)
    assert "Differing opinions after the decision: 1" in dora.get(f"/admin/screenings/{row.id}").text
    admin = log_in("anna", Role.ADMIN)
    assert say(admin, row, label=second, decide="y").status_code == 303
    assert state(rows) == ("submitted", second)
    assert say(admin, row, "reopen").status_code == 303
    assert state(rows) == ("pending", None)


def test_whoever_comes_second_is_told_and_keeps_what_was_typed(log_in: Log, row: ScreeningRow, rows: Rows) -> None:
    ben, cara = log_in("ben"), log_in("cara")
    say(ben, row, label=row.predicted or "")
    late = say(cara, row, seen=0, label=other_than(row)[0], note="a network at the rim")
    assert late.status_code == 409
    assert "Somebody else reviewed this screening" in late.text
    assert "a network at the rim" in late.text
    assert f'value="{other_than(row)[0]}" data-key' in late.text
    assert state(rows) == ("submitted", row.predicted)
    with cara.application.app_context():
        assert len(db.session.scalars(select(Review)).all()) == 1


def test_a_review_that_lands_while_the_page_is_made_is_all_there_or_not_there_at_all(
    log_in: Log, row: ScreeningRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben, cara = log_in("ben"), log_in("cara")

    def overtaken(shown: ScreeningRow) -> None:
        monkeypatch.undo()
        mark_shown(shown)
        say(ben, row, label=row.predicted or "")

    monkeypatch.setattr("webapp.admin.case.mark_shown", overtaken)
    page = cara.get(f"/admin/screenings/{row.id}").text
    seen = int(page.split('name="seen" value="')[1].split('"')[0])
    assert f'data-review="{"submitted" if seen else "pending"}"' in page


def test_who_opened_a_case_is_recorded_once_an_hour(log_in: Log, row: ScreeningRow, app: Flask, clock: Clock) -> None:
    ben, path = log_in("ben", Role.VIEWER), f"/admin/screenings/{row.id}"

    def views() -> list[tuple[str, str]]:
        found = select(AuditEntry).where(AuditEntry.action == "case.view").order_by(AuditEntry.id)
        with app.app_context():
            return [(entry.actor, entry.subject) for entry in db.session.scalars(found)]

    assert "case.view" not in ben.get(path).text + ben.get(path).text
    assert views() == [("ben", f"screening:{row.id}")]
    log_in("cara").get(path)
    for _ in range(3):  # a log-in that rests for half an hour ends
        clock.forward(minutes=20)
        ben.get(path)
    assert [name for name, _ in views()] == ["ben", "cara", "ben"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "No class was chosen"),
        ({"label": "measles"}, "not in the label set"),
        ({"label": "_other", "note": "x" * 5000}, "too long"),
        ({"action": "reopen"}, "Only an administrator"),
    ],
)
def test_what_cannot_be_stored(
    log_in: Log, row: ScreeningRow, rows: Rows, fields: dict[str, Any], sentence: str
) -> None:
    refused = say(log_in("ben"), row, **fields)
    assert refused.status_code == 409
    assert sentence in refused.text
    assert state(rows) == ("pending", None)


def test_a_deleted_screening_cannot_be_reviewed_and_its_notes_are_gone(
    log_in: Log, row: ScreeningRow, rows: Rows, app: Flask
) -> None:
    ben = log_in("ben")
    say(ben, row, label=row.predicted or "", note="scar on the left")
    path = f"/admin/screenings/{row.id}"
    fields = {"csrf_token": form_token(ben, path), "action": "submit", "seen": "1", "label": row.predicted or ""}
    with app.app_context():
        erase(row.id)
    late = ben.post(f"{path}/reviews", data=fields)
    assert late.status_code == 409
    assert "deleted meanwhile" in late.text
    assert "scar on the left" not in late.text
    assert state(rows) == ("pending", None)


def test_ten_classes_have_a_number_each(app: Flask, row: ScreeningRow) -> None:
    """The answers beside them take none of the numbers, however many classes there are."""
    known = load_taxonomy("ham10000")
    for count in (7, 8, 10, 12):
        classes = tuple(replace(known.labels[0], code=f"c{number}") for number in range(count))
        with app.test_request_context():
            choices = _choices(row, replace(known, labels=classes))
        keys = [choice.key for choice in choices]
        assert keys == [*"1234567890"[:count], *[""] * (count - 10), "o", "l", "t"]
        assert [choice.label for choice in choices[count:]] == ["_other", "_no_lesion", "_cannot_tell"]


def test_viewers_look_on(log_in: Log, row: ScreeningRow) -> None:
    viewer = log_in("vera", Role.VIEWER)
    page = viewer.get(f"/admin/screenings/{row.id}")
    assert page.status_code == 200
    assert "data-review-form" not in page.text
    fields = {"csrf_token": form_token(viewer, "/"), "action": "submit", "seen": "0", "label": "mel"}
    assert viewer.post(f"/admin/screenings/{row.id}/reviews", data=fields).status_code == 403


def test_blind_reviewers_see_no_answer_before_they_chose(log_in: Log, row: ScreeningRow, app: Flask) -> None:
    ben = log_in("ben")
    path = f"/admin/screenings/{row.id}"
    on = {"csrf_token": form_token(ben, "/"), "blind": "on", "back": path}
    assert ben.post("/admin/review-mode", data=on).headers["Location"] == path
    page = ben.get(path).text
    assert "appear once you have chosen" in page
    for told in ('data-predicted=""', 'data-status=""'):
        assert told in page
    for kept in ("choice-share", "data-confirm", "heatmap", "Malignant risk"):
        assert kept not in page
    assert ben.get(f"{path}.pdf").status_code == 404
    say(ben, row, label=row.predicted or "")
    assert f'data-predicted="{row.predicted}"' in ben.get(path).text
    cara = log_in("cara")
    cara.get(path)  # sees the answer
    cara.post("/admin/review-mode", data={"csrf_token": form_token(cara, "/"), "blind": "on"})
    say(cara, row, label=row.predicted or "")
    with app.app_context():
        assert [one.blind for one in db.session.scalars(select(Review).order_by(Review.id))] == [True, False]


def test_showing_the_answer_makes_a_review_not_blind(log_in: Log, row: ScreeningRow, app: Flask) -> None:
    ben = log_in("ben")
    ben.post("/admin/review-mode", data={"csrf_token": form_token(ben, "/"), "blind": "on"})
    shown = say(ben, row, "show", note="unsure")
    assert "choice-share" in shown.text
    assert "unsure" in shown.text
    say(ben, row, label=row.predicted or "")
    with app.app_context():
        assert db.session.scalars(select(Review)).one().blind is False


@pytest.mark.parametrize("seen_in", ["", ".pdf"])
def test_what_was_seen_at_an_earlier_log_in_is_not_hidden_again(
    add_user: Callable[..., User], row: ScreeningRow, app: Flask, seen_in: str
) -> None:
    """Neither by logging out, nor on another device; until the screening is deleted."""
    add_user("ben", Role.REVIEWER)
    add_user("cara", Role.REVIEWER)

    def enter(name: str) -> FlaskClient:
        client = app.test_client()
        fields = {"csrf_token": form_token(client, "/login"), "name": name, "password": PASSWORD}
        client.post("/login", data=fields)
        return client

    path = f"/admin/screenings/{row.id}"
    first = enter("ben")
    assert first.get(path + seen_in).status_code == 200
    first.post("/admin/review-mode", data={"csrf_token": form_token(first, "/"), "blind": "on"})
    first.post("/logout", data={"csrf_token": form_token(first, "/")})
    again = enter("ben")
    assert "appear once you have chosen" not in again.get(path).text
    say(again, row, label=row.predicted or "")
    cara = enter("cara")
    cara.post("/admin/review-mode", data={"csrf_token": form_token(cara, "/"), "blind": "on"})
    say(cara, row, label=row.predicted or "")
    with app.app_context():
        assert [one.blind for one in db.session.scalars(select(Review).order_by(Review.id))] == [False, True]
    cara.get(path)
    with app.app_context():
        assert len(db.session.scalars(select(ShownAnswer)).all()) == 2
        erase(row.id)
    cara.get(path)
    with app.app_context():
        assert db.session.scalars(select(ShownAnswer)).all() == []
