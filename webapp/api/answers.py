"""A screening's row as the API tells it: the answers under the names of `ml.screening.Screening`, links and advice."""

from dataclasses import fields
from typing import Any

from flask import url_for
from flask_babel import force_locale

from ml.labels import find_taxonomy
from ml.screening import Gate, Screening
from ml.severity_grades import note_of
from webapp.i18n import gettext as _
from webapp.models.screening import ScreeningRow, State
from webapp.screening import advice, first_impressions


def screening_body(row: ScreeningRow, token: str, language: str) -> dict[str, Any]:
    """The body for a screening that is not deleted; `screening` and `photos` are empty until it is answered."""
    done = row.state == State.DONE
    return {
        "id": token,
        "state": row.state,
        "created_at": row.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "links": {
            "self": url_for("api.read_screening", token=token, _external=True),
            "html": url_for("screening.result", token=token, _external=True),
            "model": _model_link(row),
        },
        "screening": _told(answer_of(row)) if done else None,
        "photos": [
            {
                **_told(Screening.from_dict(photo.answer)),
                "links": {"heatmap": _heatmap_link(token, photo.position) if photo.heatmap else None},
            }
            for photo in row.photos
            if done and photo.answer
        ],
        "failure": row.failure if row.state == State.FAILED else None,
        "recommendation": None if row.state == State.PENDING else recommendation(row, language),
    }


def answer_of(row: ScreeningRow) -> Screening:
    """The answer that an answered row holds: the inverse of `ScreeningRow.columns_of`."""
    values = {item.name: getattr(row, item.name) for item in fields(Screening) if item.name != "model"}
    return Screening.from_dict({**values, "model": {"name": row.model_name, "version": row.model_version}})


def _told(answer: Screening) -> dict[str, Any]:
    """The answer as plain values; a grade has its note, also where an earlier version stored it without."""
    values = answer.to_dict()
    if answer.severity is not None:
        values["severity"] = {**answer.severity, "note": note_of(answer.severity)}
    return values


def recommendation(row: ScreeningRow, language: str) -> dict[str, Any]:
    """What the result means and what to do next, in `language`: the sentences of the result page."""
    with force_locale(language):
        next_step = first_impressions.next_step(row, find_taxonomy(row.label_set) if row.label_set else None)
        return {
            "language": language,
            "headline": advice.status_word(str(row.status) if row.state == State.DONE else "failed"),
            "meaning": _meaning(row),
            "lead": next_step.lead,
            "points": list(next_step.points),
            "notice": _(
                "This is not a diagnosis. It is the estimate of a computer that has seen pictures only, not you. "
                "Only an examination, and often a tissue sample, can tell what a lesion is."
            ),
        }


def _meaning(row: ScreeningRow) -> str:
    if row.state == State.FAILED:
        return advice.failure(str(row.failure))
    gate = Gate(**(row.gate or {}))
    if row.status == "refused":
        return f"{advice.refusal(str(gate.reason))} {advice.retake(str(gate.tip))}"
    summary = advice.status_summary(str(row.status))
    if gate.verdict == "usable":
        return summary
    return f"{summary} {advice.refusal(str(gate.reason))} {_('Answers to such photos are less reliable.')}"


def _model_link(row: ScreeningRow) -> str | None:
    if row.model_name is None or row.model_version is None:
        return None
    return url_for("model_page.version", name=row.model_name, version=row.model_version, _external=True)


def _heatmap_link(token: str, number: int) -> str:
    return url_for("api.heatmap", token=token, number=number, _external=True)
