"""The long run of odd input in short: it finds what it is to find, and nothing else in the application."""

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask, request

from benchmarks.fuzz import Findings, Fuzzing
from benchmarks.fuzz_site import Page, Site
from tests.webapp.forms import PASSWORD
from webapp import clock
from webapp.account.passwords import hash_password
from webapp.config import Config
from webapp.database import write_transaction
from webapp.models.user import Role, User

PROJECT = Path(__file__).resolve().parent.parent.parent
ACCOUNTS = {
    "demo-admin": Role.ADMIN,
    "demo-reviewer": Role.REVIEWER,
    "demo-second-reviewer": Role.REVIEWER,
    "demo-viewer": Role.VIEWER,
}


def test_forms_and_links_of_a_page() -> None:
    page = Page(
        "/here/page",
        '<a href="/there?x=1">a</a><form method="post" action="send"><input type="hidden" name="csrf_token" value="t">'
        '<input name="a"><input type="file" name="f"><select name="b"><option value="1"><option value="2"></select>'
        '<textarea name="c"></textarea><button name="do" value="it"></button></form><form><input name="q"></form>',
    )
    assert page.links == ["/there?x=1"]
    sent, asked = page.forms
    assert (sent.address, sent.method, sent.files) == ("/here/send", "POST", {"f"})
    assert sent.fields == {"a": [""], "b": ["1", "2"], "c": [""], "do": ["it"]}
    assert sent.filled() == {"a": "word", "b": "2", "c": "word", "do": "it"}
    assert (asked.address, asked.method) == ("/here/page", "GET")


def test_what_is_a_fault() -> None:
    findings = Findings()
    for status, text in ((200, "Traceback is a word"), (404, "There is nothing."), (303, "")):
        findings.note("forms", "POST fine", status, text)
    assert findings.faults == []
    for _ in range(2):
        findings.note("forms", "POST broken", 500, "")
        findings.note("forms", "POST talkative", 400, "sqlalchemy said no")
    assert findings.faults == ["POST broken: 500", "POST talkative: 400 tells 'sqlalchemy'"]
    assert findings.statuses["forms"] == {200: 1, 404: 1, 303: 1, 500: 2, 400: 2}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_in_short(config: Config, make_app: Callable[[Config], Flask]) -> None:
    """With one page of which a field breaks the application."""
    app = make_app(replace(config, session_idle_minutes=0))

    @app.get("/planted")
    def planted() -> str:
        return '<form method="post"><input name="number" value="1"></form>'

    @app.post("/planted")
    def break_down() -> str:
        return str(int(request.form["number"]))

    with app.app_context(), write_transaction() as session:
        session.add_all(
            User(name=name, password_hash=hash_password(PASSWORD), role=role, created_at=clock.now())
            for name, role in ACCOUNTS.items()
        )
    site = Site(app, dict.fromkeys(ACCOUNTS, PASSWORD), first=("/planted",))
    assert {"account.log_in", "account.enter_code", "screening.upload", "admin.set_role", "break_down"} <= set(
        site.forms
    )
    planted_alone = Fuzzing(site, examples=12, number=0, people=["visitor"])
    planted_alone.forms("break_down")
    assert planted_alone.findings.faults == ["POST break_down: 500"]

    found = Fuzzing(site, examples=1, number=0, people=["half", "reviewer"]).run()
    assert set(found["faults"]) <= {"POST break_down: 500"}
    assert found["targets"]["forms"] > 30
    assert found["targets"]["addresses"] > 40
    assert found["requests"]["api"] >= found["targets"]["api"] > 5
    told = runpy.run_path(str(PROJECT / "docs" / "update_reliability.py"))["fuzzed"](found)
    assert "as somebody between password and code and reviewer, 1 each" in told
