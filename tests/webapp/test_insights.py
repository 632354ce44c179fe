"""Figures over time: counted once, right against counting anew, drawn as valid SVG with their tables."""

import csv
import html
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.event import listen

from ml.labels import load_taxonomy
from tests.times import Clock
from tests.webapp.figures import TODAY, ninety_days
from tests.webapp.forms import PASSWORD
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.insights import bins
from webapp.insights.alerts import alerts_of, recent_alerts
from webapp.insights.counting import count_missing, uncounted
from webapp.insights.figures import read_figures
from webapp.insights.reviewed import Case, agreement, calibration, calibration_at_once, read_cases, specificity
from webapp.insights.sections import controlled_sections
from webapp.insights.selection import Selection
from webapp.insights.shadow_panels import read_beside
from webapp.models.daily import DailyFigures
from webapp.models.screening import ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.user import Role, User
from webapp.screening.erasing import erase


@pytest.fixture
def screenings(app: Flask, clock: Clock) -> Iterator[list[dict[str, Any]]]:
    """Ninety days until noon of 1 March 2026, with a change in the last week."""
    found = ninety_days(np.random.default_rng(5))
    with app.app_context():
        with write_transaction() as session:
            session.execute(ScreeningRow.__table__.insert(), found)  # type: ignore[attr-defined]
        yield found


@pytest.fixture
def viewer(
    screenings: list[dict[str, Any]], client: FlaskClient, add_user: Callable[..., User], post: Callable[..., Any]
) -> FlaskClient:
    """Somebody who may look."""
    add_user("eye", Role.VIEWER)
    count_missing(TODAY - timedelta(days=89), TODAY)
    assert post("/login", name="eye", password=PASSWORD).status_code == 303
    return client


def test_answers_in_the_shadow_are_held_against_the_answers(viewer: FlaskClient) -> None:
    page = viewer.get("/admin/insights?label_set=ham10000").text
    assert 'id="shadow"' not in page
    rows = list(db.session.scalars(select(ScreeningRow).order_by(ScreeningRow.id)))
    with write_transaction() as session:
        for place, row in enumerate(rows):
            status = "uncertain" if place % 4 == 0 else row.status
            session.add(
                SecondAnswer(
                    screening_id=row.id,
                    purpose="shadow",
                    model_name="other",
                    model_version="2",
                    answer={"status": status, "predicted": row.predicted},
                    created_at=row.created_at,
                )
            )
    table = viewer.get("/admin/insights/shadow-1.csv?label_set=ham10000")
    days = list(csv.DictReader(io.StringIO(table.text)))
    assert sum(int(float(day["counted"])) for day in days) == len(rows) / 4
    assert sum(int(float(day["cases"])) for day in days) == len(rows)
    whole = list(csv.DictReader(io.StringIO(viewer.get("/admin/insights/shadow.csv?label_set=ham10000").text)))
    assert [float(row["share"]) for row in whole] == [0.25, 0.0]
    assert "other@2 differs" in viewer.get("/admin/insights?label_set=ham10000").text


def test_figures_are_what_counting_anew_gives(screenings: list[dict[str, Any]]) -> None:
    selection = Selection(TODAY - timedelta(days=89), TODAY, "week", channel="web")
    assert count_missing(selection.first, selection.last) == 0
    figures = read_figures(selection, TODAY)
    web = [row for row in screenings if row["channel"] == "web"]
    assert sum(sums.count for sums in figures.sums) == len(web)
    for span, sums in zip(figures.spans, figures.sums, strict=True):
        here = [row for row in web if span.first <= row["finished_at"].date() <= span.last]
        assert sums.counted["status"] == Counter(row["status"] for row in here)
        assert sums.counted["predicted"] == Counter(row["predicted"] for row in here if row["predicted"])
        assert sums.counted["verdict"] == Counter(row["gate"]["verdict"] for row in here)
        bright = [row["gate"]["scores"]["brightness"] for row in here]
        assert sums.measured["brightness"]["sum"] == pytest.approx(sum(bright), abs=0.1)
        taken = [sum(row["seconds"].values()) for row in here]
        for share in (0.5, 0.95):  # a bin is a ninth wide
            found = bins.quantile(sums.measured["seconds"], "seconds", share)
            assert found == pytest.approx(float(np.quantile(taken, share)), rel=0.15)
    assert [span.first.weekday() for span in figures.spans[1:]] == [0] * (len(figures.spans) - 1)


def test_a_day_is_counted_once_and_today_again(screenings: list[dict[str, Any]], clock: Clock) -> None:
    first = TODAY - timedelta(days=200)
    assert len(uncounted(first, TODAY)) == 90  # none before the first answer
    assert count_missing(first, TODAY, seconds=0) == 89  # the newest first, one at least
    assert [row.day for row in db.session.query(DailyFigures)] == [TODAY]
    assert count_missing(first, TODAY) == 0
    assert uncounted(first, TODAY) == []
    clock.forward(minutes=2)
    assert uncounted(first, TODAY) == [TODAY]
    clock.forward(days=1)
    assert uncounted(first, TODAY + timedelta(days=1)) == [TODAY + timedelta(days=1), TODAY]
    count_missing(first, TODAY)
    assert uncounted(first, TODAY) == []


