"""`/admin/insights`: figures over time, and each chart's table as CSV."""

import csv
import io
from typing import Any

from flask import Response, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ml.labels import find_taxonomy, readable_taxonomies
from webapp import clock
from webapp.account.access import requires
from webapp.admin import words
from webapp.admin.blueprint import blueprint
from webapp.insights.alerts import MOST_SHOWN, alerts_of
from webapp.insights.counting import count_missing
from webapp.insights.drift_panels import drift_section
from webapp.insights.figures import Figures, add_up, read_figures
from webapp.insights.panels import Section
from webapp.insights.reviewed import read_cases
from webapp.insights.reviewed_panels import reviewed_sections
from webapp.insights.sections import controlled_sections, latency_section
from webapp.insights.selection import BUCKETS, PERIODS, Selection
from webapp.insights.shadow_panels import shadow_sections
from webapp.models.user import Role

COUNTING_SECONDS = 1.5
"""How long a page may count days that nobody has counted yet; `flask insights` counts without a limit."""


@blueprint.get("/insights")
@requires(Role.VIEWER)
def insights() -> ResponseReturnValue:
    """The charts of a selection, with the alerts that they raise on top."""
    selection, figures, missing = _figures()
    sections = _sections(figures, selection)
    label_sets = _label_sets(figures)
    return render_template(
        "admin/insights.html",
        selection=selection,
        sections=[section for section in sections if section.panels or section.intro],
        alerts=alerts_of(sections),
        most=MOST_SHOWN,
        figures=figures,
        total=sum(sums.count for sums in figures.sums),
        missing=missing,
        label_sets=label_sets,
        taxonomies=readable_taxonomies(),
        buckets=BUCKETS,
        periods=PERIODS,
        words=words,
        csv_address=lambda key: url_for("admin.insights_table", key=key, **_args(selection)),
    )


@blueprint.get("/insights/<key>.csv")
@requires(Role.VIEWER)
def insights_table(key: str) -> ResponseReturnValue:
    """The table behind one chart as CSV, under the names of its columns and with plain numbers."""
    selection, figures, _missing = _figures()
    panels = [panel for section in _sections(figures, selection) for panel in section.panels]
    panel = next((panel for panel in panels if panel.key == key), None)
    if panel is None:
        abort(404)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(name for name, _heading, _kind in panel.columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in panel.rows)
    name = f"{key}-{selection.first}-{selection.last}.csv"
    return Response(
        text.getvalue(), mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _figures() -> tuple[Selection, Figures, int]:
    """What is asked for, its figures, and how many of its days are still to be counted."""
    today = clock.now().date()
    selection = Selection.from_args(request.args, today)
    missing = count_missing(selection.first, selection.last, seconds=COUNTING_SECONDS)
    figures = read_figures(selection, today)
    by_label_set = figures.screenings_by(selection, "label_set")  # empty where no screening is of that model or channel
    if not selection.label_set and by_label_set and "label_set" not in request.args:
        # Shares of several questions together mean little: the one with the most answers is shown first.
        selection = selection.of(by_label_set.most_common(1)[0][0])
        figures = add_up(figures.days, selection, today)
    return selection, figures, missing


def _sections(figures: Figures, selection: Selection) -> list[Section]:
    taxonomy = find_taxonomy(selection.label_set) if selection.label_set else None
    cases, complete = read_cases(selection) if taxonomy else ([], True)
    return [
        *controlled_sections(figures, selection.label_set),
        drift_section(selection, figures, clock.now().date()),
        *reviewed_sections(figures, cases, complete, taxonomy),
        *shadow_sections(figures, selection),
        latency_section(figures),
    ]


def _label_sets(figures: Figures) -> list[str]:
    return list(figures.label_sets)


def _args(selection: Selection) -> dict[str, Any]:
    """The query string of a selection; an empty label set is kept, since it means all of them here."""
    return {"label_set": "", **selection.to_args()}
