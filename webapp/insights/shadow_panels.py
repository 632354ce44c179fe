"""The section about a model in the shadow: how often its answers differ from those that people were given."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from sqlalchemy import select

from webapp.extensions import db
from webapp.i18n import gettext as _
from webapp.insights.counting import midnight
from webapp.insights.figures import Figures
from webapp.insights.panels import Panel, Section, share_panel
from webapp.insights.reviewed import Share, conditions_of
from webapp.insights.reviewed_panels import intervals_panel
from webapp.insights.selection import Selection
from webapp.models.screening import ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.promotion.shadow import PURPOSE

MOST_ANSWERS = 20_000
"""Second answers that one page reads: the newest of the period."""


@dataclass(frozen=True)
class Beside:
    """One answer in the shadow: of which day, and whether its status and its class are others than the person's."""

    day: date
    other_status: bool
    other_class: bool


def shadow_sections(figures: Figures, selection: Selection) -> list[Section]:
    """How often each model in the shadow differed; nothing where none answered in the period."""
    by_model = read_beside(selection)
    if not by_model:
        return []
    intro = _(
        "A model in the shadow answers new photos too, after the person has the answer, and nobody is told. To differ "
        "is neither better nor worse: the comparison on a promotion set decides that."
    )
    if sum(map(len, by_model.values())) >= MOST_ANSWERS:
        intro += " " + _("Only the newest ones are counted: there are more.")
    panels = [
        _over_time(figures, number, model, answers) for number, (model, answers) in enumerate(by_model.items(), 1)
    ]
    rows = []
    for model, answers in by_model.items():
        total = len(answers)
        rows.append((_("%(model)s: another status", model=model), Share(sum(a.other_status for a in answers), total)))
        rows.append((_("%(model)s: another class", model=model), Share(sum(a.other_class for a in answers), total)))
    note = _(
        "Share of the answers in the shadow that differ from the ones that people were given, in the whole period."
    )
    panels.append(intervals_panel("shadow", _("Different answers"), note, rows))
    return [Section("shadow", _("Answers in the shadow"), intro, panels)]


def read_beside(selection: Selection) -> dict[str, list[Beside]]:
    """The answers in the shadow to the screenings of a selection, oldest first, by the model that gave them."""
    query = (
        select(
            SecondAnswer.model_name,
            SecondAnswer.model_version,
            ScreeningRow.finished_at,
            ScreeningRow.status,
            ScreeningRow.predicted,
            SecondAnswer.answer["status"].as_string().label("other_status"),
            SecondAnswer.answer["predicted"].as_string().label("other_class"),
        )
        .join(ScreeningRow, ScreeningRow.id == SecondAnswer.screening_id)
        .where(
            SecondAnswer.purpose == PURPOSE,
            # No model answers in the shadow before the answer itself is given: none from before need be looked at.
            SecondAnswer.created_at >= midnight(selection.first),
            *conditions_of(selection),
        )
        .order_by(SecondAnswer.created_at.desc())
        .limit(MOST_ANSWERS)
    )
    found: defaultdict[str, list[Beside]] = defaultdict(list)
    for row in db.session.execute(query).all()[::-1]:
        answer = Beside(row.finished_at.date(), row.other_status != row.status, row.other_class != row.predicted)
        found[f"{row.model_name}@{row.model_version}"].append(answer)
    return dict(sorted(found.items()))


def _over_time(figures: Figures, number: int, model: str, answers: Sequence[Beside]) -> Panel:
    counts, totals = np.zeros(len(figures.spans)), np.zeros(len(figures.spans))
    last = [span.last for span in figures.spans]
    for answer in answers:
        place = bisect_left(last, answer.day)
        counts[place] += answer.other_status
        totals[place] += 1
    note = _("Share of its answers with another status, by the day of the answer.")
    return share_panel(figures, f"shadow-{number}", _("%(model)s differs", model=model), note, counts, totals)
