"""An answered screening as a message: the sentences of the result page, within what Telegram takes."""

from collections.abc import Mapping
from html import escape
from typing import Any

from flask import current_app

from ml.explain import PICTURE_SIDE, lay_over
from ml.images import decode, encode_jpeg
from ml.labels import Taxonomy, find_taxonomy
from webapp.api.answers import recommendation
from webapp.config import Config
from webapp.i18n import gettext as _
from webapp.i18n import percent
from webapp.model_page.links import model_address
from webapp.models.screening import ScreeningRow, State
from webapp.photos import get_photos
from webapp.screening import advice, grades, status_reasons
from webapp.telegram.words import bold, paragraphs, points

LONGEST = 4000
"""Characters of a message; Telegram takes 4096."""


def answer_text(row: ScreeningRow, *, compressed: bool) -> str:
    """The answer to a screening that is done or failed, as HTML. Its language is the one it was sent in."""
    told = recommendation(row, row.language)
    taxonomy = find_taxonomy(row.label_set) if row.label_set else None
    parts = [f"{bold(told['headline'])}\n{escape(told['meaning'], quote=False)}"]
    if row.predicted:
        parts.append(_named(row, taxonomy))
        if row.severity:
            parts.append(_graded(row.severity))
    elif row.state == State.DONE:
        parts.append(_refused(row, compressed=compressed))
    parts.append(f"{bold(_('What to do next'))}\n{escape(told['lead'], quote=False)}")
    parts.append(escape(points(*told["points"]), quote=False))
    notice = f"<i>{escape(told['notice'], quote=False)}</i>"
    if row.model_name:
        notice += f"\n{escape(_('Model'), quote=False)}: {_model(row.model_name, str(row.model_version))}"
    if row.probabilities:
        left = LONGEST - sum(len(part) + 2 for part in [*parts, notice])
        parts.append(_classes(row.probabilities, taxonomy, left))
    return "\n\n".join(part for part in [*parts, notice] if part)


def _named(row: ScreeningRow, taxonomy: Taxonomy | None) -> str:
    code, risk = str(row.predicted), row.malignant_risk
    label = advice.find_label(taxonomy, code)
    lines = [bold(f"{_('What it looks like most')}: {advice.class_word(taxonomy, code)}")]
    sentences = [advice.class_description(label) if label else ""]
    if status_reasons.is_named_for_rarity(code, row.probabilities or {}):
        sentences.append(
            _(
                "Another class has the higher probability. Rare conditions are given more weight when one class is "
                "named, so that they are not overlooked."
            )
        )
    if risk is not None:
        sentences.append(status_reasons.risk_sentence(risk, row.thresholds))
        if status_reasons.is_more_cautious(str(row.status), risk, row.thresholds):
            sentences.append(
                _(
                    "The status is more cautious than this number alone, because one of the photos, or the class named "
                    "for it, gives reason to be."
                )
            )
    sentences.append(status_reasons.beyond_named(str(row.status), label, risk))
    gate = row.gate or {}
    if gate.get("verdict") == "usable":
        sentences += _left_out(row)
        if gate.get("tip"):
            sentences.append(f"{_('For the next photo:')} {advice.retake(gate['tip'])}")
    return "\n".join(lines + [escape(sentence, quote=False) for sentence in sentences if sentence])


def _graded(severity: Mapping[str, Any]) -> str:
    grade = grades.severity_word(severity["grade"])
    meaning = escape(grades.severity_meaning(severity["source"]), quote=False)
    return f"{bold(_('How pronounced it looks'))}: {escape(grade, quote=False)}\n{meaning}"


def _left_out(row: ScreeningRow) -> list[str]:
    gates = [(photo.position, photo.answer["gate"]) for photo in row.photos if photo.answer]
    return [
        _("Photo %(number)d was left out. %(reason)s", number=number, reason=advice.refusal(gate["reason"]))
        for number, gate in gates
        if gate["verdict"] != "usable"
    ]


def _refused(row: ScreeningRow, *, compressed: bool) -> str:
    gate = row.gate or {}
    small = gate.get("verdict") == "poor_quality" and compressed
    return paragraphs(
        advice.refusal_figure(gate),
        _("Telegram makes photos smaller. Send it as a file, not as a photo: then it arrives as it was taken.")
        if small
        else "",
    )


def _classes(probabilities: dict[str, float], taxonomy: Taxonomy | None, room: int) -> str:
    """Classes with their probabilities, the highest first, as many as there is room for."""
    text = bold(_("All classes"))
    for code, share in sorted(probabilities.items(), key=lambda item: -item[1]):
        label = advice.find_label(taxonomy, code)
        kind = f" ({_('malignant')})" if label and label.status == "malignant" else ""
        line = f"{percent(share)}  {advice.class_word(taxonomy, code)}{kind}"
        longer = f"{text}\n{escape(line, quote=False)}"
        if len(longer) > room:
            break
        text = longer
    return text


def _model(name: str, version: str) -> str:
    """The model's name as HTML, with a link to how good it is where people can reach the pages."""
    config: Config = current_app.config["LENS"]
    text = escape(f"{name} {version}", quote=False)
    return f'<a href="{escape(model_address(name, version))}">{text}</a>' if config.public_url else text


def result_page(token: str) -> str:
    """The public address of a result's page; empty where the setting does not say one."""
    config: Config = current_app.config["LENS"]
    if not config.public_url:
        return ""
    path = current_app.url_map.bind("").build("screening.result", {"token": token})
    return f"{config.public_url.rstrip('/')}{path}"


def comes_with_heatmap(row: ScreeningRow) -> bool:
    """Whether the heatmaps go out with the answer: to dermatoscopic photos that passed the gate. Of other photos, such
    as those of a rash, which can show far more of a person, they come when they are asked for."""
    taxonomy = find_taxonomy(row.label_set) if row.label_set else None
    fit = taxonomy is not None and taxonomy.photos == "dermatoscopic" and (row.gate or {}).get("verdict") == "usable"
    return fit and any(photo.heatmap for photo in row.photos)


def offers_heatmap(row: ScreeningRow) -> bool:
    """Whether a button below the answer has the heatmaps sent."""
    return any(photo.heatmap for photo in row.photos) and not comes_with_heatmap(row)


def heatmap_pictures(row: ScreeningRow) -> list[tuple[bytes, str]]:
    """For each photo that has a heatmap: the photo with it laid over, as JPEG, and a caption as HTML.

    Raises FileNotFoundError where a photo is gone.
    """
    taxonomy = find_taxonomy(row.label_set) if row.label_set else None
    meaning = _(
        "The colours show which regions raised the score of this class most. They do not show where a disease is, nor "
        "where the lesion ends, and they are no reason to trust the answer: a wrong answer has a heatmap, too."
    )
    found = []
    for photo in row.photos:
        if photo.heatmap and photo.answer:
            pixels = decode(get_photos().open(photo.name), max_side=PICTURE_SIDE)
            name = advice.class_word(taxonomy, photo.answer["predicted"])
            picture = encode_jpeg(lay_over(pixels, decode(photo.heatmap)[..., 0]))
            title = bold(_("For the class “%(name)s”", name=name))
            found.append((picture, f"{title}\n{escape(meaning, quote=False)}"))
    return found
