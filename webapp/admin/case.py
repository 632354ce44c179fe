"""One screening with everything that is stored of it, in the order of a reviewer's work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import exists, select

from ml.labels import Taxonomy, find_taxonomy
from webapp import audit
from webapp.account.access import requires
from webapp.admin import measures, review_words, similar, words
from webapp.admin.blueprint import blueprint
from webapp.admin.gate_table import gate_table
from webapp.database import write_transaction
from webapp.demo.entries import is_invented, shows_demo
from webapp.extensions import db
from webapp.history.filters import read_queue
from webapp.history.queue import neighbours
from webapp.inference import get_models
from webapp.loaded_models import Reference
from webapp.models.review import Review, ReviewLabel, ReviewStatus
from webapp.models.screening import PhotoRow, ScreeningRow, State
from webapp.models.shown_answer import ShownAnswer
from webapp.models.user import Role, User
from webapp.photos import get_photos
from webapp.responses import heatmap_jpeg, jpeg
from webapp.reviews.rules import DECIDED, may_adjudicate, standing
from webapp.reviews.second_answers import installed, second_answers
from webapp.reviews.writing import reviews_of

CLASS_KEYS = "1234567890"
"""The keys that choose the classes of a label set, in its order; the ones after the tenth have none."""
LABEL_KEYS = {ReviewLabel.OTHER: "o", ReviewLabel.NO_LESION: "l", ReviewLabel.CANNOT_TELL: "t"}
"""The keys of the answers beside the classes, the same whatever the label set."""


@dataclass(frozen=True)
class Typed:
    """What a reviewer has entered: kept where it could not be stored."""

    label: str = ""
    note: str = ""
    decides: bool = True


@dataclass(frozen=True)
class Choice:
    """One label that a reviewer can choose, with the key that chooses it; `status` only of a class."""

    key: str
    label: str
    name: str
    status: str
    probability: float | None


@dataclass(frozen=True)
class Said:
    """One review as it is shown: by whom, and whether it still counts."""

    review: Review
    reviewer: str
    counts: bool
    undone: bool


@blueprint.get("/screenings/<int(max=9223372036854775807):screening_id>")
@requires(Role.VIEWER)
def case(screening_id: int) -> ResponseReturnValue:
    """The page of one screening; `?queue=` is the list that it was opened from, `?after=` the one reviewed before."""
    row = find_case(screening_id)
    seen = (current_user.name, audit.VIEW, f"screening:{row.id}")
    if not audit.in_this_hour(*seen):
        with write_transaction():
            audit.record_hourly(*seen)
    return case_page(row)


def case_page(row: ScreeningRow, *, typed: Typed | None = None, fault: str = "") -> str:
    """The page, with what was entered and a sentence on why that could not be stored."""
    hidden = row.id in hidden_among([row])
    if not hidden:
        mark_shown(row)
    # Read once, and after whatever is written here: all that the page shows must be what its form says was seen.
    reviews = reviews_of(row.id)
    found = standing(reviews)
    taxonomy = find_taxonomy(row.label_set) if row.label_set else None
    reference = get_models().reference(row.model_name, row.model_version or "") if row.model_name else None
    gates = [photo.answer["gate"] for photo in row.photos if photo.answer] or ([row.gate] if row.gate else [])
    own = [one for one in reviews if one.reviewer_id == current_user.id]
    alike = [] if hidden else _similar(row, reference, taxonomy)
    queue = request.args.get("queue")
    reviewable = row.deleted_at is None and row.state == State.DONE and row.label_set is not None
    return render_template(
        "admin/case.html",
        row=row,
        taxonomy=taxonomy,
        words=words,
        review_words=review_words,
        reference=reference,
        measured=gate_table(gates, reference.bundle.card if reference else None),
        measures=measures,
        measured_lesions=[] if hidden else measures.measures_of(row),
        similar=alike,
        veiled=hidden_among([one.screening for near in alike for one in near.own]),
        scanned=similar.SCANNED,
        names_are_public=reference is not None and similar.names_are_public(reference.bundle.card),
        hidden=hidden,
        invented=shows_demo() and is_invented(row.id),
        fault=fault,
        typed=typed or _kept(own),
        reviewing=reviewable and current_user.may(Role.REVIEWER),
        choices=_choices(row, taxonomy),
        unlisted=set(row.probabilities or ()) - set(taxonomy.codes if taxonomy else ()),
        seen=reviews[-1].id if reviews else 0,
        standing=found,
        said=said_of(reviews),
        decided=any(one.status in DECIDED for one in found.opinions if one.reviewer_id == current_user.id),
        adjudicating=may_adjudicate(found, current_user),
        others=second_answers(row.id),
        models=installed(row.label_set) if reviewable and row.label_set else [],
        trail=audit.trail(f"screening:{row.id}"),
        queue=queue,
        after=request.args.get("after", type=int),
        neighbours=neighbours(*read_queue(queue or ""), row),
    )


def find_case(screening_id: int) -> ScreeningRow:
    """The screening as it is now. Raises HTTP 404 where there is none."""
    row = db.session.get(ScreeningRow, screening_id, populate_existing=True)
    if row is None:
        abort(404)
    return row


def mark_shown(row: ScreeningRow) -> None:
    """Remember, from log-in to log-in, that this person has been shown the model's answer: no review of theirs is a
    blind one any more. Nothing is written where that is known, or where there is no answer."""
    screening_id, user_id = row.id, current_user.id
    if row.state != State.DONE or row.deleted_at is not None:
        return
    if db.session.get(ShownAnswer, (screening_id, user_id)) is not None:
        return
    with write_transaction() as session:
        there = select(ScreeningRow.id).where(ScreeningRow.id == screening_id, ScreeningRow.deleted_at.is_(None))
        if session.scalar(there.with_for_update()) and not session.get(ShownAnswer, (screening_id, user_id)):
            session.add(ShownAnswer(screening_id=screening_id, user_id=user_id))


def hidden_among(rows: Iterable[ScreeningRow]) -> set[int]:
    """The ids of those whose answer this person, who wants to choose first, has neither reviewed nor been shown."""
    ids = {row.id for row in rows if row.state == State.DONE and row.deleted_at is None}
    if not ids or not current_user.review_blind or not current_user.may(Role.REVIEWER):
        return set()
    chosen = exists().where(
        Review.screening_id == ScreeningRow.id, Review.reviewer_id == current_user.id, Review.status.in_(DECIDED)
    )
    shown = exists().where(ShownAnswer.screening_id == ScreeningRow.id, ShownAnswer.user_id == current_user.id)
    return set(db.session.scalars(select(ScreeningRow.id).where(ScreeningRow.id.in_(ids), ~chosen, ~shown)))


def _kept(own: list[Review]) -> Typed:
    """What this person said last, for the form to begin with; nothing where that was taken back."""
    last = own[-1] if own else None
    if last is None or last.status not in (ReviewStatus.DRAFT, ReviewStatus.SUBMITTED):
        return Typed()
    return Typed(last.label or "", last.note or "" if last.status == ReviewStatus.DRAFT else "")


def _choices(row: ScreeningRow, taxonomy: Taxonomy | None) -> list[Choice]:
    labels = taxonomy.labels if taxonomy else ()
    named = [(CLASS_KEYS[at : at + 1], label.code, label.status.value) for at, label in enumerate(labels)]
    named += [(LABEL_KEYS[label], label.value, "") for label in ReviewLabel]
    shares = row.probabilities or {}
    return [
        Choice(key, code, review_words.label_word(taxonomy, code), status, shares.get(code))
        for key, code, status in named
    ]


def said_of(reviews: Sequence[Review]) -> list[Said]:
    """The reviews as they are shown, oldest first."""
    found = standing(reviews)
    ids = {one.reviewer_id for one in reviews}
    names = {user.id: user.name for user in db.session.scalars(select(User).where(User.id.in_(ids)))}
    undone = {one.undoes for one in reviews}
    counting = {one.id for one in (*found.opinions, *([found.decision] if found.decision else []))}
    return [
        Said(one, names.get(one.reviewer_id, str(one.reviewer_id)), one.id in counting, one.id in undone)
        for one in reviews
    ]


@dataclass(frozen=True)
class Similar:
    """What lies near one photo; `complete` is false where the history was too long to be searched to its end."""

    photo: PhotoRow
    confirmed: similar.Confirmed | None
    own: tuple[similar.OwnCase, ...]
    complete: bool


def _similar(row: ScreeningRow, reference: Reference | None, taxonomy: Taxonomy | None) -> list[Similar]:
    """The similar cases of each photo that was answered, in order."""
    features = [(photo, similar.photo_features(photo)) for photo in row.photos]
    known = [(photo, found) for photo, found in features if found is not None]
    if not known:
        return []
    index = reference.cases if reference else None
    history = similar.read_history(row, len(known[0][1]))
    return [
        Similar(
            photo,
            similar.confirmed_cases(index, found, taxonomy) if index else None,
            similar.own_cases(history, found),
            history.complete,
        )
        for photo, found in known
    ]


@blueprint.get("/photos/<int(max=9223372036854775807):photo_id>")
@requires(Role.VIEWER)
def photo(photo_id: int) -> ResponseReturnValue:
    """A kept photo, or its thumbnail with `?size=small`."""
    return jpeg(get_photos(), _find_photo(photo_id).name, small=request.args.get("size") == "small")


@blueprint.get("/photos/<int(max=9223372036854775807):photo_id>/heatmap")
@requires(Role.VIEWER)
def heatmap(photo_id: int) -> ResponseReturnValue:
    """A photo with the regions coloured that raised the score of the class it was given."""
    return heatmap_jpeg(get_photos(), _find_photo(photo_id))


def _find_photo(photo_id: int) -> PhotoRow:
    found = db.session.get(PhotoRow, photo_id)
    if found is None or found.screening.deleted_at is not None:  # a deletion that was cut short still has its files
        abort(404)
    return found
