"""The sections of the page of figures that come from what was counted each day."""

from ml.labels import Taxonomy, find_taxonomy
from ml.screening import USABLE
from webapp.admin import words
from webapp.i18n import gettext as _
from webapp.insights import bins
from webapp.insights.figures import Figures
from webapp.insights.panels import (
    Panel,
    Section,
    average_panel,
    lines_panel,
    quantiles_over_time,
    share_panel,
    volume_panel,
)
from webapp.screening import advice

MOST_CLASSES = 12


def controlled_sections(figures: Figures, label_set: str) -> list[Section]:
    """Everything that has control limits, from counts alone: cheap enough to look for alerts with."""
    taxonomy = find_taxonomy(label_set) if label_set else None
    return [_volume(figures), _statuses(figures), _refusals(figures), *_classes(figures, taxonomy), _inputs(figures)]


def latency_section(figures: Figures) -> Section:
    """How long answers took."""
    lines = [
        ("median", _("Median"), quantiles_over_time(figures.sums, "seconds", 0.5)),
        ("p95", _("95 of 100 are faster"), quantiles_over_time(figures.sums, "seconds", 0.95)),
    ]
    note = _(
        "Seconds of work on one answer: reading the photos, checking them, the network. Waiting for a turn is not "
        "in it. Taken from a histogram, so exact to about a tenth."
    )
    panel = lines_panel(figures, "latency", _("Seconds an answer took"), note, "seconds", lines)
    return Section("latency", _("Speed"), _("Only what was answered is counted."), [panel])


def _volume(figures: Figures) -> Section:
    panel = volume_panel(
        figures,
        "volume",
        _("Screenings a day"),
        _("Answered or given up on that day (UTC), deleted ones included."),
    )
    failed = share_panel(
        figures,
        "failed",
        _("Without an answer"),
        _("Photos that could not be read again, or attempts that failed."),
        figures.counts("state", "failed"),
        figures.counts("state", "failed") + figures.counts("state", "done"),
    )
    return Section("volume", _("Volume"), _("How much is asked of the models."), [panel, failed])


def _statuses(figures: Figures) -> Section:
    totals = figures.totals("status")
    panels = [
        share_panel(
            figures, f"status-{status}", advice.status_word(status), "", figures.counts("status", status), totals
        )
        for status in figures.values("status")
    ]
    return Section("statuses", _("Status"), _("Share of each status among all answers."), panels)


def _refusals(figures: Figures) -> Section:
    totals = figures.totals("verdict")
    panels = [
        share_panel(
            figures, f"verdict-{verdict}", words.verdict(verdict), "", figures.counts("verdict", verdict), totals
        )
        for verdict in figures.values("verdict")
        if verdict != USABLE
    ]
    intro = _("Share of screenings that the photo check refused, by its reason.")
    if not panels:
        intro += " " + _("None were refused.")
    return Section("refusals", _("Refused photos"), intro, panels)


def _classes(figures: Figures, taxonomy: Taxonomy | None) -> list[Section]:
    if taxonomy is None:
        return []
    totals = figures.totals("predicted")
    panels: list[Panel] = []
    for code in figures.values("predicted")[:MOST_CLASSES]:
        title = advice.class_word(taxonomy, code)
        panels.append(share_panel(figures, f"class-{code}", title, "", figures.counts("predicted", code), totals))
    intro = _("Share of each class among the answers that name one.")
    return [Section("classes", _("Classes"), intro, panels)] if panels else []


def measure_title(measure: str) -> str:
    """What a measure of the photos is called."""
    return {
        "novelty": _("Distance to the training pictures"),
        "brightness": _("Brightness (0 to 255)"),
        "sharpness": _("Sharpness"),
        "short_side": _("Shorter side in pixels"),
    }[measure]


def _inputs(figures: Figures) -> Section:
    intro = _(
        "What the photo check measured of each photo: the mean (thin), and its moving average, which finds small "
        "shifts that last."
    )
    measured = [measure for measure in bins.INPUTS if any(sums.measured[measure]["n"] for sums in figures.sums)]
    panels = [average_panel(figures, f"mean-{name}", measure_title(name), "", name) for name in measured]
    return Section("inputs", _("Photos over time"), intro, panels)
