"""Many at once: counted before, done in one go, undone without overwriting anything."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.event import listen
from werkzeug.test import TestResponse

from tests.webapp.forms import form_token
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.models.review import Review, ReviewStatus
from webapp.models.screening import ScreeningRow
from webapp.models.user import User
from webapp.reviews import bulk
from webapp.reviews.bulk import MOST, bulks, plan
from webapp.reviews.writing import Draft, add_review
from webapp.screening.erasing import erase

Rows = Callable[[], Sequence[ScreeningRow]]


@pytest.fixture
def three(upload: Callable[..., TestResponse], photo: Callable[..., bytes], rows: Rows) -> list[int]:
    """Three answered screenings."""
    for number, code in enumerate(("mel", "nv", "bkl")):
        upload(photo(code, number))
    return [row.id for row in rows()]


def send(client: FlaskClient, path: str, **fields: object) -> TestResponse:
    return client.post(f"/admin/bulk{path}", data={"csrf_token": form_token(client, "/"), **fields})


def hidden(page: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', page)
    assert found
    return found.group(1)


def states(rows: Rows) -> list[str]:
    return [row.review_status for row in rows()]


def test_counted_done_and_undone(admin: FlaskClient, three: list[int], rows: Rows, app: Flask) -> None:
    with app.app_context():
        anna = db.session.scalars(select(User)).one()
        add_review(three[0], anna, Draft(ReviewStatus.SUBMITTED, "_other"), seen=0)
        erase(three[2])
    page = send(admin, "", action="confirm", id=[str(number) for number in three]).text
    assert "Confirm 2 screenings?" in page
    assert "1 more is passed over" in page
    done = send(admin, "/do", action="confirm", ids=hidden(page, "ids"), seen=hidden(page, "seen"))
    assert done.status_code == 303
    place = done.headers["Location"].removeprefix("/admin/bulk")
    assert "2 screenings confirmed" in admin.get(f"/admin/bulk{place}").text
    confirmed = rows()[:2]
    assert [row.reviewed_class for row in confirmed] == [row.predicted for row in confirmed]
    assert send(admin, f"{place}/undo").status_code == 303
    assert states(rows) == ["submitted", "pending", "pending"]
    assert rows()[0].reviewed_class == "_other", "what was said before counts again"
    assert send(admin, f"{place}/undo").status_code == 303  # twice undoes nothing more
    with app.app_context():
        assert len(db.session.scalars(select(Review)).all()) == 5
    assert "2 of them are undone" in admin.get(f"/admin/bulk{place}").text
    assert place.strip("/") in admin.get("/admin/bulk").text


def test_exports_tell_of_the_reviews_that_count(
    admin: FlaskClient, three: list[int], app: Flask, add_user: Callable[..., User]
) -> None:
    """Not of those that a bulk action made and its undoing cancelled, nor of what was taken back or replaced."""
    ben = add_user("ben")

    def told(number: int) -> tuple[int, str | None, str | None]:
        lines = [json.loads(line) for line in admin.get("/admin/export.jsonl?sort=oldest").text.splitlines()]
        one = lines[number]
        return one["reviews"], one["reviewer"], one["review_label"]

    def say(number: int, seen: int, *arguments: Any, **options: Any) -> int:
        with app.app_context():
            who = db.session.merge(ben)
            return add_review(three[number], who, Draft(*arguments, **options), seen=seen).id

    first = say(0, 0, ReviewStatus.SUBMITTED, "_other")
    page = send(admin, "", action="confirm", id=[str(number) for number in three]).text
    done = send(admin, "/do", action="confirm", ids=hidden(page, "ids"), seen=hidden(page, "seen"))
    assert told(0)[:2] == (2, "anna")
    assert told(1)[:2] == (1, "anna")
    place = done.headers["Location"].removeprefix("/admin/bulk")
    send(admin, f"{place.partition('?')[0]}/undo")
    assert told(0) == (1, "ben", "_other")
    assert told(1) == (0, None, None)
    with app.app_context():
        seen = db.session.scalar(select(func.max(Review.id)).where(Review.screening_id == three[0]))
    assert seen
    assert seen > first
    say(0, say(0, seen, ReviewStatus.SUBMITTED, "mel", "changed my mind"), ReviewStatus.PENDING)
    assert told(0) == (0, None, None)


def test_the_way_back_keeps_the_filters(admin: FlaskClient, three: list[int]) -> None:
    """Through the count, the doing and the undoing; and never to another site."""
    link, filters = 'href="/admin/history?review=pending"', "/admin/history?review=pending"
    page = send(admin, "", action="confirm", id=str(three[0]), back=filters).text
    assert link in page
    fields = {name: hidden(page, name) for name in ("action", "ids", "seen", "back")}
    done = send(admin, "/do", **fields)
    shown = admin.get(done.headers["Location"]).text
    assert link in shown
    place = done.headers["Location"].removeprefix("/admin/bulk").partition("?")[0]
    undone = send(admin, f"{place}/undo", back=hidden(shown, "back"))
    assert link in admin.get(undone.headers["Location"]).text
    again = send(admin, "/do", **fields | {"seen": "0", "back": "https://elsewhere.example/"})
    assert "elsewhere" not in again.headers.get("Location", "") + again.text


def test_what_somebody_else_reviewed_since_is_left_alone(
    admin: FlaskClient, three: list[int], rows: Rows, app: Flask, add_user: Callable[..., User]
) -> None:
    page = send(admin, "", action="discard", all="y", filters="").text
    assert "Discard 3 screenings?" in page
    ben = add_user("ben")
    with app.app_context():
        ben = db.session.merge(ben)
        add_review(three[1], ben, Draft(ReviewStatus.SUBMITTED, "_cannot_tell"), seen=0)
    done = send(admin, "/do", action="discard", ids=hidden(page, "ids"), seen=hidden(page, "seen"))
    assert "1 was left alone" in admin.get(done.headers["Location"]).text
    assert states(rows) == ["discarded", "submitted", "discarded"]


def test_all_that_fit_the_filters(admin: FlaskClient, three: list[int], rows: Rows) -> None:
    named = rows()[0].predicted
    count = sum(row.predicted == named for row in rows())
    page = send(admin, "", action="discard", all="y", filters=f"predicted={named}").text
    assert len(hidden(page, "ids").split(",")) == count


def test_marked_as_to_be_reviewed_by_an_admin_opens_cases_again(
    admin: FlaskClient, three: list[int], rows: Rows, app: Flask, add_user: Callable[..., User]
) -> None:
    ben = add_user("ben")
    with app.app_context():
        add_review(three[0], db.session.merge(ben), Draft(ReviewStatus.DISCARDED), seen=0)
    page = send(admin, "", action="pending", id=[str(three[0])]).text
    send(admin, "/do", action="pending", ids=hidden(page, "ids"), seen=hidden(page, "seen"))
    assert states(rows)[0] == "pending"


def test_the_list_has_the_newest_actions_and_looks_at_no_others(
    admin: FlaskClient, three: list[int], app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for number in (0, 1, 2, 0):
        page = send(admin, "", action="discard", id=str(three[number])).text
        done = send(admin, "/do", action="discard", ids=hidden(page, "ids"), seen=hidden(page, "seen"))
        made.append(done.headers["Location"].removeprefix("/admin/bulk/").partition("?")[0])
    send(admin, f"/{made[-1]}/undo")
    monkeypatch.setattr(bulk, "MOST", 1)  # as many reviews as the newest actions have together
    with app.app_context():
        assert [(one.bulk, one.count, one.undone) for one in bulks(2)] == [(made[3], 1, 1), (made[2], 1, 0)]
        assert [one.bulk for one in bulks(bulk=made[0])] == [made[0]]
        asked: list[tuple[str, Any]] = []
        listen(db.engine, "before_cursor_execute", lambda _c, _r, said, given, _x, _m: asked.append((said, given)))
        bulks()
        of_reviews = [one for one in asked if "reviews" in one[0]]
        assert of_reviews
        for said, given in of_reviews:
            steps = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", given).all()
            assert all(
                "USING INDEX ix_reviews_bulk " in step[3] or "INDEX ix_reviews_newest_bulk" in step[3]
                for step in steps if step[3].startswith(("SCAN reviews", "SEARCH reviews"))
            ), steps  # fmt: skip


def test_nothing_ticked_and_too_many(admin: FlaskClient, three: list[int], app: Flask) -> None:
    assert "Nothing to do" in send(admin, "", action="confirm").text
    assert send(admin, "", action="burn").status_code == 400
    assert send(admin, "/do", action="confirm", ids="", seen="0").status_code == 400
    too_many = ",".join(str(number) for number in range(1, MOST + 2))
    assert send(admin, "/do", action="confirm", ids=too_many, seen="0").status_code == 400
    with app.app_context():
        with write_transaction() as session:
            session.execute(update(ScreeningRow).where(ScreeningRow.id == three[0]).values(predicted=None))
        assert plan("confirm", three).ids == tuple(three[1:])
