"""The history page: filters as chips, search, saved views by role, exports."""

import csv
import io
import json
import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from tests.webapp.forms import PASSWORD, form_token
from tests.webapp.history import NOON, random_row
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.history import export, search
from webapp.history.filters import NEWEST, Filters
from webapp.models.audit import AuditEntry
from webapp.models.review import Review
from webapp.models.saved_view import SavedView
from webapp.models.screening import ScreeningRow, token_hash
from webapp.models.user import Role, User

LogIn = Callable[[Role], FlaskClient]


@pytest.fixture
def app(tmp_path: Path, make_app: Callable[[Config], Flask]) -> Flask:
    """An application without a model, with a history of 60 rows."""
    settings = Config(
        instance=tmp_path / "instance", secret_key="for tests only", login_rate="1000 per minute", testing=True
    )
    app = make_app(settings)
    draw = random.Random(7)
    with app.app_context(), write_transaction() as session:
        session.add_all(random_row(draw, number) for number in range(60))
    return app


@pytest.fixture
def log_in(app: Flask, add_user: Callable[..., User]) -> LogIn:
    """A client that is logged in with a role; the account is called like it."""

    def enter(role: Role) -> FlaskClient:
        with app.app_context():
            if db.session.scalar(select(User.id).where(User.name == role.value)) is None:
                add_user(role.value, role)
        client = app.test_client()
        client.post(
            "/login", data={"name": role.value, "password": PASSWORD, "csrf_token": form_token(client, "/login")}
        )
        return client

    return enter


