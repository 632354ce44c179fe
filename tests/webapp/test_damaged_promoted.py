"""A promoted model whose files are damaged, in every way there is: the one before answers, and /readyz says why."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from benchmarks.damaged_models import sign_again, ways
from ml.bundle import CARD, Bundle, is_bundle
from tests.promotion import MARGIN, install
from tests.webapp.api import send
from webapp.config import Config
from webapp.inference import get_models
from webapp.promotion.decisions import decide, make_pair

SENTENCE = "twin@1 was promoted and cannot answer, so good@1 goes on."
PAGES = ("/", "/model", "/api/v1/models", "/healthz")


@pytest.fixture
def config(config: Config, tiny_bundle: Bundle) -> Config:
    """A model that answers, another one with all the files that a bundle can have, and a set to choose by."""
    folder = config.instance / "promotion" / "ham10000"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text('{"label_set": "ham10000", "splits": {"promotion": {"images": 1}}}')
    (folder / "manifest.csv").write_text("")
    install(tiny_bundle, config.models, "good")
    twin = shutil.copytree(tiny_bundle.path, config.models / "twin" / "1")
    card = json.loads((twin / CARD).read_text(encoding="utf-8"))
    (twin / CARD).write_text(json.dumps(card | {"name": "twin"}), encoding="utf-8")
    sign_again(twin)
    return replace(config, model="good@1", promotion_margin=MARGIN)


def called(answer: TestResponse) -> str:
    """The name of the model that answered."""
    assert answer.status_code == 201
    assert answer.json is not None
    return str(answer.json["screening"]["model"]["name"])


def test_the_one_before_answers_and_readyz_says_why(
    config: Config, make_app: Callable[[Config], Flask], photo: Callable[..., bytes]
) -> None:
    running = make_app(config).test_client()
    with running.application.app_context():
        assert decide(make_pair(config, "twin"), {"passes": True, "reasons": [], "notes": []}, "anna")
    assert called(send(running, photo("nv", 1))) == "twin"
    twin = config.models / "twin" / "1"
    shutil.copytree(twin, config.instance / "whole")
    for way, name in ways(config.instance / "whole"):
        what = f"{way.__name__} {name}"
        shutil.rmtree(twin)
        shutil.copytree(config.instance / "whole", twin)
        way(twin, name, random.Random(what))
        started_later = make_app(config).test_client()
        ready = started_later.get("/readyz")
        assert ready.status_code == 200, what
        assert ready.json is not None
        why = ready.json["promotion"]
        assert why.startswith(SENTENCE), what
        assert len(why) > len(SENTENCE) + 20, what
        assert why.endswith("."), what
        assert str(config.instance) not in why, what
        assert called(send(started_later, photo("nv", 1))) == "good", what
        for page in PAGES:
            assert started_later.get(page).status_code == 200, f"{what}: {page}"
        models = started_later.get("/api/v1/models").json
        assert models is not None
        assert [one["name"] for one in models["models"]] == ["good"], what
        # A process that had it loaded goes on with it, as long as there is a folder with that model at all.
        found = is_bundle(twin)
        assert called(send(running, photo("nv", 1))) == ("twin" if found else "good"), what
        told = (running.get("/readyz").json or {}).get("promotion", "")
        assert told.startswith(SENTENCE) is not found, what
        with running.application.app_context():
            get_models()._failed.clear()  # as after the pause before the next attempt
