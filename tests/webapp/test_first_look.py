"""The first look: beside the answer, while it is awaited, alone where asked for, and for the admin's eyes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ml.bundle import WEIGHTS, Bundle
from ml.data.prepare import prepare
from ml.images import decode, encode_jpeg
from ml.preliminary import FirstLook, load_first_look
from ml.train_first_look import train_first_look
from tests.ml.tiny import draw_rash, write_rashes
from tests.webapp.api import KEY, kind_of, send
from webapp import create_app
from webapp.cli.predict import predict_command
from webapp.config import PROJECT_FOLDER, Config
from webapp.inference import get_models
from webapp.models.screening import ScreeningRow
from webapp.photos import get_photos
from webapp.screening.erasing import erase
from webapp.screening.first_impressions import compared
from webapp.screening.lifecycle import Upload as Read
from webapp.screening.lifecycle import add_photo, answer, open_screening

Upload = Callable[..., TestResponse]
Photo = Callable[..., bytes]
Rows = Callable[[], Sequence[ScreeningRow]]


@pytest.fixture
def config(config: Config, first_look_folder: Path) -> Config:
    """Settings with the drawn first look in the models folder, and no patience with a busy model."""
    shutil.copytree(first_look_folder, config.models / "drawn-first-look" / "1")
    return replace(config, wait_seconds=0)


@pytest.fixture
def known(first_look: FirstLook, photo: Photo) -> bytes:
    """A photo that the first look can judge."""
    for seed in range(100, 120):
        content = photo("nv", seed)
        if first_look.look(decode(content)).probabilities is not None:
            return content
    raise AssertionError("the first look judges no drawn naevus")


@pytest.fixture
def blank() -> bytes:
    """A picture that is refused."""
    return encode_jpeg(np.full((300, 400, 3), 120, np.uint8))


def test_stands_beside_the_answer(upload: Upload, client: FlaskClient, known: bytes, rows: Rows) -> None:
    page = client.get(upload(known).location).text
    row = rows()[0]
    assert row.first_look is not None
    assert row.first_look["agrees"] is (row.first_look["predicted"] == row.predicted)
    assert row.first_look["model"] == {"name": "drawn-first-look", "version": "1"}
    assert f'data-first-look="{row.first_look["predicted"]}"' in page
    assert f'data-predicted="{row.predicted}"' in page
    assert "The answer above stands" in page


def test_a_refused_photo_has_none(upload: Upload, client: FlaskClient, blank: bytes, rows: Rows) -> None:
    page = client.get(upload(blank).location).text
    assert rows()[0].status == "refused"
    assert rows()[0].first_look is None
    assert "data-first-look" not in page


def test_is_what_the_page_shows_while_the_answer_is_awaited(
    app: Flask, upload: Upload, client: FlaskClient, known: bytes, rows: Rows
) -> None:
    with app.app_context(), get_models().turn():
        location = upload(known).location
        kept = rows()[0]
        assert kept.state == "pending"
        assert kept.first_look is not None
        waiting = client.get(location)
    assert waiting.status_code == 202
    assert f'data-first-look="{kept.first_look["predicted"]}"' in waiting.text
    assert 'data-predicted=""' in waiting.text
    assert "not the answer yet" in waiting.text
    assert "The photo has not been checked yet" in waiting.text
    assert "no all-clear" in waiting.text
    assert 'http-equiv="refresh"' in waiting.text  # it goes on by itself without JavaScript
    client.get(location)
    row = rows()[0]
    assert row.state == "done"
    assert row.first_look == {**kept.first_look, "agrees": kept.first_look["predicted"] == row.predicted}


def test_what_shows_no_lesion_gets_no_class_while_it_waits(
    app: Flask, upload: Upload, client: FlaskClient, blank: bytes, rows: Rows
) -> None:
    with app.app_context(), get_models().turn():
        waiting = client.get(upload(blank).location)
    assert waiting.status_code == 202
    assert "data-first-look" not in waiting.text
    assert (rows()[0].first_look or {})["predicted"] is None


def test_photos_that_come_one_by_one_get_a_first_look_at_all_of_them(
    app: Flask, first_look: FirstLook, known: bytes, photo: Photo, rows: Rows, config: Config
) -> None:
    with app.app_context():
        number, _token = open_screening([Read.read(known, config)], channel="telegram", language="en", consented=True)
        alone = rows()[0].first_look
        assert add_photo(number, Read.read(photo("bcc", 7), config)) == "added"
        assert rows()[0].first_look is None
        answer(number)
        row = rows()[0]
        kept = [decode(get_photos().open(one.name)) for one in row.photos]
    told = first_look.tell([first_look.look(one) for one in kept])
    assert row.first_look is not None
    assert alone is not None
    assert row.first_look["probabilities"] == told["probabilities"] != alone["probabilities"]


def test_a_first_look_that_fails_costs_nothing(
    upload: Upload, client: FlaskClient, known: bytes, rows: Rows, config: Config
) -> None:
    (config.models / "drawn-first-look" / "1" / "first-look.safetensors").write_bytes(b"damaged")
    assert client.get(upload(known).location).status_code == 200
    assert rows()[0].state == "done"
    assert rows()[0].first_look is None


def test_a_label_set_without_one_has_none(
    config: Config, make_app: Callable[[Config], Flask], rash_bundle: Bundle, known: bytes
) -> None:
    app = make_app(replace(config, model=str(rash_bundle.path)))
    answer = send(app.test_client(), known)
    assert answer.json is not None
    assert answer.json["screening"]["first_look"] is None
    assert kind_of(send(app.test_client(), known, first_look="only")) == "form-invalid"


def test_the_api_gives_it_alone(client: FlaskClient, known: bytes, blank: bytes, rows: Rows) -> None:
    answer = send(client, known, first_look="only")
    assert answer.status_code == 201
    assert answer.json is not None
    found = answer.json["screening"]
    assert (answer.json["state"], found["status"]) == ("done", "uncertain")
    assert found["predicted"] is found["probabilities"] is found["malignant_risk"] is None
    assert found["first_look"]["predicted"] in found["first_look"]["probabilities"]
    assert found["first_look"]["agrees"] is None
    assert found["seconds"]["network"] == 0
    assert answer.json["photos"][0]["first_look"]["predicted"] == found["first_look"]["predicted"]
    page = client.get(answer.json["links"]["html"]).text
    assert 'data-status="uncertain"' in page
    assert "The model was not asked, and did not check the photo" in page
    assert "All classes" not in page
    about = client.get(answer.json["links"]["model"])
    assert "/model/drawn-first-look/1" in page
    assert about.status_code == 200
    assert "How good is the first look?" in about.text
    assert rows()[0].attempts == 0

    refused = send(client, blank, first_look="only").json
    assert refused is not None
    assert refused["screening"]["status"] == "refused"
    assert refused["screening"]["first_look"] is None
    assert kind_of(send(client, known, first_look="please")) == "form-invalid"


def test_a_first_look_at_a_rash_advises_to_keep_apart(
    config: Config, make_app: Callable[[Config], Flask], rash_bundle: Bundle, known: bytes, tmp_path: Path
) -> None:
    """Whatever it names: a first look that knows contagious diseases, alone and while the answer is awaited."""
    folder = config.models / "rash-first-look" / "1"
    prepare(write_rashes(tmp_path / "source", per_class=24), "folders", tmp_path / "data", label_set="msid")
    train_first_look(tmp_path / "data", folder, candidates=({"strength": 0.1, "balance": 0.5},), progress=False)
    look = load_first_look(folder)
    drawn = (encode_jpeg(draw_rash(name, number)) for name in ("normal", "monkeypox") for number in range(12))
    judged = next(one for one in drawn if look.look(decode(one)).probabilities is not None)
    app = make_app(replace(config, model=str(rash_bundle.path)))
    answer = send(app.test_client(), judged, first_look="only").json
    assert answer is not None
    told = answer["recommendation"]
    assert "keep apart from others" in told["lead"]
    assert any("towels" in point for point in told["points"])
    assert "next few weeks" not in str(told)
    page = app.test_client().get(answer["links"]["html"]).text
    assert page.count("keep apart from others") == 1
    with app.app_context(), get_models().turn():
        pending = send(app.test_client(), judged).json
        assert pending is not None
        assert pending["state"] == "pending"
        waiting = app.test_client().get(pending["links"]["html"]).text
    assert "keep apart from others" in waiting


@pytest.mark.parametrize(("first", "then"), [("only", None), (None, "only")])
def test_a_key_for_it_alone_is_none_for_the_answer(
    client: FlaskClient, known: bytes, rows: Rows, first: str | None, then: str | None
) -> None:
    for _ in range(2):
        assert send(client, known, headers=KEY, first_look=first).status_code == 201
    assert kind_of(send(client, known, headers=KEY, first_look=then)) == "key-reused"
    assert len(rows()) == 1


def test_another_name_soothes_only_where_nothing_is_to_be_done_at_once() -> None:
    look = {"agrees": False, "predicted": "nv"}
    for status in ("malignant", "uncertain", "infectious"):
        assert "no reason to worry less" in compared(look, status, None)
    for status in ("benign", "healthy"):
        assert "ask a doctor" in compared(look, status, None)


def test_the_api_gives_it_beside_the_answer(client: FlaskClient, known: bytes) -> None:
    answer = send(client, known).json
    assert answer is not None
    look = answer["screening"]["first_look"]
    assert look["agrees"] is (look["predicted"] == answer["screening"]["predicted"])
    assert set(look["features"]) == {"asymmetry", "border_irregularity", "colour_variety", "diameter", "area"}


@pytest.mark.parametrize("alone", [True, False])
def test_predict_gives_it(app: Flask, tmp_path: Path, known: bytes, blank: bytes, alone: bool) -> None:
    (tmp_path / "a.jpg").write_bytes(known)
    (tmp_path / "b.jpg").write_bytes(blank)
    options = ["--first-look-only"] if alone else []
    run = app.test_cli_runner().invoke(
        predict_command, [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), "--format", "jsonl", *options]
    )
    assert run.exit_code == 0, run.output
    first, second = (json.loads(line) for line in run.stdout.splitlines())
    assert first["first_look"]["predicted"]
    assert (first["predicted"] is None) is alone
    assert (first["first_look"]["agrees"] is None) is alone
    assert second["status"] == "refused"
    assert second["first_look"] is None


def test_alone_it_needs_no_network_and_a_damaged_one_spoils_no_answer(
    config: Config, tmp_path: Path, tiny_bundle: Bundle, known: bytes
) -> None:
    """A process of its own tells which libraries were loaded."""
    network, look = tmp_path / "damaged", config.models / "drawn-first-look" / "1" / "first-look.safetensors"
    shutil.copytree(tiny_bundle.path, network)
    (network / WEIGHTS).write_bytes(b"no weights")
    (tmp_path / "a.jpg").write_bytes(known)
    script = (
        "import sys; from wsgi import app; from webapp.cli.predict import predict_command as command; "
        "print(app.test_cli_runner().invoke(command, sys.argv[1:]).output); "
        "print(*sorted({'torch', 'openvino', 'ml.screen', 'ml.predict'} & set(sys.modules)))"
    )
    values = {**os.environ, "MODEL": str(network), "INSTANCE": str(config.instance), "LOG_LEVEL": "ERROR"}
    arguments = ["--format", "jsonl", str(tmp_path / "a.jpg")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--first-look-only"],
        env=values, capture_output=True, text=True, check=True, cwd=PROJECT_FOLDER,
    )  # fmt: skip
    *lines, loaded = done.stdout.splitlines()
    assert loaded == ""
    assert next(json.loads(line) for line in lines if line.startswith("{"))["first_look"]["predicted"]
    runner = create_app(config).test_cli_runner()
    look.write_bytes(b"damaged")
    answered = runner.invoke(predict_command, arguments)
    assert answered.exit_code == 0, answered.output
    assert json.loads(answered.stdout)["first_look"] is None
    alone = runner.invoke(predict_command, [*arguments, "--first-look-only"])
    assert alone.exit_code == 1
    assert "Traceback" not in alone.output


def test_an_admin_sees_what_was_measured_until_it_is_erased(
    app: Flask, upload: Upload, admin: FlaskClient, known: bytes, rows: Rows
) -> None:
    upload(known)
    row = rows()[0]
    case, picture = f"/admin/screenings/{row.id}", f"/admin/photos/{row.photos[0].id}/measures"
    page = admin.get(case).text
    for letter in "ABCD":
        assert page.count(f'data-letter="{letter}"') == 1
    assert f'<img src="{picture}"' in page
    assert "style=" not in page
    drawn = admin.get(picture)
    assert drawn.mimetype == "image/jpeg"
    plain = decode(admin.get(f"/admin/photos/{row.photos[0].id}").data)
    assert (np.abs(decode(drawn.data).astype(int) - plain).max(axis=2) > 80).mean() > 0.005
    with app.app_context():
        erase(row.id)
    assert "data-letter" not in admin.get(case).text
    assert admin.get(picture).status_code == 404


def test_the_picture_is_for_admins_alone(client: FlaskClient, upload: Upload, known: bytes, rows: Rows) -> None:
    upload(known)
    assert client.get(f"/admin/photos/{rows()[0].photos[0].id}/measures").status_code in (302, 303)