def send(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": form_token(client, "/admin/history"), **fields})


def ids(page: TestResponse) -> list[int]:
    return [int(part.split('"')[0]) for part in page.text.split('data-id="')[1:]]


def add_review(app: Flask, screening_id: int, note: str | None, label: str = "nv") -> None:
    with app.app_context(), write_transaction() as session:
        reviewer = session.scalars(select(User.id)).first()
        session.add(
            Review(screening_id=screening_id, reviewer_id=reviewer, status="submitted", label=label, note=note,
                   created_at=NOON)
        )  # fmt: skip


def test_filters_show_as_chips_that_can_be_taken_away(log_in: LogIn) -> None:
    page = log_in(Role.VIEWER).get("/admin/history?status=benign&risk_from=10&sort=risk")
    assert 'href="/admin/history?risk_from=10&amp;sort=risk"' in page.text  # without the status
    assert 'href="/admin/history?status=benign&amp;sort=risk"' in page.text
    assert "10.0%" in page.text
    assert "?queue=status%3Dbenign%26risk_from%3D10%26sort%3Drisk" in page.text
    german = log_in(Role.VIEWER).get("/admin/history?review=pending&sort=risk", headers={"Accept-Language": "de"}).text
    assert "Höchstes Risiko zuerst" in german
    assert "Highest risk" not in german


def test_every_model_that_answered_can_be_chosen(app: Flask, log_in: LogIn) -> None:
    """In the order of name and version, each once, also where names and versions sort differently."""
    answered = [("b-model", "1"), ("a-model", "3"), ("b-model", "1"), ("a-model", "1"), ("c", "0"), (None, None)]
    with app.app_context(), write_transaction() as session:
        rows = session.scalars(select(ScreeningRow).order_by(ScreeningRow.id)).all()
        for row, (name, version) in zip(rows, [*answered, *[answered[0]] * len(rows)], strict=False):
            row.model_name, row.model_version = name, version
    page = log_in(Role.VIEWER).get("/admin/history").text
    shown = re.findall(r'<option value="([^"@]+@[^"]+)"', page)
    assert shown == ["a-model@1", "a-model@3", "b-model@1", "c@0"]


def test_search_by_token_number_and_note(app: Flask, log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    client = log_in(Role.VIEWER)
    token = "a" * 43
    with app.app_context(), write_transaction() as session:
        session.execute(update(ScreeningRow).where(ScreeningRow.id == 7).values(token_hash=token_hash(token)))
    assert ids(client.get(f"/admin/history?q={token}")) == [7]
    assert ids(client.get(f"/admin/history?q=https://example.org/results/{token}")) == [7]
    assert ids(client.get("/admin/history?q=%2312")) == [12]
    for number, note in enumerate(("Blue-white veil", "100 % sure", "blue naevus", None), start=20):
        add_review(app, number, note)
    assert sorted(ids(client.get("/admin/history?q=BLUE"))) == [20, 22]
    assert ids(client.get("/admin/history?q=0+%25")) == [21]
    assert ids(client.get("/admin/history?q=%25_")) == []
    found = client.get("/admin/history?q=blue").text
    assert "The newest 10,000 notes were searched." in found
    monkeypatch.setattr(search, "NEWEST_NOTES", 2)
    assert ids(client.get("/admin/history?q=blue")) == [22]
    assert "Nothing found" in client.get("/admin/history?q=veil").text


def test_notes_of_a_deleted_screening_are_not_found(app: Flask, log_in: LogIn) -> None:
    from webapp.screening.erasing import erase

    client = log_in(Role.VIEWER)
    with app.app_context():
        number = db.session.scalars(select(ScreeningRow.id).where(ScreeningRow.deleted_at.is_(None))).first()
    assert number
    add_review(app, number, "unmistakable")
    assert ids(client.get("/admin/history?q=unmistakable")) == [number]
    with app.app_context():
        erase(number)
    assert ids(client.get("/admin/history?q=unmistakable")) == []


def test_views_that_everybody_has(log_in: LogIn) -> None:
    client = log_in(Role.VIEWER)
    for name in ("to-review", "disagreements", "disputed", "uncertain", "refused", "this-week"):
        assert client.get(f"/admin/history/views/{name}").status_code == 200
    assert client.get("/admin/history/views/nothing").status_code == 404
    assert ids(client.get("/admin/history/views/to-review")) == ids(
        client.get("/admin/history?review=pending&sort=risk")
    )


def test_saved_views_by_role(app: Flask, log_in: LogIn) -> None:
    viewer, reviewer, admin = (log_in(role) for role in (Role.VIEWER, Role.REVIEWER, Role.ADMIN))
    wanted = {"query": "status=benign&sort=risk&nonsense=1"}
    assert send(viewer, "/admin/history/views", name="mine", **wanted).status_code == 403
    kept = send(reviewer, "/admin/history/views", name="  Mine  <b> ", shared="y", **wanted)
    assert kept.status_code == 303
    with app.app_context():
        view = db.session.scalars(select(SavedView)).one()
        assert (view.name, view.query, view.shared) == ("Mine <b>", "status=benign&sort=risk", False)
    page = reviewer.get(kept.location)
    assert ids(page) == ids(reviewer.get("/admin/history?status=benign&sort=risk"))
    assert "Mine &lt;b&gt;" in page.text
    for other in (viewer, admin):
        assert other.get(kept.location).status_code == 404
        assert "Mine" not in other.get("/admin/history").text
    shared = send(admin, "/admin/history/views", name="All", shared="y", **wanted).location
    assert all(someone.get(shared).status_code == 200 for someone in (viewer, reviewer, admin))
    assert send(reviewer, f"{shared}/drop").status_code == 404
    send(reviewer, "/admin/history/views", name="Mine <b>", query="status=refused")  # replaced
    assert "status=refused" in reviewer.get(kept.location).text
    assert send(admin, f"{shared}/drop").status_code == 303
    assert send(reviewer, f"{kept.location}/drop").status_code == 303
    assert send(reviewer, "/admin/history/views", name=" ", **wanted).status_code == 400
    with app.app_context():
        assert db.session.query(SavedView).count() == 0
        assert list(db.session.scalars(select(AuditEntry.action))).count("view.share") == 1


def test_exports_are_what_the_screen_shows(app: Flask, log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH", 7)
    client = log_in(Role.REVIEWER)
    add_review(app, 30, "=HYPERLINK(1)", label="@mel")
    assert log_in(Role.VIEWER).get("/admin/export.csv").status_code == 403
    query = "model=tiny&sort=risk"
    lines = [json.loads(line) for line in client.get(f"/admin/export.jsonl?{query}").text.splitlines()]
    shown = ids(client.get(f"/admin/history?{query}"))
    assert [line["id"] for line in lines[: len(shown)]] == shown
    assert set(lines[0]) == set(export.COLUMNS)
    assert {"version": lines[0]["model"]["version"], "name": "tiny"} == lines[0]["model"]
    answer = client.get("/admin/export.csv")
    assert answer.headers["Content-Disposition"].endswith(".csv")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["id"]) for row in table] == [
        line["id"] for line in map(json.loads, client.get("/admin/export.jsonl").text.splitlines())
    ]
    reviewed = next(row for row in table if row["id"] == "30")
    assert (reviewed["review_note"], reviewed["review_label"]) == ("'=HYPERLINK(1)", "'@mel")
    with app.app_context():
        entries = list(db.session.scalars(select(AuditEntry.action)))
    assert entries.count("export.jsonl") == 2
    assert entries.count("export.csv") == 1


def test_export_by_command(app: Flask, tmp_path: Path) -> None:
    run = app.test_cli_runner().invoke
    assert len(run(args=["screenings", "export"]).output.splitlines()) == 61
    out = tmp_path / "refused.jsonl"
    done = run(args=["screenings", "export", "--format", "jsonl", "--query", "status=benign", "--out", str(out)])
    assert done.exit_code == 0
    assert {json.loads(line)["status"] for line in out.read_text().splitlines()} == {"benign"}


def test_an_export_holds_a_batch_in_memory(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the rows take hardly more memory at once."""
    monkeypatch.setattr(export, "BATCH", 50)
    draw = random.Random(8)

    def peak() -> int:
        tracemalloc.start()
        for _ in export.as_csv(Filters(), NEWEST):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    def most() -> int:
        with app.app_context():
            for _ in export.as_csv(Filters(), NEWEST):  # what is loaded once
                pass
            # Memory is counted for the whole process, where a thread of an earlier test may still be ending.
            return min(peak() for _ in range(3))

    with app.app_context(), write_transaction() as session:
        session.add_all(random_row(draw, number) for number in range(100, 240))
    little = most()
    with app.app_context(), write_transaction() as session:
        session.add_all(random_row(draw, number) for number in range(1000, 3000))
    assert most() < 1.5 * little
