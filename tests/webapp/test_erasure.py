"""What erasing leaves behind, byte by byte: marks are planted in everything that is kept of a screening, and all files
of the instance are searched for them, the database's free pages and its write-ahead log included."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.times import Clock
from webapp import clock as clock_module
from webapp.config import Config
from webapp.database import forget_deleted, write_transaction
from webapp.extensions import db
from webapp.models.audit import AuditEntry
from webapp.models.review import Review, ReviewStatus
from webapp.models.screening import PhotoRow, ScreeningRow, State, token_hash
from webapp.models.second_answer import SecondAnswer
from webapp.models.shown_answer import ShownAnswer
from webapp.models.user import Role, User
from webapp.photos import get_photos
from webapp.reviews import copies
from webapp.telegram.chats import chat_hash, forget

Post = Callable[..., TestResponse]
CHAT = 4711
AROUND = 12
"""Screenings before and after the marked one, so that pages of the database are split and shared."""


@dataclass(frozen=True)
class Planted:
    """A screening whose every part carries a mark."""

    screening_id: int
    token: str
    marks: dict[str, bytes]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings without a model: what an answer leaves is planted here."""
    return Config(
        instance=tmp_path / "instance",
        model=str(tmp_path / "none"),
        photo_retention_days=30,
        telegram_token="1:x",
        secret_key="for tests only",
        login_rate="10000 per minute",
        testing=True,
    )


@pytest.fixture
def planted(app: Flask, config: Config, add_user: Callable[..., User]) -> Planted:
    """One marked screening among others, some of which are changed afterwards."""
    reviewer = add_user("rita", Role.REVIEWER)
    with app.app_context():
        others = [_screening(reviewer, config)[0] for _ in range(AROUND)]
        marked, token, marks = _screening(reviewer, config)
        others += [_screening(reviewer, config)[0] for _ in range(AROUND)]
        with write_transaction() as session:  # pages are written again and again, as in use
            for number in others[::3]:
                session.get_one(ScreeningRow, number).first_look = {"note": "longer than before " * 40}
        forget_deleted()
    return Planted(marked, token, marks)


def _mark(marks: dict[str, bytes], name: str) -> str:
    marks[name] = (f"mark-{name}-" + secrets.token_hex(12)).encode()
    return marks[name].decode()


def _screening(reviewer: User, config: Config) -> tuple[int, str, dict[str, bytes]]:
    """A reviewed screening that was also exported for a training run: id, token, marks."""
    marks: dict[str, bytes] = {}
    random = np.random.default_rng(secrets.randbits(64))
    store, now, token = get_photos(), clock_module.now(), secrets.token_urlsafe(32)
    name = store.keep(random.integers(0, 256, (400, 400, 3), dtype=np.uint8))
    marks["photo"], marks["thumbnail"] = store.open(name)[5000:5040], store.open(name, small=True)[5000:5040]
    heatmap, features = random.bytes(9000), random.bytes(5000)
    marks["heatmap"], marks["features"] = heatmap[4000:4032], features[3000:3032]
    marks["name"] = name.encode()
    fingerprint = secrets.token_hex(32)
    marks["fingerprint"] = fingerprint.encode()
    row = ScreeningRow(
        token_hash=token_hash(token), state=State.DONE, channel="telegram", language="en", created_at=now,
        consent_at=now, training_consent_at=now, finished_at=now, sender=chat_hash(CHAT), label_set="ham10000",
        model_name="tiny", model_version="1", review_status="submitted", malignant_risk=0.5, status="uncertain",
        predicted=_mark(marks, "predicted"), reviewed_class=_mark(marks, "agreed"),
        probabilities={_mark(marks, "probabilities"): 0.5},
        thresholds={_mark(marks, "thresholds"): 0.5}, gate={"verdict": "usable", "reason": _mark(marks, "gate")},
        first_look={"predicted": _mark(marks, "first_look"), "features": ["x" * 3000, _mark(marks, "measured")]},
        severity={"grade": _mark(marks, "severity")}, seconds={_mark(marks, "seconds"): 1.0},
        reply_to=_mark(marks, "reply_to").encode(),
        photos=[
            PhotoRow(position=1, name=name, sha256=fingerprint, width=400, height=400, heatmap=heatmap,
                     features=features, answer={"predicted": _mark(marks, "photo_answer")})
        ],
    )  # fmt: skip
    with write_transaction() as session:
        session.add(row)
        session.flush()
        session.add(
            Review(
                screening_id=row.id, reviewer_id=reviewer.id, status=ReviewStatus.SUBMITTED, created_at=now,
                label=_mark(marks, "label"), note=_mark(marks, "note") + " long " * 300,
            )
        )  # fmt: skip
        session.add(ShownAnswer(screening_id=row.id, user_id=reviewer.id))
        for purpose in ("shadow", "rescore"):
            session.add(
                SecondAnswer(
                    screening_id=row.id, purpose=purpose, model_name="other", model_version="1", created_at=now,
                    answer={"predicted": _mark(marks, purpose)},
                )
            )  # fmt: skip
    exported = config.runs / "3" / "reviewed" / "ham10000" / "nv" / f"screening-{row.id}-1.jpg"
    exported.parent.mkdir(parents=True, exist_ok=True)
    exported.write_bytes(store.open(name))
    decoded = config.runs / "3" / "reviewed" / "cache" / f"{row.id}.npy"
    decoded.parent.mkdir(parents=True, exist_ok=True)
    decoded.write_bytes(_mark(marks, "decoded").encode())
    return row.id, token, marks


