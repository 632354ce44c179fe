"""The sections about agreement with reviewers and calibration on reviewed cases."""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from ml.labels import Status, Taxonomy
from ml.metrics import wilson_interval
from webapp.i18n import gettext as _
from webapp.i18n import percent
from webapp.insights.figures import Figures
from webapp.insights.panels import Panel, Section, lines_panel, share_panel
from webapp.insights.picture import draw_intervals, draw_reliability
from webapp.insights.reviewed import (
    ENOUGH,
    ENOUGH_AT_ONCE,
    Case,
    Share,
    agreement,
    calibration,
    calibration_at_once,
    can_be_calibrated,
    sensitivity,
    specificity,
)
from webapp.screening import advice


def reviewed_sections(
    figures: Figures, cases: Sequence[Case], complete: bool, taxonomy: Taxonomy | None
) -> list[Section]:
    """Agreement and calibration; one section that says what is missing where there are no reviewed cases."""
    title = _("Agreement with reviewers")
    if taxonomy is None:
        return [Section("agreement", title, _("Choose one label set to see it."), [])]
    if not cases:
        return [Section("agreement", title, _("No case of this period has been reviewed to an agreed class."), [])]
    intro = _(
        "%(count)d reviewed cases of this period. Verification bias: cases are not reviewed at random. Doubtful and "
        "malignant ones are reviewed first, a reviewer judges a photo and not a tissue sample, and who has seen the "
        "model's answer agrees with it more readily. These figures are no measure of accuracy.",
        count=len(cases),
    )
    if not complete:
        intro += " " + _("Only the newest ones are counted: there are more.")
    panels = [_over_time(figures, cases), _by_class(cases, taxonomy), _blindness(cases)]
    malignant = {taxonomy.codes[place] for place in taxonomy.malignant}
    if malignant:
        panels.append(_finding(cases, malignant))
    return [Section("agreement", title, intro, panels), _calibration(figures, cases, taxonomy)]


def _over_time(figures: Figures, cases: Sequence[Case]) -> Panel:
    counts, totals = np.zeros(len(figures.spans)), np.zeros(len(figures.spans))
    place = 0
    for case in cases:
        while figures.spans[place].last < case.day:
            place += 1
        if case.label and case.predicted:
            counts[place] += case.label == case.predicted
            totals[place] += 1
    note = _("Share of reviewed answers whose class the reviewers agree with, by the day of the answer.")
    return share_panel(figures, "agreement", _("Agreement over time"), note, counts, totals)


def _by_class(cases: Sequence[Case], taxonomy: Taxonomy) -> Panel:
    rows = [
        (advice.class_word(taxonomy, code), agreement([case for case in cases if case.label == code]))
        for code in taxonomy.codes
    ]
    return intervals_panel(
        "agreement-class",
        _("Agreement by class"),
        _("Of the cases that reviewers gave a class, the share that the model gave the same one."),
        [(_("All"), agreement(cases)), *rows],
    )


def _blindness(cases: Sequence[Case]) -> Panel:
    rows = [
        (_("Blind: the answer was hidden"), agreement([case for case in cases if case.blind])),
        (_("Not blind: the answer was seen"), agreement([case for case in cases if not case.blind])),
    ]
    note = _("A case is blind where every review of it was made before the model's answer was shown.")
    return intervals_panel("agreement-blind", _("Agreement, blind or not"), note, rows)


def _finding(cases: Sequence[Case], malignant: set[str]) -> Panel:
    clear, careful = {Status.MALIGNANT.value}, {Status.MALIGNANT.value, Status.UNCERTAIN.value}
    blind = [case for case in cases if case.blind]
    rows = [
        (_("Malignant cases given the status malignant"), sensitivity(cases, malignant, clear)),
        (_("The same, malignant or uncertain"), sensitivity(cases, malignant, careful)),
        (_("Malignant status, blind reviews only"), sensitivity(blind, malignant, clear)),
        (_("Other answers without the status malignant"), specificity(cases, malignant)),
    ]
    note = _("Sensitivity and specificity of the status on reviewed cases. A refused photo counts as not found.")
    return intervals_panel("finding", _("What reviewers call malignant"), note, rows)


