"""Several models at once: each question finds its own, and what is wrong with one leaves the others alone."""

import io
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from ml.bundle import CARD, WEIGHTS, Bundle
from ml.errors import BundleError
from ml.labels import find_taxonomy
from ml.screening import VERDICTS
from tests.ml.tiny import draw_rash
from tests.webapp.api import KEY, kind_of, send
from tests.webapp.forms import form_token
from webapp.cli.predict import predict_command
from webapp.config import Config, ConfigError
from webapp.inference import get_screener
from webapp.model_names import configured
from webapp.models.screening import ScreeningRow
from webapp.screening import questions

Rows = Callable[[], Sequence[ScreeningRow]]
Post = Callable[..., TestResponse]


@pytest.fixture
def rash_path(rash_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the rash model that a test may damage."""
    shutil.copytree(rash_bundle.path, tmp_path / "rash")
    return tmp_path / "rash"


@pytest.fixture
def spot_path(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the model for spots that a test may damage."""
    shutil.copytree(tiny_bundle.path, tmp_path / "spot")
    return tmp_path / "spot"


@pytest.fixture
def config(config: Config, spot_path: Path, rash_path: Path) -> Config:
    """Settings with two models, the one for spots first."""
    return replace(config, model=f"{spot_path}, {rash_path}")


@pytest.fixture
def rash() -> bytes:
    """A photo like those that the rash model was trained on."""
    buffer = io.BytesIO()
    Image.fromarray(draw_rash("monkeypox", 3)).save(buffer, "PNG")
    return buffer.getvalue()


def ask(post: Post, photo: bytes, **fields: str) -> TestResponse:
    """Uploads one photo with the form's other fields."""
    return post("/", photos=[(io.BytesIO(photo), "photo.png")], consent="y", **fields)


def test_each_label_set_finds_its_own_and_both_stay_loaded(app: Flask) -> None:
    with app.app_context():
        spot, rash = get_screener(), get_screener("msid")
        assert (spot.card.label_set, rash.card.label_set) == ("ham10000", "msid")
        for _ in range(3):
            assert get_screener("ham10000") is spot
            assert get_screener("msid") is rash
        with pytest.raises(BundleError, match="No model answers for label set 'mpox'"):
            get_screener("mpox")


def test_two_for_one_label_set_are_one_clear_error(config: Config, make_app: Callable[[Config], Flask]) -> None:
    first = config.model_references[0]
    with pytest.raises(ConfigError, match="two models for the label set 'ham10000'"):
        make_app(replace(config, model=f"{first},{first}"))


def test_the_shipped_models_answer_where_none_is_named() -> None:
    assert Path(configured(Config())[0]).name.startswith("ham10000")
    assert configured(Config(model=" a , b@1,")) == ("a", "b@1")


def test_the_question_is_put_and_the_answer_comes_from_its_model(
    client: FlaskClient, post: Post, rows: Rows, rash: bytes, rash_bundle: Bundle, photo: Callable[..., bytes]
) -> None:
    page = client.get("/").text
    assert "A spot or mole" in page
    assert re.findall(r'value="(\w+)" checked>', page) == ["ham10000"]
    spot, asked = ask(post, photo("nv", 1), label_set="ham10000"), ask(post, rash, label_set="msid")
    plain = ask(post, photo("nv", 1))
    assert [row.label_set for row in rows()] == ["ham10000", "msid", "ham10000"]
    assert [row.asked_label_set for row in rows()] == ["ham10000", "msid", None]
    assert 'data-status="malignant"' in client.get(spot.location).text or rows()[0].status != "malignant"
    result = client.get(asked.location).text
    assert rows()[1].status in ("infectious", "healthy")
    assert f"/model/{rash_bundle.card.name}/{rash_bundle.card.version}" in result
    assert "Malignant risk" not in result
    assert 'href="/?label_set=msid"' in result
    assert client.get(plain.location).status_code == 200


def test_with_one_model_nothing_is_asked(config: Config, make_app: Callable[[Config], Flask], rash_path: Path) -> None:
    spots = make_app(replace(config, model=config.model_references[0])).test_client().get("/").text
    assert 'name="label_set"' not in spots
    assert "dermatoscopic photos" in spots
    rashes = make_app(replace(config, model=str(rash_path))).test_client().get("/").text
    assert 'name="label_set"' not in rashes
    assert "ordinary photos" in rashes
    assert "dermatoscope:" not in rashes


def test_an_error_and_another_language_keep_the_choice(client: FlaskClient, post: Post) -> None:
    refused = ask(post, b"no picture", label_set="msid")
    assert refused.status_code == 415
    assert re.findall(r'value="(\w+)" checked>', refused.text)[0] == "msid"
    (german,) = re.findall(r'href="([^"]+)" lang="de"', refused.text)
    page = client.get(german.replace("&amp;", "&"), follow_redirects=True).text
    assert "Ein Ausschlag" in page
    assert re.findall(r'value="(\w+)" checked>', page) == ["msid"]


@pytest.mark.parametrize("sent", ["mpox", "../x"])
def test_no_other_model_answers_a_question_that_is_not_put(post: Post, rows: Rows, rash: bytes, sent: str) -> None:
    refused = ask(post, rash, label_set=sent)
    assert refused.status_code == 400
    assert "not looked at here any more" in refused.text
    assert re.findall(r'value="(\w+)" checked>', refused.text) == ["ham10000"]
    assert not rows()


def test_a_page_from_before_a_model_went_away(post: Post, rows: Rows, rash: bytes, rash_path: Path) -> None:
    shutil.rmtree(rash_path)
    assert ask(post, rash, label_set="msid").status_code == 400
    assert ask(post, rash, label_set="ham10000").status_code == 303
    assert ask(post, rash, label_set="").status_code == 303
    assert [row.asked_label_set for row in rows()] == ["ham10000", "ham10000"]


@pytest.mark.parametrize("missing", ["card", "classes"])
def test_without_the_default_model_nobody_is_answered_by_another_unasked(
    client: FlaskClient, post: Post, rows: Rows, rash: bytes, spot_path: Path, missing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if missing == "card":
        (spot_path / CARD).write_text("{", encoding="utf-8")
    else:
        monkeypatch.setattr(questions, "find_taxonomy", {"msid": find_taxonomy("msid")}.get)
    page = client.get("/").text
    assert re.findall(r'name="label_set" value="(\w+)"', page) == ["msid"]
    assert " checked>" not in page
    assert "A spot or mole" not in page
    for chosen in ({}, {"label_set": ""}, {"label_set": "ham10000"}):
        refused = ask(post, rash, **chosen)
        assert refused.status_code == 503
        assert "The model cannot be loaded at the moment." in refused.text
    assert not rows()
    assert re.findall(r'value="(\w+)" checked>', client.get("/?label_set=msid").text) == ["msid"]
    result = ask(post, rash, label_set="msid")
    assert [(row.asked_label_set, row.label_set) for row in rows()] == [("msid", "msid")]
    assert client.get(result.location).status_code == 200


def test_without_the_default_model_programs_are_told_so(
    app: Flask, client: FlaskClient, rows: Rows, rash: bytes, spot_path: Path
) -> None:
    (spot_path / CARD).write_text("{", encoding="utf-8")
    for label_set, first_look in ((None, None), ("ham10000", None), (None, "only")):
        refused = send(client, rash, label_set=label_set, first_look=first_look)
        assert (refused.status_code, kind_of(refused)) == (503, "unavailable")
    assert not rows()
    assert send(client, rash, label_set="msid").status_code == 201
    taken_back = app.test_cli_runner().invoke(args=["models", "rollback"])
    assert "Nothing to take back" in taken_back.output


def test_a_damaged_second_model_leaves_the_first_alone(
    client: FlaskClient, post: Post, rows: Rows, app: Flask, rash: bytes, rash_path: Path, photo: Callable[..., bytes]
) -> None:
    whole = (rash_path / WEIGHTS).read_bytes()
    (rash_path / WEIGHTS).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert client.get("/readyz").status_code == 200
    waiting = ask(post, rash, label_set="msid")
    assert client.get(ask(post, photo("nv", 1)).location).status_code == 200
    assert client.get(waiting.location).status_code == 503
    listed = client.get("/api/v1/models").json
    assert listed is not None
    assert [model["label_set"] for model in listed["models"]] == ["ham10000"]
    sweep = app.test_cli_runner().invoke(args=["screenings", "sweep"])
    assert sweep.exit_code == 1
    assert "damaged" in sweep.output
    assert [row.state for row in rows()] == ["pending", "done"]

    (rash_path / WEIGHTS).write_bytes(whole)
    sweep = app.test_cli_runner().invoke(args=["screenings", "sweep"])
    assert sweep.exit_code == 0, sweep.output
    assert [(row.state, row.label_set) for row in rows()] == [("done", "msid"), ("done", "ham10000")]


def test_a_second_model_without_a_readable_card_is_not_offered(
    client: FlaskClient, post: Post, rash_path: Path, photo: Callable[..., bytes]
) -> None:
    (rash_path / CARD).write_text("{", encoding="utf-8")
    assert 'name="label_set"' not in client.get("/").text
    assert client.get(ask(post, photo("nv", 1)).location).status_code == 200
    assert client.get("/model").status_code == 200


def test_the_api_routes_by_label_set(client: FlaskClient, rash: bytes, photo: Callable[..., bytes]) -> None:
    for name, content in (("msid", rash), ("ham10000", photo("nv", 1))):
        answer = send(client, content, label_set=name)
        assert answer.status_code == 201
        assert answer.json is not None
        assert answer.json["screening"]["label_set"] == name
        assert answer.json["screening"]["gate"]["verdict"] in VERDICTS
    refused = send(client, rash, label_set="mpox")
    assert kind_of(refused) == "form-invalid"
    assert refused.json is not None
    assert "ham10000, msid" in refused.json["detail"]
    assert send(client, rash, headers=KEY, label_set="msid").status_code == 201
    assert kind_of(send(client, rash, headers=KEY, label_set="ham10000")) == "key-reused"


def test_the_api_lists_what_answers(client: FlaskClient, rash_bundle: Bundle) -> None:
    models, label_sets = client.get("/api/v1/models").json, client.get("/api/v1/label-sets").json
    assert models is not None
    assert label_sets is not None
    assert [model["label_set"] for model in models["models"]] == ["ham10000", "msid"]
    answered = {one["name"]: (one["model"], one["question"], one["photos"]) for one in label_sets["label_sets"]}
    assert answered["msid"] == (rash_bundle.card.name, "rash", "clinical")
    assert answered["mpox"][0] is None
    assert client.get(f"/api/v1/models/{rash_bundle.card.name}").status_code == 200


def test_predict_takes_the_model_of_a_label_set(app: Flask, rash: bytes, tmp_path: Path, config: Config) -> None:
    (tmp_path / "photo.png").write_bytes(rash)

    def predict(*arguments: str) -> Any:
        return app.test_cli_runner().invoke(predict_command, [str(tmp_path / "photo.png"), *arguments])

    answer = predict("--label-set", "msid", "--format", "jsonl")
    assert json.loads(answer.stdout)["label_set"] == "msid"
    assert json.loads(predict("--format", "jsonl").stdout)["label_set"] == "ham10000"
    assert "No model answers for label set 'mpox'" in predict("--label-set", "mpox").output
    named = predict("--model", config.model_references[0], "--label-set", "msid")
    assert "answers for 'ham10000', not for 'msid'" in named.output


def test_each_model_has_its_page(client: FlaskClient, rash_bundle: Bundle, tiny_bundle: Bundle) -> None:
    page = client.get("/model").text
    assert f'data-model="{tiny_bundle.card.name}@{tiny_bundle.card.version}"' in page
    assert f'href="/model/{rash_bundle.card.name}"' in page
    other = client.get(f"/model/{rash_bundle.card.name}").text
    assert f'data-model="{rash_bundle.card.name}@{rash_bundle.card.version}"' in other
    assert "This is an earlier model" not in other
    assert client.get("/model/none").status_code == 404


def test_the_history_is_narrowed_by_label_set(
    admin: FlaskClient, post: Post, rash: bytes, photo: Callable[..., bytes]
) -> None:
    ask(post, photo("nv", 1), label_set="ham10000")
    ask(post, rash, label_set="msid")
    assert re.findall(r'data-id="(\d+)"', admin.get("/admin/history?label_set=msid").text) == ["2"]
    assert re.findall(r'data-id="(\d+)"', admin.get("/admin/history?label_set=ham10000").text) == ["1"]
    assert re.findall(r'data-id="(\d+)"', admin.get("/admin/history").text) == ["2", "1"]


def test_a_label_set_of_ones_own_puts_its_own_question(
    config: Config, make_app: Callable[[Config], Flask], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "nails")
    card = json.loads((tmp_path / "nails" / "card.json").read_text(encoding="utf-8")) | {"label_set": "nails"}
    (tmp_path / "nails" / "card.json").write_text(json.dumps(card), encoding="utf-8")
    config.label_sets.mkdir(parents=True)
    classes = "".join(
        f'[[class]]\ncode = "{code}"\nname = "{code}"\nstatus = "benign"\ndescription = "{code}"\n'
        for code in tiny_bundle.card.classes
    )
    text = f'title = "Nails & toes"\nquestion = "A <nail>"\nphotos = "clinical"\n{classes}'
    (config.label_sets / "nails.toml").write_text(text, encoding="utf-8")
    client = make_app(replace(config, model=f"{config.model},{tmp_path / 'nails'}")).test_client()
    page = client.get("/?label_set=nails").text
    assert "A &lt;nail&gt;" in page
    assert "Nails &amp; toes" in page
    assert re.findall(r'value="(\w+)" checked>', page) == ["nails"]
    assert form_token(client, "/")