def found(config: Config, marks: dict[str, bytes]) -> Iterator[str]:
    """Where marks are in the files of the instance: "note in lesion-lens.sqlite-wal"."""
    for path in sorted(config.instance.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        relative = path.relative_to(config.instance)
        yield from (f"{name} in {relative}" for name, mark in marks.items() if mark in content or mark in bytes(path))


def by_the_person(app: Flask, planted: Planted, post: Post) -> None:
    place = f"/results/{planted.token}"
    assert post(f"{place}/delete", page="/").status_code == 303
    assert app.test_client().get(place).status_code == 410


def by_an_admin(app: Flask, planted: Planted, post: Post) -> None:
    place = f"/admin/screenings/{planted.screening_id}"
    assert post("/login", name="anna", password="correct horse battery staple").status_code == 303
    for _ in range(2):
        assert post(f"{place}/delete", page="/").location == place
    with app.app_context():
        told = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "screening.delete")).all()
    assert [(entry.actor, entry.subject) for entry in told] == [("anna", f"screening:{planted.screening_id}")]


def by_the_bot(app: Flask, planted: Planted, post: Post) -> None:
    with app.app_context():
        assert forget(CHAT) == 2 * AROUND + 1


@pytest.mark.parametrize("way", [by_the_person, by_an_admin, by_the_bot])
def test_nothing_of_a_screening_remains(
    app: Flask,
    client: FlaskClient,
    config: Config,
    planted: Planted,
    post: Post,
    add_user: Callable[..., User],
    way: Callable[[Flask, Planted, Post], None],
) -> None:
    add_user("anna", Role.ADMIN)
    assert {one.split(" ")[0] for one in found(config, planted.marks)} == set(planted.marks)  # the search finds them
    way(app, planted, post)
    assert not list(found(config, planted.marks))
    _stands(app, planted)


def test_nothing_remains_after_the_time_that_photos_are_kept(
    app: Flask, config: Config, clock: Clock, planted: Planted
) -> None:
    run = app.test_cli_runner().invoke
    assert run(args=["photos", "purge"]).output == "0 screenings erased.\n"
    clock.forward(days=config.photo_retention_days, hours=1)
    assert run(args=["photos", "purge"]).output == f"{2 * AROUND + 1} screenings erased.\n"
    assert not list(found(config, planted.marks))
    _stands(app, planted)


def _stands(app: Flask, planted: Planted) -> None:
    """The tombstone, with what the page about privacy says that remains."""
    with app.app_context():
        row = db.session.get_one(ScreeningRow, planted.screening_id)
        assert row.deleted_at is not None
        assert (row.token_hash, row.model_name, row.channel) == (token_hash(planted.token), "tiny", "telegram")
        assert row.photos == []
        assert not db.session.scalars(select(ShownAnswer).where(ShownAnswer.screening_id == row.id)).all()
        review = db.session.scalars(select(Review).where(Review.screening_id == row.id)).one()
        assert (review.label, review.note) == (None, None)


def test_what_readers_hold_up_the_next_sweep_forgets(app: Flask, config: Config, planted: Planted, post: Post) -> None:
    """A transaction that reads keeps the log from being emptied; deleting does not wait for it."""
    with app.app_context(), db.engine.connect() as reader:
        reader.execute(select(ScreeningRow.id)).all()
        by_the_person(app, planted, post)
    app.test_cli_runner().invoke(args=["photos", "purge"])
    assert not list(found(config, planted.marks))


def test_taking_consent_back_removes_the_copies_of_runs(
    app: Flask, config: Config, planted: Planted, post: Post
) -> None:
    copies = config.runs / "3" / "reviewed"
    assert post(f"/results/{planted.token}/training", page="/", allow="yes").status_code == 303
    assert copies.exists()
    assert post(f"/results/{planted.token}/training", page="/", allow="no").status_code == 303
    assert not copies.exists()


def test_copies_that_could_not_be_removed_are_tried_again(
    app: Flask, config: Config, planted: Planted, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def refuse(path: Path, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    by_the_person(app, planted, post)
    assert any("reviewed" in place for place in found(config, planted.marks))
    assert (config.runs / "3" / copies.TAKEN).exists()
    monkeypatch.setattr(shutil, "rmtree", remove)
    assert "1 deletions finished" in app.test_cli_runner().invoke(args=["photos", "sweep"]).output
    assert not list(found(config, planted.marks))


def test_a_sweep_removes_copies_whose_consent_is_gone(app: Flask, config: Config, planted: Planted) -> None:
    """As a process leaves them that is killed between the two, or an export that had read the photo before."""
    folder = config.runs / "3" / "reviewed"
    app.test_cli_runner().invoke(args=["photos", "sweep"])
    assert folder.exists()
    with app.app_context(), write_transaction() as session:
        session.get_one(ScreeningRow, planted.screening_id).training_consent_at = None
    app.test_cli_runner().invoke(args=["photos", "sweep"])
    assert not folder.exists()
