"""A screening as a PDF, for a file or a colleague: photos, answer in plain words, reviews, and what it all is not."""

from flask import Response, abort, current_app, make_response
from flask_babel import format_datetime
from flask_login import current_user

from ml.explain import PICTURE_SIDE, lay_over
from ml.images import decode, encode_jpeg
from ml.labels import Taxonomy, find_taxonomy
from webapp import audit, clock
from webapp.account.access import requires
from webapp.admin import review_words, words
from webapp.admin.blueprint import blueprint
from webapp.admin.case import Said, find_case, hidden_among, mark_shown, said_of
from webapp.admin.pdf_pages import Pages
from webapp.database import write_transaction
from webapp.i18n import choose_language, percent
from webapp.i18n import gettext as _
from webapp.model_page.facts import find_model
from webapp.models.screening import ScreeningRow, State
from webapp.models.user import Role
from webapp.photos import get_photos
from webapp.reviews.rules import standing
from webapp.reviews.second_answers import second_answers
from webapp.reviews.writing import reviews_of
from webapp.screening import advice, first_impressions, grades, status_reasons


@blueprint.get("/screenings/<int(max=9223372036854775807):screening_id>.pdf")
@requires(Role.VIEWER)
def case_pdf(screening_id: int) -> Response:
    """The PDF of an answered screening; not before a reviewer who works blind has chosen."""
    row = find_case(screening_id)
    if row.deleted_at is not None:
        abort(410)
    if row.state != State.DONE or row.id in hidden_among([row]):
        abort(404)
    mark_shown(row)
    content = document(row, said_of(reviews_of(row.id)))
    with write_transaction():
        audit.record("case.pdf", f"screening:{screening_id}")
    response = make_response(content)
    response.headers["Content-Type"] = "application/pdf"
    response.headers["Content-Disposition"] = f'attachment; filename="lesion-lens-{screening_id}.pdf"'
    return response


def document(row: ScreeningRow, said: list[Said]) -> bytes:
    """The PDF's bytes, in the language of the request."""
    taxonomy = find_taxonomy(row.label_set) if row.label_set else None
    title = _("Screening %(number)d", number=row.id)
    disclaimer = _("Lesion Lens is made for research and education. It is not a medical device and gives no diagnosis.")
    notes = [one.review.note or "" for one in said] + [one.reviewer for one in said]
    pages = Pages(f"Lesion Lens: {title}", choose_language(), disclaimer, notes)
    pages.text_block("Lesion Lens", size=9, bold=True, soft=True, after=0)
    pages.text_block(title, size=18, bold=True, after=1)
    made = _("Made on %(time)s UTC by %(name)s", time=_time(clock.now()), name=current_user.name)
    pages.text_block(made, size=8.5, soft=True)
    pages.text_block(
        _(
            "This is not a diagnosis. It is the estimate of a computer that has seen pictures only, not you. Only an "
            "examination, and often a tissue sample, can tell what a lesion is."
        ),
        bold=True,
    )
    _pictures(pages, row, taxonomy)
    _answer(pages, row, taxonomy)
    _reviews(pages, row, taxonomy, said)
    _record(pages, row, taxonomy)
    return bytes(pages.output())


def _pictures(pages: Pages, row: ScreeningRow, taxonomy: Taxonomy | None) -> None:
    photos, heatmaps = [], []
    for photo in row.photos:
        try:
            pixels = decode(get_photos().open(photo.name), max_side=PICTURE_SIDE)
        except FileNotFoundError:
            continue
        photos.append((encode_jpeg(pixels), _("Photo %(number)d", number=photo.position)))
        if photo.heatmap is not None and photo.answer and photo.answer.get("predicted"):
            name = advice.class_word(taxonomy, photo.answer["predicted"])
            coloured = encode_jpeg(lay_over(pixels, decode(photo.heatmap)[..., 0]))
            heatmaps.append((coloured, _("What raised the score of “%(name)s”", name=name)))
    if len(photos) == 1:
        pages.pictures([*photos, *heatmaps], height=62)
    else:
        pages.pictures(photos, height=48)
        pages.pictures(heatmaps, height=48)


