"""The page about the model: what a visitor reads of a model with, without and after its evaluation."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ml.bundle import Bundle, load_bundle
from ml.evaluate import evaluate
from ml.labels import load_taxonomy
from ml.training import model_card
from webapp.config import PROJECT_FOLDER, Config
from webapp.model_page import words
from webapp.model_page.facts import out_of_hundred


@pytest.fixture(scope="session")
def evaluated(tiny_bundle: Bundle, drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copy of the tiny model with its evaluation beside it."""
    folder = tmp_path_factory.mktemp("evaluated") / "bundle"
    shutil.copytree(tiny_bundle.path, folder)
    evaluate(load_bundle(folder), drawn_data, "test", folder / "evaluation", resamples=20, progress=False)
    return load_bundle(folder)


@pytest.fixture
def visit(config: Config, make_app: Callable[[Config], Flask]) -> Callable[..., Any]:
    """Opens a page of an application that serves a bundle."""

    def open_page(bundle: Bundle, path: str = "/model", language: str = "en") -> Any:
        client = make_app(replace(config, model=str(bundle.path))).test_client()
        return client.get(path, headers={"Accept-Language": language})

    return open_page


def test_melanoma_comes_first_and_a_hundred_photos_are_a_hundred(visit: Callable[..., Any], evaluated: Bundle) -> None:
    page = visit(evaluated).text
    codes = re.findall(r'data-class="(\w+)"', page)
    assert codes[0] == "mel"
    assert set(codes) == set(evaluated.card.classes)
    assert set(codes[:3]) == {"mel", "bcc", "akiec"}
    for part in re.findall(r'<svg class="dots".*?</svg>', page, re.DOTALL):
        assert part.count("<circle") == 100


