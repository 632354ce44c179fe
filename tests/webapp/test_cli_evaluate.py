"""`flask evaluate`: its options, from the command line to the files it writes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image

from ml.bundle import Bundle
from ml.data.manifest import load_dataset
from ml.evaluate import neighbour_figures, predict_records
from ml.screen import Screener
from ml.training.config import OperatingPoints
from ml.training.ensemble import make_ensemble
from ml.training.gate_refit import refit_gate
from tests.promotion import install
from webapp.config import Config


@pytest.fixture
def evaluate(app: Flask, drawn_data: Path, tmp_path: Path) -> Callable[..., Result]:
    """Runs the command on the test split of the drawn lesions, with the report in `tmp_path / "out"`."""

    def run(*options: str) -> Result:
        command = ["evaluate", "--data", str(drawn_data), "--out", str(tmp_path / "out"), "--resamples", "5", *options]
        return app.test_cli_runner().invoke(args=command)

    return run


def metrics(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    return found


def test_everything_at_once(
    evaluate: Callable[..., Result],
    tiny_bundle: Bundle,
    lesion: Callable[..., NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    (tmp_path / "pox" / "Measles").mkdir(parents=True)
    Image.fromarray(lesion("nv")).save(tmp_path / "pox" / "Measles" / "a.png")
    tried = ("--malignant-threshold", "0.7", "--uncertain-threshold", "0.3")
    shown = ("--gate-pictures", str(tmp_path / "pox"), "--explain", "2")
    result = evaluate("--sensitivity", "0.5", *tried, *shown)
    assert result.exit_code == 0, result.output
    found = metrics(tmp_path)
    own, asked, given = found["operating_points"]
    assert own["thresholds"] == tiny_bundle.card.thresholds
    assert asked["asked"] == {"sensitivity": 0.5, "missed": OperatingPoints().missed}
    assert asked["thresholds"]["malignant"] >= own["thresholds"]["malignant"]
    assert given["thresholds"] == {"malignant": 0.7, "uncertain": 0.3}
    assert [row["pictures"] for row in found["gate_pictures"]["rows"] if row["kind"] == "pox"] == [1]
    assert found["explanations"]["images"] == 2
    assert found["neighbours"]["photos"] == found["n_images"]
    assert "Thresholds asked for" in result.output
    assert "Gate, generated" in result.output
    assert "never taught to tell ordinary photos of skin" in result.output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for phrase in (
        "before calibration",
        "Nearest confirmed cases",
        "heatmaps point",
        "page of text",
        "asked for",
        "never taught",
    ):
        assert phrase in page


def test_a_member_of_an_ensemble_is_evaluated_by_itself(
    evaluate: Callable[..., Result], tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "both" / "1"
    make_ensemble([tiny_bundle, tiny_bundle], drawn_data, folder, OperatingPoints(), progress=False)
    result = evaluate("--model", str(folder), "--member", "1")
    assert result.exit_code == 0, result.output
    found = metrics(tmp_path)
    assert found["bundle"]["member"] == "1"
    assert found["bundle"]["name"] == tiny_bundle.card.name
    assert found["neighbours"] is None, "the cases are those of the first network"
    assert "by itself" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_neighbours_are_those_among_the_features_that_the_cases_lie_in(
    tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    made = make_ensemble(
        [tiny_bundle, tiny_bundle], drawn_data, tmp_path / "both" / "1", OperatingPoints(), progress=False
    )
    second = refit_gate(made, drawn_data, None, tmp_path / "both" / "2", network=1)
    records = load_dataset(drawn_data).split("test")
    answers = predict_records(Screener(second), drawn_data, records, batch_size=16, progress=False)
    found = [neighbour_figures(one, answers, "test") for one in (second, second.member(0), second.member(1))]
    assert found[0] == found[2] is not None
    assert found[1] is None, "these cases lie among the second network's features"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--member", "0"), "has 0 members"),
        (("--malignant-threshold", "0.5"), "together"),
        (("--malignant-threshold", "0.1", "--uncertain-threshold", "0.2"), "not above"),
        (("--sensitivity", "1"), "--sensitivity"),
        (("--gate-pictures", "nowhere"), "nowhere"),
        (("--keep", "--split", "val"), "on the test split"),
        (("--keep", "--member", "0"), "a whole model"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    evaluate: Callable[..., Result], options: tuple[str, ...], sentence: str
) -> None:
    result = evaluate(*options)
    assert result.exit_code != 0
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_an_evaluation_is_kept_beside_the_model(
    evaluate: Callable[..., Result], tiny_bundle: Bundle, admin: FlaskClient, config: Config
) -> None:
    install(tiny_bundle, config.models, "mine")
    page = admin.get("/admin/models/mine/1").text
    assert "“flask evaluate --keep” makes one" in page
    assert "data-validated" in page
    assert "data-evaluated" not in page
    result = evaluate("--model", "mine@1", "--keep")
    assert result.exit_code == 0, result.output
    page = admin.get("/admin/models/mine/1").text
    assert "data-validated" not in page
    assert "data-evaluated" in page
    assert "photos of" in page
    cell = re.findall(r'href="(/admin/models/mine/1/images[^"]+)"', page)[0].replace("&amp;", "&")
    assert admin.get(cell).status_code == 200
