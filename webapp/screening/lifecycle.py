"""The life of a screening's row: opened as pending, answered exactly once in effect.

A process may be killed between any two lines here. The order of steps leaves each time a state that the next visit of
the result page, or `flask screenings sweep`, completes:

- opening: photos are on the disk before their row is committed;
- answering: a row is claimed by a conditional update, and the answer is written only while that claim still stands.

How it ends is in webapp.screening.erasing.
"""

import hashlib
import logging
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from flask import current_app
from numpy.typing import NDArray
from sqlalchemy import and_, or_, select, update

from ml import decoding
from ml.errors import AnswerError, BundleError, InvalidImage, MLError
from ml.images import MIN_SIDE, decode
from ml.screening import beside
from webapp import admission, clock, metrics
from webapp.config import PHOTOS_PER_SCREENING, Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.first_looks import first_look_at
from webapp.inference import get_models, get_screener
from webapp.models.screening import PhotoRow, ScreeningRow, State, token_hash
from webapp.photos import get_photos
from webapp.promotion import shadow

if TYPE_CHECKING:
    from ml.preliminary import FirstLook

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Upload:
    """One decoded photo, upright RGB [H, W, 3], and the SHA-256 of the file that it came from."""

    pixels: NDArray[np.uint8]
    sha256: str

    @classmethod
    def read(cls, content: bytes, config: Config) -> "Upload":
        """Decode an uploaded file, in a process of its own.

        Raises InvalidImage saying why it is not a photo, and DecoderUnavailable where no such process can be had.
        """
        pixels = decoding.decode(content, max_pixels=config.max_pixels, max_side=config.photo_max_side)
        if min(pixels.shape[:2]) < MIN_SIDE:  # a long strip, shrunk until nothing is left of it
            raise InvalidImage("too_small")
        return cls(pixels, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Sender:
    """Who sent photos, where a channel knows: a keyed hash, the answer's encrypted address, the times of consents."""

    key: str
    reply_to: bytes
    consent_at: datetime
    training_consent_at: datetime | None = None


def open_screening(
    uploads: Sequence[Upload],
    *,
    channel: str,
    language: str,
    consented: bool,
    trainable: bool = False,
    label_set: str | None = None,
    token: str | None = None,
    sender: Sender | None = None,
    alone: "FirstLook | None" = None,
) -> tuple[int, str]:
    """Keep the photos and commit a pending row for them; returns its id and the token of its page.

    `trainable` is the consent to training with them. `label_set` is the one that the row is to be answered with, the
    default model's when None. A first look is taken here and kept with the row; with `alone` that one is the answer,
    and the row is done. A `token` that is given must be as hard to guess as the one made otherwise. Raises OSError
    where photos cannot be kept, and IntegrityError where there is a row with this token already; nothing is left behind
    then.
    """
    token = token or secrets.token_urlsafe(32)
    store = get_photos()
    now = clock.now()
    consent_at = sender.consent_at if sender else now if consented else None
    names: list[str] = []
    try:
        for upload in uploads:
            names.append(store.keep(upload.pixels))
        photos = [
            _photo(position, name, upload)
            for position, (name, upload) in enumerate(zip(names, uploads, strict=True), start=1)
        ]
        row = ScreeningRow(
            token_hash=token_hash(token),
            channel=channel,
            language=language,
            created_at=now,
            asked_label_set=label_set,
            consent_at=consent_at,
            training_consent_at=sender.training_consent_at if sender else now if trainable else None,
            sender=sender.key if sender else None,
            reply_to=sender.reply_to if sender else None,
            photos=photos,
            **_looked_at([upload.pixels for upload in uploads], photos, label_set, alone),
        )
        with write_transaction() as session:
            session.add(row)
    except Exception:
        for name in names:
            with suppress(OSError):
                store.delete(name)
        raise
    return row.id, token


def _looked_at(
    pixels: Sequence[NDArray[np.uint8]], photos: Sequence[PhotoRow], label_set: str | None, alone: "FirstLook | None"
) -> dict[str, Any]:
    """The columns of a new row that the first look decides; with `alone` those of its photos are set too."""
    if alone is None:
        return {"state": State.PENDING, "first_look": first_look_at(pixels, label_set)}
    whole, each = alone.screen(pixels)
    for photo, one in zip(photos, each, strict=True):
        photo.answer = one.to_dict()
    return {**ScreeningRow.columns_of(whole), "state": State.DONE, "finished_at": clock.now()}


def add_photo(screening_id: int, upload: Upload) -> Literal["added", "full", "late"]:
    """Keep one more photo with a screening whose photos arrive one by one. The same file is added once only.

    Nothing is kept where the screening has its photos already, or where its answer has begun or it was erased. Raises
    OSError where the photo cannot be kept.
    """
    store = get_photos()
    name = store.keep(upload.pixels)
    outcome: Literal["added", "full", "late"] = "late"
    new = False
    try:
        with write_transaction() as session:
            row = session.get_one(ScreeningRow, screening_id, populate_existing=True, with_for_update=True)
            kept = {photo.sha256 for photo in row.photos}
            if upload.sha256 in kept:
                outcome = "added"
            elif row.state == State.PENDING and row.deleted_at is None and row.attempts == 0:
                new = len(kept) < PHOTOS_PER_SCREENING
                outcome = "added" if new else "full"
            if new:
                row.photos.append(_photo(len(row.photos) + 1, name, upload))
                row.first_look = None  # it was taken of fewer photos; answering takes another, of all
    except Exception:
        new = False
        raise
    finally:
        if not new:
            store.delete(name)
    return outcome


def _photo(position: int, name: str, upload: Upload) -> PhotoRow:
    height, width = upload.pixels.shape[:2]
    return PhotoRow(position=position, name=name, sha256=upload.sha256, width=width, height=height)


def answer(screening_id: int) -> None:
    """Answer a pending row, if nobody else has or is about to. What it became is in the row.

    Raises Busy when the model is not free in time and BundleError when there is none: the row stays pending then.
    """
    asked = db.session.scalar(select(ScreeningRow.asked_label_set).where(ScreeningRow.id == screening_id))
    db.session.commit()  # no transaction stays open while a model is loaded
    screener = get_screener(asked)
    with get_models().turn():
        claim = _claim(screening_id)
        if claim is None:
            return
        photos = db.session.scalars(
            select(PhotoRow).where(PhotoRow.screening_id == screening_id).order_by(PhotoRow.position)
        ).all()
        looked = db.session.scalar(select(ScreeningRow.first_look).where(ScreeningRow.id == screening_id))
        db.session.commit()  # no transaction stays open while the network works
        try:
            started = time.perf_counter()
            # In this process, as always with what the application has encoded itself: nothing of a sender's is in it.
            pixels = [decode(get_photos().open(photo.name)) for photo in photos]
            decoded = time.perf_counter() - started
            whole, each, evidence = screener.screen(pixels)
            looked = looked or first_look_at(pixels, asked)
            admission.get_admission().served(get_models().turn_age())
        except BundleError:
            _finish(screening_id, claim, {"claim": None})
            raise
        except AnswerError:  # nothing is wrong with the photo: it is asked about again
            log.exception("screening %d: attempt failed", screening_id)
            _finish(screening_id, claim, {"claim": None})
            return
        except (FileNotFoundError, MLError):
            log.exception("screening %d: a kept photo is missing or unreadable", screening_id)
            _finish(screening_id, claim, {"state": State.FAILED, "failure": "photo_lost", "finished_at": clock.now()})
            return
        except Exception:
            # The claim is given back: the next visit tries again, up to MAX_ATTEMPTS times.
            log.exception("screening %d: attempt failed", screening_id)
            _finish(screening_id, claim, {"claim": None})
            return
    whole = replace(beside(whole, looked), seconds={**whole.seconds, "decode": round(decoded, 4)})
    values = {**ScreeningRow.columns_of(whole), "state": State.DONE, "finished_at": clock.now()}
    outcomes = zip(photos, each, evidence, strict=True)
    _finish(screening_id, claim, values, [(p.id, PhotoRow.columns_of(one, found)) for p, one, found in outcomes])
    metrics.answered(whole)
    shadow.offer(screening_id, whole.label_set)


def _claim(screening_id: int) -> str | None:
    """Take a pending row for this attempt; None when it is answered, gone, or in somebody else's hands."""
    now = clock.now()
    patience = timedelta(seconds=_config().claim_seconds)
    claim = secrets.token_hex(16)
    free = or_(
        ScreeningRow.claim.is_(None),
        ScreeningRow.claimed_at < now - patience,
        ScreeningRow.claimed_at > now + patience,  # the clock was set back: that time means nothing
    )
    open_row = and_(
        ScreeningRow.id == screening_id, ScreeningRow.state == State.PENDING, ScreeningRow.deleted_at.is_(None)
    )
    with write_transaction() as session:
        # A photo that ends the process each time must not do so for ever.
        session.execute(
            update(ScreeningRow)
            .where(open_row, free, ScreeningRow.attempts >= MAX_ATTEMPTS)
            .values(state=State.FAILED, failure="no_answer", finished_at=now, claim=None)
        )
        taken = session.execute(
            update(ScreeningRow)
            .where(open_row, free)
            .values(claim=claim, claimed_at=now, attempts=ScreeningRow.attempts + 1)
            .returning(ScreeningRow.id)
        ).first()
    return claim if taken else None


def _finish(
    screening_id: int, claim: str, values: dict[str, Any], photos: Sequence[tuple[int, dict[str, Any]]] = ()
) -> None:
    """Write the outcome of an attempt, unless its claim has passed to another or the row was erased meanwhile."""
    with write_transaction() as session:
        written = session.execute(
            update(ScreeningRow)
            .where(
                ScreeningRow.id == screening_id,
                ScreeningRow.claim == claim,
                ScreeningRow.state == State.PENDING,
                ScreeningRow.deleted_at.is_(None),
            )
            .values(**{"claim": None, **values})
            .returning(ScreeningRow.id)
        ).first()
        if written:
            for photo_id, outcome in photos:
                session.execute(update(PhotoRow).where(PhotoRow.id == photo_id).values(**outcome))


def _config() -> Config:
    config: Config = current_app.config["LENS"]
    return config