def test_the_study_of_skin_tones_is_told_where_there_is_one(
    visit: Callable[..., Any], evaluated: Bundle, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(evaluated.path, tmp_path / "bundle")
    digest = json.loads((evaluated.path / "evaluation" / "metrics.json").read_text(encoding="utf-8"))["bundle"][
        "sha256"
    ]
    steps = [
        {"status_flips": flips, "refused": refused} for flips, refused in ((0.09, 0.02), (0.312, 0.1), (None, 1.0))
    ]
    study = {"split": "val", "bundle": {"sha256": digest}, "conditions": [{"name": "skin_tone", "steps": steps}]}
    (tmp_path / "bundle" / "evaluation" / "conditions.json").write_text(json.dumps(study), encoding="utf-8")
    page = visit(load_bundle(tmp_path / "bundle")).text
    assert "9 to 31 of 100 answers became another status" in page
    assert "on the darkest 100 of 100 photos" in page
    assert "not on those of the test" in page
    (tmp_path / "bundle" / "evaluation" / "conditions.json").write_text(json.dumps({**study, "split": "test"}))
    assert "photos that it had never seen" in visit(load_bundle(tmp_path / "bundle")).text
    assert "data-tones" not in visit(tiny_bundle).text
    study["bundle"] = {"sha256": "of other files"}
    (tmp_path / "bundle" / "evaluation" / "conditions.json").write_text(json.dumps(study), encoding="utf-8")
    assert "data-tones" not in visit(load_bundle(tmp_path / "bundle")).text


def test_numbers_on_the_page_are_those_of_the_evaluation(visit: Callable[..., Any], evaluated: Bundle) -> None:
    metrics = json.loads((evaluated.path / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    page = visit(evaluated).text
    melanoma = metrics["per_class"]["mel"]
    share = melanoma["told"]["malignant_or_uncertain"]["share"]
    (shown,) = re.findall(r'data-told="melanoma".*?<strong>(\d+)</strong>', page, re.DOTALL)
    assert abs(int(shown) - 100 * share) <= 1
    assert f"Measured on {melanoma['support']} photos of melanomas" in page
    assert f"Of 1000 suitable photos it wrongly declined {round(1000 * metrics['gate']['refused_share'])}." in page


def test_a_model_without_an_evaluation_says_so(visit: Callable[..., Any], tiny_bundle: Bundle) -> None:
    page = visit(tiny_bundle).text
    assert 'data-figures="validation"' in page
    assert "No independent test of this model" in page
    assert "data-told" not in page
    assert "data-classes" not in page
    assert "probably benign, and at most" not in page


def test_a_share_asked_for_is_told_as_it_was_asked_for(
    visit: Callable[..., Any], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    card = json.loads((tmp_path / "bundle" / "card.json").read_text(encoding="utf-8"))
    card["training"]["config"]["operating_points"] = {"sensitivity": 0.9, "missed": 0.07}
    # 100 * 0.07 is a little more than 7
    (tmp_path / "bundle" / "card.json").write_text(json.dumps(card), encoding="utf-8")
    page = visit(replace(tiny_bundle, path=tmp_path / "bundle")).text
    assert re.findall(r"at (?:least|most) (\d+) of 100", page) == ["90", "7"]


@pytest.mark.parametrize("change", [{"split": "val"}, {"bundle": {"sha256": "0" * 64}}])
def test_an_evaluation_of_other_files_or_splits_is_not_shown(
    visit: Callable[..., Any], evaluated: Bundle, tmp_path: Path, change: dict[str, Any]
) -> None:
    shutil.copytree(evaluated.path, tmp_path / "bundle")
    file = tmp_path / "bundle" / "evaluation" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change), encoding="utf-8")
    assert 'data-figures="validation"' in visit(load_bundle(tmp_path / "bundle")).text


@pytest.mark.parametrize("content", ["", "[]", '{"split": "test"}', '{"split": "test", "bundle": null}'])
def test_a_damaged_evaluation_is_none(
    visit: Callable[..., Any], tiny_bundle: Bundle, tmp_path: Path, content: str
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    (tmp_path / "bundle" / "evaluation").mkdir(exist_ok=True)
    (tmp_path / "bundle" / "evaluation" / "metrics.json").write_text(content, encoding="utf-8")
    answer = visit(load_bundle(tmp_path / "bundle"))
    assert answer.status_code == 200
    assert 'data-figures="validation"' in answer.text


def test_an_answer_links_to_the_model_that_gave_it(
    upload: Callable[..., Any], client: FlaskClient, photo: Callable[..., bytes], tiny_bundle: Bundle
) -> None:
    page = client.get(upload(photo("nv")).headers["Location"]).text
    address = f"/model/{tiny_bundle.card.name}/{tiny_bundle.card.version}"
    assert f'href="{address}"' in page
    found = client.get(address)
    assert found.status_code == 200
    assert "This is an earlier model" not in found.text


def test_an_earlier_model_is_shown_as_such(
    visit: Callable[..., Any], config: Config, evaluated: Bundle, tiny_bundle: Bundle
) -> None:
    card = json.loads((tiny_bundle.path / "card.json").read_text(encoding="utf-8")) | {"name": "old", "version": "7"}
    folder = config.models / "old" / "7"
    shutil.copytree(tiny_bundle.path, folder)
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    page = visit(evaluated, "/model/old/7").text
    assert 'data-model="old@7"' in page
    assert "This is an earlier model" in page


@pytest.mark.parametrize("path", ["/model/gone/1", "/model/..%2f..%2fetc/1", "/model/%3Cscript%3E/1"])
def test_a_model_that_is_gone_is_said_to_be(visit: Callable[..., Any], tiny_bundle: Bundle, path: str) -> None:
    answer = visit(tiny_bundle, path)
    assert answer.status_code == 404
    assert "<script>" not in answer.text


def test_the_page_of_a_model_that_is_gone_leads_to_the_present_one(
    visit: Callable[..., Any], tiny_bundle: Bundle
) -> None:
    page = visit(tiny_bundle, "/model/gone/1").text
    assert 'data-model="gone"' in page
    assert "gone, version 1" in page
    assert 'href="/model"' in page


def test_the_page_speaks_german(visit: Callable[..., Any], evaluated: Bundle) -> None:
    page = visit(evaluated, language="de").text
    assert "Von 100 Fotos eines Melanoms" in page
    assert "Of 100 photos" not in page


def test_every_limit_that_training_writes_has_its_translation(app: Flask) -> None:
    with app.test_request_context(headers={"Accept-Language": "de"}):
        spots, rashes = load_taxonomy("ham10000"), load_taxonomy("msid")
        taught: dict[str, Any] = {"measured": {"not_skin": {}}}
        limits = model_card.limits({"source_format": "ham10000"}, spots, {"accepts": "dermatoscopic", **taught})
        assert len(limits) == 4
        ham10000, folders = {"source_format": "ham10000"}, {"source_format": "folders"}
        for sentence in (
            *limits,
            *model_card.limits({"source_format": "ham10000"}, spots, {"accepts": "skin"}),
            *model_card.limits({"source_format": "msid"}, rashes, {"accepts": "clinical", **taught}),
            *model_card.limits({"source_format": "msid"}, rashes, {"accepts": "skin"}),
            model_card.licence({}),
            model_card.licence(ham10000),
            model_card.licence(ham10000, [{"source_format": "msid"}, folders]),
        ):
            assert words.card_sentence(sentence) != sentence
    assert words.UNTAUGHT == model_card.UNTAUGHT_LIMITS
    assert words.REFUSED == {"dermatoscopic": model_card.DERMATOSCOPIC_LIMIT, "clinical": model_card.CLINICAL_LIMIT}


def test_a_model_whose_check_knows_no_ordinary_photos_says_so(visit: Callable[..., Any], tiny_bundle: Bundle) -> None:
    """Whatever an older card claims of it."""
    told = "Its check was never taught to tell ordinary photos of skin apart"
    assert tiny_bundle.card.gate["accepts"] == "skin"
    assert told in " ".join(tiny_bundle.card.limits)
    page = visit(tiny_bundle).text
    assert "data-untaught" in page
    assert page.count(told) == 2
    taxonomy = load_taxonomy("ham10000")
    old = replace(tiny_bundle.card, limits=(model_card.DERMATOSCOPIC_LIMIT, *model_card.LIMITS))
    assert words.limits(old, taxonomy) == [model_card.UNTAUGHT_LIMITS["dermatoscopic"], *model_card.LIMITS]
    taught = replace(old, gate={**old.gate, "accepts": "dermatoscopic"})
    assert words.limits(taught, taxonomy) == list(old.limits)


def test_whole_numbers_add_up_to_a_hundred_and_nothing_that_happened_is_none() -> None:
    assert out_of_hundred({"a": 130, "b": 8, "c": 3, "d": 1}) == {"a": 91, "b": 6, "c": 2, "d": 1}
    rare = out_of_hundred({"a": 999, "b": 1, "c": 0})
    assert rare == {"a": 99, "b": 1, "c": 0}
    assert sum(out_of_hundred({"a": 1, "b": 1, "c": 1}).values()) == 100


def test_the_page_loads_no_deep_learning_library(evaluated: Bundle, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from webapp import create_app; from webapp.config import Config\n"
        f"app = create_app(Config(instance=Path({str(tmp_path)!r}), model={str(evaluated.path)!r}, secret_key='x'))\n"
        "assert app.test_client().get('/model').status_code == 200\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