def _answer(pages: Pages, row: ScreeningRow, taxonomy: Taxonomy | None) -> None:
    status = row.status or ""
    pages.heading(_("Answer of the model"))
    pages.text_block(f"{advice.status_word(status)}: {advice.status_summary(status)}", bold=True)
    if row.gate and status == "refused":
        pages.text_block(advice.refusal(row.gate["reason"]))
    if row.predicted:
        pages.text_block(_("It looks most like: %(name)s.", name=advice.class_word(taxonomy, row.predicted)))
        for sentence in _measured(row, taxonomy):
            pages.text_block(sentence)
        named = advice.find_label(taxonomy, row.predicted)
        if beyond := status_reasons.beyond_named(str(row.status), named, row.malignant_risk):
            pages.text_block(beyond)
    if row.malignant_risk is not None:
        pages.text_block(status_reasons.risk_sentence(row.malignant_risk, row.thresholds))
    if row.severity:
        grade = grades.severity_word(row.severity["grade"])
        pages.text_block(f"{grade}. {grades.severity_meaning(row.severity['source'])}")
    next_step = first_impressions.next_step(row, taxonomy)
    pages.text_block(f"{_('What to do next')}: {next_step.lead} {' '.join(next_step.points)}")
    if row.probabilities:
        ranked = sorted(row.probabilities.items(), key=lambda item: -item[1])
        pages.facts([(advice.class_word(taxonomy, code), percent(share)) for code, share in ranked], (5, 1))
    others = second_answers(row.id)
    if others:
        pages.text_block(_("Other models, asked afterwards:"), bold=True, after=0.5)
    for other in others:
        named = other.answer["predicted"]
        word = advice.class_word(taxonomy, named) if named else advice.status_word(other.answer["status"])
        pages.text_block(f"{other.model_name} {other.model_version}: {word}", size=9, after=0.5)


def _measured(row: ScreeningRow, taxonomy: Taxonomy | None) -> list[str]:
    """How the model fared in its test with pictures of the class that it names, with intervals, in plain words."""
    model = find_model(current_app.config["LENS"], row.model_name or "", row.model_version or "")
    facts = next((one for one in model.classes() if one.label.code == row.predicted), None) if model else None
    if facts is None:
        return []
    name, sentences = advice.class_word(taxonomy, row.predicted or ""), []
    if facts.named is not None and facts.named_interval is not None:
        low, high = facts.named_interval
        sentences.append(
            _(
                "In its test, with %(images)d pictures of “%(name)s”, the model named this class in %(share)s of them; "
                "with other such pictures it would be between %(low)s and %(high)s (95%% interval).",
                images=facts.images, name=name, share=percent(facts.named), low=percent(low), high=percent(high),
            )
        )  # fmt: skip
    return sentences


def _reviews(pages: Pages, row: ScreeningRow, taxonomy: Taxonomy | None, said: list[Said]) -> None:
    found = standing([one.review for one in said])
    pages.heading(_("Reviews"))
    told = review_words.case_status(found.status)
    if found.label:
        told = f"{told}: {review_words.label_word(taxonomy, found.label)}"
    pages.text_block(told, bold=True)
    for one in said:
        review = one.review
        what = review_words.said(review.status, adjudicates=review.adjudicates, undoing=review.undoes is not None)
        label = f": {review_words.label_word(taxonomy, review.label)}" if review.label else ""
        blind = f" ({_('blind')})" if review.blind else ""
        blind += f" ({_('undone')})" if one.undone else ""
        pages.text_block(f"{_time(review.created_at)} UTC · {one.reviewer} · {what}{label}{blind}", size=9, after=0.5)
        if review.note:
            pages.text_block(review.note, size=9, soft=True, after=1)


def _record(pages: Pages, row: ScreeningRow, taxonomy: Taxonomy | None) -> None:
    pages.heading(_("Record"))
    facts = [
        (_("Created"), f"{_time(row.created_at)} UTC"),
        (_("Channel"), words.channel(row.channel)),
        (_("Label set"), advice.label_set_title(taxonomy) if taxonomy else row.label_set or ""),
        (_("Model"), f"{row.model_name} {row.model_version}"),
        *((words.threshold(name), percent(level)) for name, level in (row.thresholds or {}).items()),
        *((f"{_('Photo %(number)d', number=photo.position)}, SHA-256", photo.sha256) for photo in row.photos),
    ]
    pages.facts(facts, (2, 5))


def _time(moment: object) -> str:
    return str(format_datetime(moment, "d MMM y, HH:mm", rebase=False))
