"""Asking another model about a screening. Its own answer stays what it was."""

from dataclasses import dataclass
from pathlib import Path

from flask import current_app
from sqlalchemy import select

from ml.bundle import PRETRAINED_FOLDER, is_bundle, load_bundle, read_card
from ml.errors import BundleError
from ml.images import decode
from webapp import audit, clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.inference import get_models
from webapp.models.screening import PhotoRow, ScreeningRow, State
from webapp.models.second_answer import SecondAnswer
from webapp.photos import get_photos


@dataclass(frozen=True)
class Installed:
    """A bundle that is there, as its card names it, unverified: loading it verifies."""

    name: str
    version: str
    path: Path

    @property
    def reference(self) -> str:
        """NAME@VERSION."""
        return f"{self.name}@{self.version}"


def installed(label_set: str) -> list[Installed]:
    """Every installed bundle that answers with a label set, shipped ones first, then trained ones, newest first."""
    config: Config = current_app.config["LENS"]
    trained = sorted(config.models.glob("*/*"), key=lambda path: (path.parent.name, path.name), reverse=True)
    found: dict[str, Installed] = {}
    for path in (*sorted(PRETRAINED_FOLDER.glob("*")), *map(Path, config.model_references), *trained):
        if not is_bundle(path):
            continue
        try:
            card = read_card(path)
            if card["label_set"] == label_set and not card.get("stage"):
                one = Installed(str(card["name"]), str(card["version"]), path)
                found.setdefault(one.reference, one)
        except (BundleError, KeyError, TypeError):
            continue
    return list(found.values())


def second_answers(screening_id: int) -> list[SecondAnswer]:
    """Every further answer to a screening, oldest first."""
    found = select(SecondAnswer).where(SecondAnswer.screening_id == screening_id).order_by(SecondAnswer.id)
    return list(db.session.scalars(found))


def rescore(row: ScreeningRow, reference: str, user_id: int) -> bool:
    """Have an installed model answer the kept photos and keep what it says; False where the screening is gone by then.

    Raises LookupError for a model that is not installed for this label set, FileNotFoundError where a photo is not kept
    any more, Busy where the models are in use, and BundleError for a damaged one.
    """
    from ml.screen import Screener  # brings a deep-learning library, which the web application starts without

    model = next((one for one in installed(row.label_set or "") if one.reference == reference), None)
    if model is None:
        raise LookupError(reference)
    config: Config = current_app.config["LENS"]
    screening_id, names = row.id, [photo.name for photo in row.photos]
    db.session.commit()  # no transaction stays open while a network works
    # Before the turn: whoever sends a photo need not wait while this one is read and a model verified and loaded.
    pixels = [decode(get_photos().open(name)) for name in names]
    screener = Screener(load_bundle(model.path), answer_not_dermatoscopic=config.answer_not_dermatoscopic)
    with get_models().turn():
        whole, _each, _evidence = screener.screen(pixels)
    with write_transaction() as session:
        there = session.scalar(
            select(ScreeningRow.id)
            .where(ScreeningRow.id == screening_id, ScreeningRow.deleted_at.is_(None), ScreeningRow.state == State.DONE)
            .with_for_update()
        )
        if there is None or not session.scalar(select(PhotoRow.id).where(PhotoRow.screening_id == screening_id)):
            return False
        session.add(
            SecondAnswer(
                screening_id=screening_id,
                purpose="rescore",
                model_name=whole.model["name"],
                model_version=whole.model["version"],
                answer=whole.to_dict(),
                created_at=clock.now(),
                by=user_id,
            )
        )
        audit.record("case.rescore", f"screening:{screening_id}", model=reference)
    return True
