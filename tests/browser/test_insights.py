"""The figures over time in a browser: charts with their tables, the alerts of a change, and what the filters leave."""

import csv
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.pages import DESKTOP, NARROWEST, PHONE, Opener, Size, fits, follow, log_in, press
from tests.times import Clock
from tests.webapp.figures import DRIFTED_DAYS, TODAY, ninety_days
from webapp.database import write_transaction
from webapp.insights.counting import count_missing
from webapp.models.screening import ScreeningRow
from webapp.models.user import User


@pytest.fixture
def rows(app: Flask, clock: Clock, admin: User) -> Sequence[dict[str, Any]]:
    """Ninety days of spots, of which two models answered, and as many of rashes in which nothing changed."""
    spots = ninety_days(np.random.default_rng(5))
    for number, row in enumerate(spots):
        row["model_version"] = "2" if number % 4 == 0 else "1"
    rashes = [row for row in ninety_days(np.random.default_rng(6)) if not _drifted(row)]
    for row in rashes:
        row.update(label_set="msid", model_name="rash", predicted=row["predicted"] and "measles")
    with app.app_context():
        with write_transaction() as session:
            session.execute(ScreeningRow.__table__.insert(), [*spots, *rashes])  # type: ignore[attr-defined]
        count_missing(TODAY - timedelta(days=89), TODAY)
    return [*spots, *rashes]


def _drifted(row: dict[str, Any]) -> bool:
    return bool(0 < (TODAY - row["finished_at"].date()).days <= DRIFTED_DAYS)


def counted(page: Page) -> int:
    """How many screenings the first chart's table counts, by its file."""
    panel = page.locator("#volume")
    if not panel.locator("table").is_visible():
        panel.locator("summary").click()
    with page.expect_download() as download:
        panel.get_by_role("link", name="Download as CSV").click()
    with download.value.path().open(encoding="utf-8-sig", newline="") as file:
        return sum(int(float(line["screenings"])) for line in csv.DictReader(file))


@pytest.mark.parametrize(
    ("size", "dark", "scripts"), [(DESKTOP, False, True), (NARROWEST, False, False), (PHONE, True, True)]
)
def test_each_chart_is_drawn_and_has_its_table(
    rows: Sequence[dict[str, Any]], open_page: Opener, size: Size, dark: bool, scripts: bool
) -> None:
    page = open_page("/login", size, dark=dark, scripts=scripts)
    log_in(page)
    page.goto("/admin/insights?label_set=ham10000")
    assert fits(page)
    panels = page.locator("figure.panel")
    assert panels.count() >= 10
    for panel in panels.all():
        box = panel.get_by_role("img").bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 50
        table = panel.locator("table")
        expect(table).to_be_hidden()
        panel.locator("summary").click()
        expect(table).to_be_visible()
        assert table.locator("tbody tr").count() >= 10
    # Long tables scroll within their charts.
    assert fits(page)


def test_a_change_raises_alerts_that_lead_to_their_charts(rows: Sequence[dict[str, Any]], open_page: Opener) -> None:
    page = open_page("/login", DESKTOP)
    log_in(page)
    expect(page.locator(".admin-nav .nav-alerts")).not_to_have_text("0")
    follow(page.get_by_role("navigation").get_by_role("link", name="Insights"))
    alert = page.locator(".alert-list li", has_text="Poor quality")
    expect(alert).to_contain_text("above its upper limit")
    expect(alert).to_contain_text("28 Feb 2026")
    expect(page.locator(".alert-list li", has_text="Brightness")).to_contain_text("below its lower limit")
    alert.get_by_role("link").click()
    panel = page.locator("#verdict-poor_quality")
    expect(panel).to_be_in_viewport()
    assert panel.locator(".chart-alarm").count() == DRIFTED_DAYS
    # What did not change raises none.
    assert page.locator("#volume .chart-alarm").count() == 0
    # Before the change there was nothing to tell.
    page.locator("input[name=to]").fill("2026-02-21")
    press(page, "Show")
    expect(page.get_by_text("Every point lies within its limits.")).to_be_visible()
    assert page.locator(".chart-alarm").count() == 0


def test_filters_by_date_label_set_and_model(rows: Sequence[dict[str, Any]], open_page: Opener) -> None:
    page = open_page("/login", DESKTOP)
    log_in(page)
    page.goto("/admin/insights")

    def show(**chosen: str) -> None:
        for name, value in chosen.items():
            field = page.locator(f".filters [name={name}]")
            if name in ("from", "to"):
                field.fill(value)
            else:
                field.select_option(value)
        press(page, "Show")
        for name, value in chosen.items():
            expect(page.locator(f".filters [name={name}]")).to_have_value(value)

    def among(**wanted: str) -> int:
        return sum(all(row[name] == value for name, value in wanted.items()) for row in rows)

    show(label_set="")
    assert counted(page) == len(rows)
    show(label_set="ham10000")
    expect(page.get_by_role("heading", name="Melanoma")).to_be_visible()
    assert counted(page) == among(label_set="ham10000")
    show(model="m@2")
    assert counted(page) == among(model_name="m", model_version="2")
    show(**{"model": "", "from": "2026-02-01", "to": "2026-02-10"})
    assert counted(page) == 10 * 20
    show(label_set="msid")
    expect(page.get_by_role("heading", name="Measles")).to_be_visible()
    expect(page.get_by_role("heading", name="Melanoma")).to_have_count(0)
    assert counted(page) == 10 * 20
    follow(page.get_by_role("link", name="90 days"))
    assert counted(page) == among(label_set="msid")