def test_counts_stay_when_a_screening_is_erased_and_hold_nothing_of_it(screenings: list[dict[str, Any]]) -> None:
    count_missing(TODAY - timedelta(days=89), TODAY)
    before = [row.cells for row in db.session.query(DailyFigures).order_by(DailyFigures.day)]
    for screening_id in range(1, 6):
        erase(screening_id)
    count_missing(TODAY - timedelta(days=89), TODAY)
    assert [row.cells for row in db.session.query(DailyFigures).order_by(DailyFigures.day)] == before
    text = json.dumps(before)
    assert not any(row["token_hash"] in text for row in screenings)
    # What is erased before its day is counted is counted as that, and as nothing else.
    db.session.query(DailyFigures).delete()
    db.session.commit()
    count_missing(TODAY - timedelta(days=89), TODAY)
    figures = read_figures(Selection(TODAY - timedelta(days=89), TODAY), TODAY)
    assert sum(sums.counted["state"]["erased"] for sums in figures.sums) == 5
    assert sum(sums.total("status") for sums in figures.sums) == len(screenings) - 5


def test_alerts_are_raised_by_what_changed_and_by_nothing_before(screenings: list[dict[str, Any]]) -> None:
    count_missing(TODAY - timedelta(days=89), TODAY)
    selection = Selection(TODAY - timedelta(days=89), TODAY, label_set="ham10000")
    alerts = alerts_of(controlled_sections(read_figures(selection, TODAY), "ham10000"))
    changed = TODAY - timedelta(days=7)
    found = {(alert.key, alert.high) for alert in alerts.found if alert.span.first >= changed}
    assert {("verdict-poor_quality", True), ("status-refused", True), ("mean-brightness", False)} <= found
    assert "mean-novelty" not in {key for key, _high in found}
    assert sum(alert.span.first < changed for alert in alerts.found) <= 3 * alerts.expected
    assert recent_alerts() > 0


def test_alerts_leave_today_out(screenings: list[dict[str, Any]]) -> None:
    count_missing(TODAY - timedelta(days=89), TODAY)
    selection = Selection(TODAY - timedelta(days=89), TODAY, label_set="ham10000")
    alerts = alerts_of(controlled_sections(read_figures(selection, TODAY), "ham10000"))
    assert all(alert.span.last < TODAY for alert in alerts.found)


def test_page_has_valid_charts_with_their_tables(viewer: FlaskClient) -> None:
    response = viewer.get("/admin/insights")
    assert response.status_code == 200
    panels = re.findall(r'<figure class="card panel[^>]*id="([^"]+)">(.*?)</figure>', response.text, re.DOTALL)
    assert len(panels) >= 10
    for key, content in panels:
        drawing = re.search(r"<svg xmlns.*?</svg>", content, re.DOTALL)
        assert drawing is not None
        svg = ET.fromstring(drawing.group())  # noqa: S314  # our own
        assert not any("style" in element.attrib for element in svg.iter())
        names = {element.attrib.get("id"): element.text for element in svg}
        assert svg.attrib["aria-labelledby"].split() == [f"{key}-title", f"{key}-text"]
        assert names[f"{key}-title"]
        assert names[f"{key}-text"]
        assert content.count("<tr>") == 1 + (10 if key.startswith("drift-") else 90)
    assert " style=" not in response.text
    assert "<script" not in response.text


def table(viewer: FlaskClient, key: str, query: str = "label_set=ham10000&bucket=week") -> list[dict[str, str]]:
    """The rows of a chart's CSV."""
    answer = viewer.get(f"/admin/insights/{key}.csv?{query}")
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_calibration_error_over_time(viewer: FlaskClient) -> None:
    """Every answer states 0.9 for its class; 9 of 10 are of it, but in the last two weeks half of them."""
    late = TODAY - timedelta(days=14)
    with write_transaction() as session:
        answered = session.scalars(select(ScreeningRow).where(ScreeningRow.predicted.is_not(None)))
        for place, row in enumerate(answered):
            assert row.finished_at is not None
            wrong = place % 2 == 0 if row.finished_at.date() >= late else place % 10 == 0
            other = "mel" if row.predicted == "nv" else "nv"
            row.probabilities = {str(row.predicted): 0.9, other: 0.1}
            row.review_status, row.reviewed_class = "submitted", other if wrong else row.predicted
    weeks = table(viewer, "calibration-time")
    assert len(weeks) == len(Selection(TODAY - timedelta(days=89), TODAY, "week").spans(TODAY))
    known = [week for week in weeks if week["error"]]
    assert all((int(week["cases"]) >= 30) is bool(week["error"]) for week in weeks)
    for week in known:
        assert float(week["low"]) <= float(week["error"]) <= float(week["high"])
        assert 0 < float(week["chance"]) < 0.1
    before = [float(week["error"]) for week in known if week["last_day"] < late.isoformat()]
    after = [float(week["error"]) for week in known if week["first_day"] >= late.isoformat()]
    assert max(before) < 0.1
    assert min(after) > 0.25
    page = viewer.get("/admin/insights?label_set=ham10000&bucket=week").text
    assert 'id="calibration-time"' in page
    assert "By chance alone" in page


