"""The admin's pages about models: who may see and do what, damaged bundles, comparison, and the shadow."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from ml.bundle import FIRST_LOOK, PRETRAINED_FOLDER, WEIGHTS, Bundle
from tests.promotion import install
from tests.webapp.forms import PASSWORD, form_token
from webapp import clock
from webapp.admin.shadow import differences
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.inference import get_models
from webapp.models.promotion import Promotion
from webapp.models.screening import ScreeningRow
from webapp.models.second_answer import SecondAnswer
from webapp.models.training_run import TrainingRun
from webapp.models.user import Role, User
from webapp.screening.erasing import erase

Upload = Callable[..., TestResponse]
Rows = Callable[[], Sequence[ScreeningRow]]


@pytest.fixture
def config(config: Config, tiny_bundle: Bundle) -> Config:
    config = replace(config, model="good@1")
    install(tiny_bundle, config.models, "good")
    install(tiny_bundle, config.models, "other", thresholds={"malignant": 1.0, "uncertain": 0.99})
    damaged = install(tiny_bundle, config.models, "damaged") / WEIGHTS
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    return config


def act(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": form_token(client, "/admin/models/other/1"), **fields})


def balanced_accuracy(name: str) -> str:
    """As the pages write it: that of the evaluation which lies beside a shipped model."""
    metrics = json.loads((PRETRAINED_FOLDER / name / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    return f"{metrics['balanced_accuracy']:.3f}"


def second_answers(app: Flask) -> list[SecondAnswer]:
    with app.app_context():
        return list(db.session.scalars(select(SecondAnswer)))


def test_every_bundle_is_listed_and_a_damaged_one_says_why(admin: FlaskClient) -> None:
    page = admin.get("/admin/models").text
    assert re.findall(r'data-model="([^"]+)"', page)[0] == "good@1"
    assert "is damaged: weights.safetensors is not what it was" in page
    assert "ham10000-ensemble" in page
    damaged = admin.get("/admin/models/damaged/1")
    assert damaged.status_code == 200
    assert "is not what it was" in damaged.text
    assert admin.get("/admin/models/none/1").status_code == 404


def test_first_looks_are_listed_without_a_promotion(admin: FlaskClient, config: Config) -> None:
    page = admin.get("/admin/models").text
    assert re.findall(r'data-first-look="([^"]+)"', page) == ["ham10000-first-look@1"]
    assert "in use" in page
    shutil.copytree(PRETRAINED_FOLDER / "ham10000-first-look", config.models / "ham10000-first-look" / "2")
    damaged = config.models / "ham10000-first-look" / "2" / FIRST_LOOK
    damaged.write_bytes(damaged.read_bytes()[:-1])
    page = admin.get("/admin/models").text
    assert re.findall(r'data-first-look="([^"]+)"', page) == ["ham10000-first-look@2", "ham10000-first-look@1"]
    assert "first-look.safetensors is not what it was" in page
    assert "/admin/models/ham10000-first-look" not in page


def test_a_model_shows_card_curves_figures_and_confusion(admin: FlaskClient) -> None:
    own = admin.get("/admin/models/other/1").text
    assert own.count('<polyline class="chart-line') == 4
    assert "No evaluation of exactly these files lies beside it" in own
    (shipped,) = re.findall(r'data-model="(ham10000-ensemble@[^"]+)"', admin.get("/admin/models").text)
    page = admin.get(f"/admin/models/{shipped.replace('@', '/')}").text
    assert "Balanced accuracy" in page
    assert balanced_accuracy("ham10000-ensemble") in page
    assert "data-evaluated" in page
    assert "<polyline" not in page
    images = admin.get(f"/admin/models/{shipped.replace('@', '/')}/images?actual=mel&predicted=nv")
    assert "predictions.csv" in images.text


def test_a_cell_lists_the_images_of_the_evaluation(admin: FlaskClient, config: Config) -> None:
    folder = config.models / "other" / "1" / "evaluation"
    folder.mkdir()
    (folder / "predictions.csv").write_text("image,label,predicted\na/ISIC_1.jpg,mel,nv\nb/ISIC_2.jpg,mel,mel\n")
    page = admin.get("/admin/models/other/1/images?actual=mel&predicted=nv").text
    assert "ISIC_1" in page
    assert "ISIC_2" not in page


def test_models_are_compared_side_by_side(admin: FlaskClient) -> None:
    names = re.findall(r'data-model="((?:ham|msid)[^"]+)"', admin.get("/admin/models").text)
    page = admin.get("/admin/models/compare", query_string={"model": names})
    assert page.status_code == 200
    assert balanced_accuracy("ham10000-ensemble") in page.text
    assert balanced_accuracy("msid-mobilenet-v2") in page.text
    alone = admin.get("/admin/models/compare", query_string={"model": names[:1]})
    assert alone.status_code == 400
    assert "Choose two to 4 models" in alone.text


def test_reviewed_cases_make_a_table_whose_cells_open_them(
    admin: FlaskClient, app: Flask, upload: Upload, photo: Callable[..., bytes], rows: Rows
) -> None:
    upload(photo("nv", 1))
    row = rows()[0]
    assert row.predicted is not None
    assert "data-reviewed" not in admin.get("/admin/models/good/1").text
    with app.app_context(), write_transaction() as session:
        session.get_one(ScreeningRow, row.id).reviewed_class = "mel"
    page = admin.get("/admin/models/good/1").text
    assert "data-reviewed" in page
    assert f"reviewed=mel&amp;predicted={row.predicted}" in page
    (address,) = re.findall(r'href="(/admin/history[?][^"]*reviewed=mel[^"]*)"', page)
    assert admin.get(address.replace("&amp;", "&")).text.count("data-id=") == 1
    with app.app_context():
        steps = db.session.connection().exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT reviewed_class, predicted, count(*) FROM screenings "
            "INDEXED BY ix_screenings_model_reviewed WHERE model_name = ? AND model_version = ? "
            "AND reviewed_class IS NOT NULL AND predicted IS NOT NULL GROUP BY reviewed_class, predicted",
            ("good", "1"),
        )
        assert [step[3].partition(" (")[0] for step in steps] == [
            "SEARCH screenings USING COVERING INDEX ix_screenings_model_reviewed"
        ], "no row is read, and nothing sorted"
        erase(row.id)
    assert "data-reviewed" not in admin.get("/admin/models/good/1").text


def test_viewers_look_and_admins_act(app: Flask, config: Config, add_user: Callable[..., User]) -> None:
    add_user("vera", Role.VIEWER)
    client = app.test_client()
    assert client.get("/admin/models").status_code in (302, 303)
    client.post("/login", data={"csrf_token": form_token(client, "/login"), "name": "vera", "password": PASSWORD})
    assert client.get("/admin/models").status_code == 200
    page = client.get("/admin/models/other/1").text
    assert "Let it answer in the shadow" not in page
    token = form_token(client, "/admin/models/other/1")
    for action in ("promote", "rollback", "shadow"):
        assert client.post(f"/admin/models/other/1/{action}", data={"csrf_token": token}).status_code == 403


def test_without_numbers_a_comparison_is_queued_once(
    admin: FlaskClient, app: Flask, config: Config, tmp_path: Path
) -> None:
    refused = act(admin, "/admin/models/other/1/promote")
    assert refused.status_code == 409
    assert "There is no promotion set" in refused.text
    folder = config.instance / "promotion" / "ham10000"
    folder.mkdir(parents=True)
    summary = '{"label_set": "ham10000", "classes": ["mel"], "splits": {"promotion": {"images": 5}}}'
    (folder / "summary.json").write_text(summary)
    (folder / "manifest.csv").write_text("")
    for _ in range(2):
        assert act(admin, "/admin/models/other/1/promote").status_code == 303
    with app.app_context():
        (run,) = db.session.scalars(select(TrainingRun)).all()
        assert (run.kind, run.name, run.options) == ("promotion", "other@1", {"arguments": ["check", "other@1"]})
    assert "waits for “flask trainer”" in admin.get("/admin/models/other/1").text
    nothing = act(admin, "/admin/models/other/1/rollback")
    assert nothing.status_code == 409
    assert "Nothing to take back" in nothing.text


def test_the_model_that_answers_is_nobodys_shadow(app: Flask) -> None:
    run = app.test_cli_runner().invoke
    refused = run(args=["models", "shadow", "good"])
    assert refused.exit_code == 1
    assert "good@1 is the model that answers already" in refused.output
    assert run(args=["models", "shadow", "other"]).exit_code == 0
    with app.app_context():
        assert [one.name for one in db.session.scalars(select(Promotion))] == ["other"]


def test_the_shadow_answers_afterwards_and_shows_where_it_differs(
    admin: FlaskClient, app: Flask, upload: Upload, photo: Callable[..., bytes], rows: Rows
) -> None:
    upload(photo("nv", 1))
    app.extensions["shadow"].queue.join()
    assert not second_answers(app)
    assert act(admin, "/admin/models/other/1/shadow").status_code == 303
    upload(photo("mel", 2))
    upload(photo("nv", 3))
    app.extensions["shadow"].queue.join()
    answers = second_answers(app)
    assert [(a.screening_id, a.purpose, a.model_name) for a in answers] == [
        (2, "shadow", "other"),
        (3, "shadow", "other"),
    ]
    assert all(row.model_name == "good" for row in rows()), "the person's answer is the other model's"
    with app.app_context():
        found = differences("other@1")
    assert found is not None
    assert found.cases == 2 == sum(found.table.values())
    assert found.left_out == 0
    assert found.interval[0] <= found.agreement <= found.interval[1]
    page = admin.get("/admin/models/other/1/shadow").text
    assert "data-agreement" in page
    assert len(re.findall(r'<a href="/admin/screenings/\d+"', page)) == len(found.listed)
    assert act(admin, "/admin/models/other/1/shadow", off="1").status_code == 303
    upload(photo("nv", 4))
    app.extensions["shadow"].queue.join()
    assert len(second_answers(app)) == 2
    with app.app_context():
        erase(2)
        erase(3)
    assert not second_answers(app), "a second answer goes with its screening"


def test_a_busy_or_failing_shadow_costs_nothing_and_is_counted(
    app: Flask, upload: Upload, client: FlaskClient, photo: Callable[..., bytes], rows: Rows, config: Config
) -> None:
    with app.app_context(), write_transaction() as session:
        session.add(
            Promotion(label_set="ham10000", action="shadow", name="damaged", version="1", by="cli", at=clock.now())
        )
    answered = upload(photo("nv", 5))
    app.extensions["shadow"].queue.join()
    assert client.get(answered.location).status_code == 200
    assert rows()[0].state == "done"
    assert not second_answers(app)
    with app.app_context():
        from webapp.admin.shadow import _left_out

        assert _left_out("damaged@1") == 1
        assert not get_models().busy()


def test_what_comes_in_while_too_many_wait_is_left_out(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    from webapp.promotion import shadow

    monkeypatch.setattr(shadow.Shadow, "_work", lambda self: None)
    waiting = app.extensions["shadow"]
    for number in range(shadow.WAITING + 3):
        waiting.offer(number, "other@1")
    assert waiting.queue.qsize() == shadow.WAITING
