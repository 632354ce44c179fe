"""The filters that are on, as words that can be taken away one by one."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date

from flask_babel import format_date

from ml.labels import Taxonomy
from webapp.admin import review_words, words
from webapp.history.filters import Filters, Sort, write_queue
from webapp.i18n import LANGUAGES, percent
from webapp.i18n import gettext as _
from webapp.screening import advice


@dataclass(frozen=True)
class Chip:
    """One filter in words, and the query string of the history without it."""

    name: str
    value: str
    without: str


def chips(filters: Filters, sort: Sort, taxonomies: Mapping[str, Taxonomy]) -> list[Chip]:
    """A chip for each filter that is on, in their order."""
    empty = Filters()
    names = {field.name for field in fields(filters) if getattr(filters, field.name) != getattr(empty, field.name)}
    titles = _titles()
    return [
        Chip(
            title,
            _value(name, getattr(filters, name), taxonomies),
            write_queue(replace(filters, **{name: getattr(empty, name)}), sort),
        )
        for name, title in titles.items()
        if name in names
    ]


def _titles() -> dict[str, str]:
    return {
        "text": _("Search"),
        "status": _("Status"),
        "predicted": _("Class"),
        "review": _("Review"),
        "reviewed": _("Reviewed as"),
        "risk_from": _("Risk from"),
        "risk_to": _("Risk to"),
        "uncertainty_from": _("Uncertainty from"),
        "uncertainty_to": _("Uncertainty to"),
        "gate": _("Photo check"),
        "label_set": _("Label set"),
        "model": _("Model"),
        "channel": _("Channel"),
        "language": _("Language"),
        "first": _("From"),
        "last": _("To"),
    }


def _value(name: str, value: str | float | date, taxonomies: Mapping[str, Taxonomy]) -> str:
    if isinstance(value, date):
        return str(format_date(value))
    if isinstance(value, float):
        return percent(value) if 0 < value < 1 else f"{100 * value:.0f} %"
    if name in ("predicted", "reviewed"):
        return words.any_class(value, taxonomies)
    if name == "label_set":
        taxonomy = taxonomies.get(value)
        return advice.label_set_title(taxonomy) if taxonomy else value
    if name == "language":
        return LANGUAGES.get(value, value)
    say = {
        "status": advice.status_word,
        "review": review_words.case_status,
        "gate": words.verdict,
        "channel": words.channel,
    }.get(name)
    return say(value) if say else value