def test_the_error_of_one_point_in_time_is_that_of_the_whole() -> None:
    taxonomy, rng = load_taxonomy("ham10000"), np.random.default_rng(3)
    cases = []
    for _ in range(400):
        stated = float(rng.uniform(0.5, 1))
        label = "nv" if rng.random() < stated - 0.1 else "mel"
        cases.append(Case(TODAY, "benign", "nv", label, True, {"nv": stated, "mel": 1 - stated}))
    whole, once = calibration(cases, taxonomy), calibration_at_once(cases, taxonomy)
    assert whole is not None
    assert once is not None
    assert once.value == pytest.approx(whole.error.value)
    assert (once.low, once.high) == pytest.approx((whole.error.low, whole.error.high), abs=0.02)
    assert once.chance < 0.06 < once.value
    assert calibration_at_once(cases[:29], taxonomy) is None


def test_stability_index_over_time(viewer: FlaskClient) -> None:
    """The training's are not known of this model, so each week is held against the baseline; the last one is darker."""
    weeks = table(viewer, "stability-brightness")
    assert all((int(week["photos"]) >= 50) is bool(week["index"]) for week in weeks)
    known = [week for week in weeks if week["index"]]
    assert len(known) >= 10
    assert float(known[-1]["index"]) > float(known[-1]["strong"])
    assert all(float(week["index"]) < float(week["strong"]) for week in known[:-3])
    days = table(viewer, "stability-brightness", "label_set=ham10000")
    assert not any(day["index"] for day in days), "20 photos a day are too few"


def test_who_says_that_it_is_none_of_the_classes_calls_it_neither_harmless_nor_malignant(
    screenings: list[dict[str, Any]],
) -> None:
    with write_transaction() as session:
        answered = select(ScreeningRow).where(ScreeningRow.predicted.is_not(None)).limit(2)
        for row, agreed in zip(session.scalars(answered), ("nv", "_other"), strict=True):
            row.review_status, row.reviewed_class = "submitted", agreed
    cases, _ = read_cases(Selection(TODAY - timedelta(days=89), TODAY))
    assert sorted(str(case.label) for case in cases) == ["None", "nv"]
    assert (agreement(cases).total, specificity(cases, {"mel"}).total) == (1, 1)


def test_the_page_reads_no_more_of_reviews_and_shadows_than_it_shows(viewer: FlaskClient, app: Flask) -> None:
    """Whatever the page asks for goes by an index, in its order: none of it grows with the whole history."""
    asked: list[tuple[str, Any]] = []
    with app.test_request_context():
        selection = Selection(TODAY - timedelta(days=89), TODAY, label_set="ham10000")
        listen(db.engine, "before_cursor_execute", lambda _c, _r, said, given, _x, _m: asked.append((said, given)))
        read_cases(selection)
        read_beside(selection)
        plans = [
            [row[3] for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", given)]
            for said, given in asked.copy() if said.startswith("SELECT")
        ]  # fmt: skip
    assert len(plans) == 3
    for step in (step for plan in plans for step in plan):
        assert not re.match("SCAN (?!anon)|USE TEMP B-TREE FOR ORDER", step), plans
    assert any("ix_second_answers_time (purpose=? AND created_at>?)" in step for step in plans[2])


def test_table_as_csv_is_the_table_of_the_page(viewer: FlaskClient) -> None:
    page = viewer.get("/admin/insights?bucket=week").text
    link = re.search(r'href="(/admin/insights/verdict-poor_quality.csv[^"]*)"', page)
    assert link is not None
    answer = viewer.get(html.unescape(link.group(1)))
    assert answer.mimetype == "text/csv"
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(lines) == len(Selection(TODAY - timedelta(days=89), TODAY, "week").spans(TODAY))
    assert sum(int(line["cases"]) for line in lines) == 1800
    assert all(abs(float(line["value"]) - int(line["counted"]) / int(line["cases"])) < 1e-6 for line in lines)
    assert viewer.get("/admin/insights/nothing.csv").status_code == 404


@pytest.mark.parametrize("query", ["from=x&to=y&bucket=z&days=-1", "from=9999-01-01", "to=0001-01-01", "label_set=no"])
def test_senseless_filters_are_no_error(viewer: FlaskClient, query: str) -> None:
    assert viewer.get(f"/admin/insights?{query}").status_code == 200


@pytest.mark.parametrize("query", ["channel=pigeon", "model=gone@1", "model=gone@1&label_set="])
def test_where_no_screening_is_of_a_model_or_channel_the_page_says_so(viewer: FlaskClient, query: str) -> None:
    answer = viewer.get(f"/admin/insights?{query}")
    assert answer.status_code == 200
    assert "Nothing was answered in this period" in answer.text


def test_without_any_screening_the_page_says_so(admin: FlaskClient) -> None:
    assert "Nothing was answered in this period" in admin.get("/admin/insights").text


def test_visitors_are_sent_to_the_log_in_page(client: FlaskClient) -> None:
    assert client.get("/admin/insights").status_code == 303