def intervals_panel(key: str, title: str, note: str, rows: Sequence[tuple[str, Share]]) -> Panel:
    """Shares with their intervals, each under its name."""
    known = [(name, share) for name, share in rows if share.total]
    text = "; ".join(f"{name}: {percent(share.value or 0.0)}" for name, share in known)
    columns = [
        ("what", _("What"), "text"),
        ("share", _("Share"), "share"),
        ("low", _("Lower bound"), "share"),
        ("high", _("Upper bound"), "share"),
        ("counted", _("Of these"), "count"),
        ("cases", _("Cases"), "count"),
    ]
    return Panel(
        key,
        title,
        note,
        draw_intervals(
            [(name, share.value or 0.0, *(share.bounds or (0, 1))) for name, share in known], key, title, text
        ),
        columns,
        [(name, share.value, *(share.bounds or (None, None)), share.count, share.total) for name, share in rows],
    )


def _calibration(figures: Figures, cases: Sequence[Case], taxonomy: Taxonomy) -> Section:
    title = _("Calibration on reviewed cases")
    found = calibration(cases, taxonomy)
    over_time = _calibration_over_time(figures, cases, taxonomy)
    if found is None:
        told = _("Shown from %(count)d reviewed and answered cases on.", count=ENOUGH)
        return Section("calibration", title, told, over_time)
    rows = []
    for images, confidence, frequency in zip(*found.bins, strict=True):
        if images:
            low, high = wilson_interval(frequency * images, images)
            rows.append((float(confidence), float(frequency), low, high, int(images)))
    text = _(
        "Expected calibration error %(error)s (from %(low)s to %(high)s in 19 of 20 resamples) on %(count)d cases.",
        error=percent(found.error.value),
        low=percent(found.error.low),
        high=percent(found.error.high),
        count=found.cases,
    )
    note = text + " " + _(
        "On the dashed line, of the cases given a probability of 0.8 for their most probable class, 8 of 10 turn out "
        "to be of it. Few cases make the error look larger than it is."
    )  # fmt: skip
    columns = [
        ("confidence", _("Stated probability"), "share"),
        ("right", _("Came true"), "share"),
        ("low", _("Lower bound"), "share"),
        ("high", _("Upper bound"), "share"),
        ("cases", _("Cases"), "count"),
    ]
    panel = Panel(
        "reliability", _("Reliability diagram"), note, draw_reliability(rows, "reliability", title, text), columns, rows
    )
    return Section("calibration", title, "", [panel, *over_time])


def _calibration_over_time(figures: Figures, cases: Sequence[Case], taxonomy: Taxonomy) -> list[Panel]:
    """The calibration error of each bucket with its interval; no panel where none has enough cases."""
    size = len(figures.spans)
    buckets: list[list[Case]] = [[] for _span in figures.spans]
    last = [span.last for span in figures.spans]
    for case in cases:
        if can_be_calibrated(case, taxonomy):
            buckets[bisect_left(last, case.day)].append(case)
    error, chance, low, high = (np.full(size, np.nan) for _line in range(4))
    for place, bucket in enumerate(buckets):
        if found := calibration_at_once(bucket, taxonomy):
            error[place], chance[place], low[place], high[place] = found.value, found.chance, found.low, found.high
    if np.isnan(error).all():
        return []
    note = _(
        "Expected calibration error by the day of the answer, with its interval (19 of 20 resamples), and what chance "
        "alone makes of as many cases where every stated probability is right. Gaps have fewer than %(count)d reviewed "
        "cases: choose weeks or months.",
        count=ENOUGH_AT_ONCE,
    )
    lines = [
        ("error", _("Calibration error"), error),
        ("chance", _("By chance alone"), chance),
        ("low", _("Lower bound"), low),
        ("high", _("Upper bound"), high),
    ]
    counts = [("cases", _("Cases"), np.array([len(bucket) for bucket in buckets], dtype=np.float64))]
    return [lines_panel(figures, "calibration-time", _("Calibration error over time"), note, "share", lines, counts)]
