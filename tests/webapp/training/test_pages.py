"""The pages about runs: who may see and do what, what can be chosen, and what a run shows of itself."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.times import Clock
from tests.webapp.forms import PASSWORD
from tests.webapp.training.conftest import OPTIONS
from webapp.admin import training_words as words
from webapp.config import Config
from webapp.extensions import db
from webapp.models.audit import AuditEntry
from webapp.models.training_run import Kind, RunState, TrainingRun
from webapp.models.user import Role, User
from webapp.training import queue
from webapp.training.commands import arguments_of
from webapp.training.trainer import SIGN

CHOICE = {"data": "spots", "start": "none", "architecture": "lenet", "image_size": "32", "epochs": "3", "name": "mine"}
Post = Callable[..., TestResponse]


def runs(app: Flask) -> list[TrainingRun]:
    with app.app_context():
        return list(db.session.scalars(select(TrainingRun).order_by(TrainingRun.id)))


def test_an_admin_starts_a_run_after_seeing_what_it_takes(
    app: Flask, admin: FlaskClient, offered: Path, post: Post
) -> None:
    assert "No runs yet" in admin.get("/admin/training").text
    form = admin.get("/admin/training/new").text
    assert "60 pictures to learn from" in form
    assert "folded" not in form
    assert "data-expected" not in form
    checked = admin.get("/admin/training/new", query_string={**CHOICE, "check": "1"}).text
    assert "data-expected" in checked
    assert "the time cannot be told" in checked
    answer = post("/admin/training", page="/admin/training/new", include_reviewed="y", **CHOICE)
    assert answer.status_code == 303
    (run,) = runs(app)
    assert run.options["include_reviewed"] is True
    assert "--include-reviewed" in arguments_of(run, app.config["LENS"])
    assert (run.state, run.name, run.requested_by, run.epochs) == (RunState.QUEUED, "mine", "anna", 3)
    assert run.data == str(offered)
    with app.app_context():
        actions = db.session.scalars(select(AuditEntry.action).where(AuditEntry.subject == f"training-run:{run.id}"))
        assert list(actions) == ["training.start"]
    page = admin.get(urlsplit(answer.location).path).text
    assert "Waits for its turn" in page
    assert "No trainer is at work" in page


def test_what_the_gate_would_lack_is_told_before_a_run_and_given_to_it_where_it_is_there(
    app: Flask, config: Config, admin: FlaskClient, offered: Path, post: Post
) -> None:
    checked = admin.get("/admin/training/new", query_string={**CHOICE, "check": "1"}).text
    assert "There are no pictures in not_skin, clinical_photos" in checked
    for name in ("not_skin", "clinical_photos"):
        (config.instance / "gate-pictures" / name).mkdir(parents=True)
        (config.instance / "gate-pictures" / name / "one.jpg").touch()
    assert "data-lacking" not in admin.get("/admin/training/new", query_string={**CHOICE, "check": "1"}).text
    assert post("/admin/training", page="/admin/training/new", **CHOICE).status_code == 303
    command = arguments_of(runs(app)[0], config)
    assert command[command.index("--gate-negatives") + 1] == str(config.instance / "gate-pictures")
    elsewhere = replace(config, gate_pictures="elsewhere")
    assert "elsewhere" in arguments_of(runs(app)[0], elsewhere)


def test_a_network_that_was_trained_before_tells_how_long_it_takes(admin: FlaskClient, offered: Path) -> None:
    choice = {**CHOICE, "architecture": "efficientnet-b4", "image_size": "160", "check": "1"}
    assert "for each epoch, and at most" in admin.get("/admin/training/new", query_string=choice).text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"data": "elsewhere"}, "Not a valid choice"),
        ({"epochs": "0"}, "Choose 1 to 200 epochs"),
        ({"epochs": "many"}, "Not a valid integer"),
        ({"name": "../mine"}, "begins with a letter or digit"),
        ({"start": "imagenet"}, "no ImageNet weights"),
        ({"start": "msid-mobilenet-v2", "architecture": "lenet"}, "choose that network"),
        ({"image_size": "7"}, "Not a valid choice"),
    ],
)
def test_what_cannot_be_trained_is_said_and_not_queued(
    app: Flask, admin: FlaskClient, offered: Path, post: Post, change: dict[str, str], complaint: str
) -> None:
    given = {**CHOICE, **change}
    if change.get("start", "").startswith("msid"):
        found = re.search(r'value="(msid-mobilenet-v2@[^"]+)"', admin.get("/admin/training/new").text)
        assert found is not None
        given["start"] = found[1]
    assert complaint in admin.get("/admin/training/new", query_string={**given, "check": "1"}).text
    answer = post("/admin/training", page="/admin/training/new", **given)
    assert answer.status_code == 400
    assert complaint in answer.text
    assert runs(app) == []


def test_viewers_watch_and_admins_act(
    app: Flask, client: FlaskClient, add_user: Callable[..., User], add: Callable[..., int], post: Post
) -> None:
    run = add()
    assert client.get("/admin/training").status_code in (302, 303)
    add_user("vera", Role.VIEWER)
    post("/login", name="vera", password=PASSWORD)
    page = client.get(f"/admin/training/{run}")
    assert page.status_code == 200
    assert "/stop" not in page.text
    assert client.get("/admin/training").status_code == 200
    assert client.get("/admin/training/new").status_code == 403
    for path in ("/admin/training", f"/admin/training/{run}/stop", f"/admin/training/{run}/restart"):
        assert post(path, page=f"/admin/training/{run}").status_code == 403
    assert runs(app)[0].state == RunState.QUEUED


def test_a_run_shows_its_epochs_and_can_be_stopped_and_gone_on_with(
    app: Flask, config: Config, admin: FlaskClient, add: Callable[..., int], post: Post
) -> None:
    run = add()
    folder = config.runs / str(run)
    folder.mkdir(parents=True)
    (config.runs / SIGN).touch()
    (folder / "history.csv").write_text(
        "epoch,training_loss,validation_loss,validation_accuracy,validation_balanced_accuracy,validation_macro_auroc,"
        "rate_factor,seconds\n1,2.1,1.9,0.3,0.25,0.6,1,30\n2,1.4,nan,0.5,0.45,0.75,1,30\n"
    )
    with app.app_context():
        assert queue.claim(Kind.TRAIN, "one") is not None
        progress = {"phase": "training", "epoch": 3, "step": 4, "steps": 8}
        queue.tell(run, "one", epoch=2, metrics={"seconds": 30.0}, progress=progress, log_tail="epoch 2/3 <b>")
    page = admin.get(f"/admin/training/{run}").text
    assert "Epoch 3 of at most 3, batch 5 of 8." in page
    assert "At most 15 s left" in page
    assert page.count("<polyline") == 5
    assert "epoch 2/3 &lt;b&gt;" in page
    assert "No trainer is at work" not in page
    part = admin.get(f"/admin/training/{run}?part=live").text
    assert "<html" not in part
    assert 'data-state="running"' in part
    post(f"/admin/training/{run}/stop", page=f"/admin/training/{run}")
    assert "It was asked to stop" in admin.get(f"/admin/training/{run}").text
    with app.app_context():
        assert queue.release(run, "one", RunState.STOPPED, bundle="spots@1")
    page = admin.get(f"/admin/training/{run}").text
    assert "Go on with it" in page
    assert "/admin/models/spots/1" in page
    assert "/admin/models/compare?model=ham10000-ensemble" in page
    post(f"/admin/training/{run}/restart", page=f"/admin/training/{run}")
    assert runs(app)[0].state == RunState.QUEUED


def test_long_lists_come_in_pages(admin: FlaskClient, add: Callable[..., int]) -> None:
    for _ in range(27):
        add()
    first = admin.get("/admin/training").text
    assert first.count('class="card run"') == 25
    assert admin.get("/admin/training?older=3").text.count('class="card run"') == 2
    assert admin.get("/admin/training?older=x").status_code == 200
    assert admin.get("/admin/training/999").status_code == 404


def test_the_time_left_follows_the_phase(
    app: Flask, admin: FlaskClient, add: Callable[..., int], offered: Path, clock: Clock
) -> None:
    """60 training and 12 validation pictures: the end takes 156/3 against 64 passes of an epoch."""
    options = {**OPTIONS, "images": 60, "epochs": 10}
    before, run = add(options=options, epochs=10), add(options=options, epochs=10, data=str(offered))
    with app.app_context():
        assert queue.claim(Kind.TRAIN, "one") is not None
        assert queue.release(before, "one", RunState.DONE, epoch=10, metrics={"seconds": 64.0})
        assert queue.claim(Kind.TRAIN, "one") is not None

    def told(progress: dict[str, Any], **values: Any) -> str:
        with app.app_context():
            queue.tell(run, "one", progress=progress, **values)
        return admin.get(f"/admin/training/{run}?part=live").text

    def minutes(seconds: float) -> str:
        return words.duration(seconds)

    with app.test_request_context():
        epoch, finishing = 64.0 * 64 / 60, 64.0 * 52 / 60
        whole, half, end = minutes(10 * epoch + finishing), minutes(5 * 32.0 + 26.0), minutes(26.0 - 10)
    assert f"At most {whole} left" in told({"phase": "preparing", "epoch": 0})
    assert f"At most {half} left" in told({"phase": "training", "epoch": 6}, epoch=5, metrics={"seconds": 32.0})
    progress = {"phase": "finishing", "epoch": 6, "since": clock.time.timestamp() - 10}
    page = told(progress, epoch=6)
    assert f"About {end} left." in page
    assert 'value="1.0"' in page
    clock.forward(minutes=5)
    assert "About " not in told(progress)
