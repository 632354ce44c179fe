"""What reviewers say becomes part of a model, and a model is compared for its promotion: both queued from the web and
done by `flask trainer`."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from ml.bundle import Bundle, find_bundle, load_bundle
from ml.data.manifest import load_dataset
from ml.provenance import learnt_from, met
from ml.run_folder import HISTORY
from tests.promotion import MARGIN, install
from tests.webapp.api import send as send_to_api
from tests.webapp.training.processes import ended, run_of, trainer, wait_for
from webapp.config import Config
from webapp.extensions import db
from webapp.models.promotion import Promotion, PromotionCheck
from webapp.models.screening import ScreeningRow
from webapp.models.training_run import Kind, RunState, TrainingRun
from webapp.screening.erasing import erase
from webapp.training import queue

pytestmark = pytest.mark.slow

Post = Callable[..., TestResponse]
Rows = Callable[[], Sequence[ScreeningRow]]
WEAK = "/admin/models/weak/1"
WAITS = "A comparison with the model that answers waits"


@pytest.fixture
def config(config: Config, tiny_bundle: Bundle, weak_bundle: Bundle, drawn_data: Path, promotion_set: Path) -> Config:
    """A model that answers, a worse one beside it, data to train on and a set to compare by."""
    config = replace(
        config,
        model="first@1",
        api_rate="100000 per minute",
        training_data=str(drawn_data),
        promotion_data=str(promotion_set),
        promotion_margin=MARGIN,
    )
    install(tiny_bundle, config.models, "first")
    install(weak_bundle, config.models, "weak")
    return config


@pytest.fixture
def review(client: FlaskClient, post: Post, rows: Rows) -> Callable[..., None]:
    """Has a photo screened, and says on its case page what it shows."""

    def add(photo: bytes, label: str, *, training: str | None = "true") -> None:
        assert send_to_api(client, photo, training_consent=training).status_code == 201
        path = f"/admin/screenings/{rows()[-1].id}"
        assert post(f"{path}/reviews", page=path, action="submit", label=label, seen="0").status_code == 303

    return add


def retrain(post: Post, *, epochs: int) -> None:
    """Ask for a run that begins with the model that answers and learns from the reviewed cases too."""
    choice = {
        "data": "prepared", "start": "first@1", "architecture": "lenet", "image_size": "32", "epochs": str(epochs),
        "name": "mine", "include_reviewed": "y",
    }  # fmt: skip
    assert post("/admin/training", page="/admin/training/new", **choice).status_code == 303


def queued(app: Flask) -> dict[str, int]:
    """The runs that wait, by their kind."""
    with app.app_context():
        waiting = db.session.scalars(select(TrainingRun).where(TrainingRun.state == RunState.QUEUED))
        return {run.kind: run.id for run in waiting}


def test_reviewed_cases_are_learnt_from_and_a_comparison_is_made(
    app: Flask,
    config: Config,
    admin: FlaskClient,
    post: Post,
    review: Callable[..., None],
    photo: Callable[..., bytes],
    drawn_data: Path,
) -> None:
    dataset = load_dataset(drawn_data)
    frozen = {name: next(one for one in dataset.split(name) if one.label == "nv") for name in ("test", "val")}
    review(photo("mel", 401), "mel")
    review(photo("bcc", 402), "mel")
    review(photo("vasc", 403), "_other")
    review(photo("nv", 404), "nv", training=None)
    for record in frozen.values():  # somebody sends photos that the model is judged by
        review(record.path.read_bytes(), "nv")

    retrain(post, epochs=2)
    assert post(f"{WEAK}/promote", page=WEAK).status_code == 303
    assert WAITS in admin.get(WEAK).text
    training, comparison = (queued(app)[kind] for kind in (Kind.TRAIN, Kind.PROMOTION))
    with trainer(app):
        for run_id in (training, comparison):
            wait_for(ended(app, run_id))
    has_learnt(app, config, training, drawn_data)
    was_compared(app, admin, post, comparison)


def has_learnt(app: Flask, config: Config, run_id: int, data: Path) -> None:
    """The run ended in a whole bundle, with two of the reviewed cases and nothing of what is frozen."""
    run = run_of(app, run_id)
    assert (run.state, run.error, run.attempts, run.epoch) == (RunState.DONE, None, 1, 2)
    assert run.bundle is not None
    bundle, dataset = load_bundle(find_bundle(run.bundle, config.models)), load_dataset(data)
    told = bundle.card.data["reviewed"]
    assert (told["images"], told["lesions"]) == (2, 2)
    assert {code: count for code, count in told["images_per_class"].items() if count} == {"mel": 2}
    assert sorted(told["left_out"].values()) == [1, 1]
    assert [sum(split in reason for reason in told["left_out"]) for split in ("test", "val")] == [1, 1]
    digests = dataset.fingerprint()["split_digests"]
    assert bundle.card.data["split_digests"] | {"train": ""} == digests | {"train": ""}
    assert bundle.card.data["split_digests"]["train"] != digests["train"]
    assert len(learnt_from(bundle) or ()) >= len(dataset.split("train")) + 2
    assert met(bundle, (record.sha256 for record in dataset.split("test"))) == 0


def was_compared(app: Flask, admin: FlaskClient, post: Post, run_id: int) -> None:
    """The numbers are kept and shown; by them, and without another comparison, the worse model is refused."""
    run = run_of(app, run_id)
    assert (run.state, run.error, run.attempts) == (RunState.DONE, None, 1)
    with app.app_context():
        check = db.session.scalars(select(PromotionCheck)).one()
    assert (check.champion_name, check.challenger_name, check.margin) == ("first@1", "weak@1", MARGIN)
    sensitivity = check.numbers["figures"]["sensitivity"]
    assert sensitivity["challenger"] < sensitivity["champion"] - MARGIN
    page = admin.get(WEAK).text
    assert 'data-check="refused"' in page
    assert WAITS not in page
    assert post(f"{WEAK}/promote", page=WEAK).status_code == 303
    with app.app_context():
        decision = db.session.scalars(select(Promotion)).one()
    assert (decision.action, decision.by, decision.numbers) == ("refuse", "anna", check.numbers)
    assert queued(app) == {}


@pytest.mark.parametrize("resumed", [False, True])
def test_a_reviewed_case_that_is_erased_during_a_run_does_not_end_it(
    app: Flask,
    config: Config,
    admin: FlaskClient,
    post: Post,
    review: Callable[..., None],
    photo: Callable[..., bytes],
    rows: Rows,
    resumed: bool,
) -> None:
    """Neither while it learns nor when it is taken up again, also where it was the only one."""
    review(photo("mel", 401), "mel")
    retrain(post, epochs=200)
    run_id = queued(app)[Kind.TRAIN]
    folder = config.runs / str(run_id)
    with trainer(app) as process:
        wait_for((folder / HISTORY).exists)
        if resumed:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        with app.app_context():
            erase(rows()[-1].id)
        assert not (folder / "reviewed").exists()
        if not resumed:
            stop_it(app, run_id)
    if resumed:
        with trainer(app):
            wait_for(lambda: "Going on after epoch" in (folder / "train.log").read_text())
            stop_it(app, run_id)
    run = run_of(app, run_id)
    assert (run.state, run.error) == (RunState.STOPPED, None)
    assert run.bundle is not None
    load_bundle(find_bundle(run.bundle, config.models))
    assert not list(folder.rglob("screening-*"))


def stop_it(app: Flask, run_id: int) -> None:
    """Have a run end after its whole epochs, and wait for its model."""
    with app.app_context():
        assert queue.request_stop(run_id)
    wait_for(ended(app, run_id))
