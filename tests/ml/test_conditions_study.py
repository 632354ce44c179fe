"""A model under phone-like conditions: what is sampled, measured and said, with a really trained tiny model."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.bundle import Bundle
from ml.conditions import CONDITIONS
from ml.conditions_metrics import ERRS, HOLDS, REFUSES, Answers, errs, judge, measure_step, tone_sentence
from ml.conditions_report import contact_sheet, digest, draw_all, svg
from ml.conditions_study import sample_lesions, study_conditions, with_views
from ml.data.drawn import draw_lesion
from ml.data.manifest import load_dataset
from ml.errors import DatasetError
from ml.labels import load_taxonomy
from ml.screening import Gate

IMAGES = 7  # the test split has as many lesions


@pytest.fixture(scope="module")
def study(tiny_bundle: Bundle, drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("conditions")
    study_conditions(tiny_bundle, drawn_data, "test", out, images=IMAGES, resamples=40, progress=False)
    return out


@pytest.fixture(scope="module")
def figures(study: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((study / "conditions.json").read_text(encoding="utf-8"))
    return content


def test_figures_can_be_computed_again_from_the_table(study: Path, figures: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO((study / "conditions.csv").read_text(encoding="utf-8"))))
    assert len(rows) == IMAGES * (1 + sum(len(condition.values) for condition in CONDITIONS))
    for condition in figures["conditions"]:
        for number, step in enumerate(condition["steps"], start=1):
            own = [row for row in rows if (row["condition"], row["step"]) == (condition["name"], str(number))]
            refused = [row["status"] == "refused" for row in own]
            assert step["refused"] == pytest.approx(np.mean(refused), abs=1e-4)
            assert step["answered"] == IMAGES - sum(refused)
            recalls = [
                np.mean([row["predicted"] == code for row in own if row["label"] == code])
                for code in {row["label"] for row in own}
            ]
            assert step["balanced_accuracy"] == pytest.approx(np.mean(recalls), abs=1e-4)
            assert sum(step["gate"].values()) == IMAGES
            low, high = step["intervals"]["refused"]
            assert low <= step["refused"] <= high


def test_unchanged_pictures_differ_in_nothing_from_themselves(figures: dict[str, Any]) -> None:
    unchanged = figures["unchanged"]
    for name in ("answered_change", "called_benign_change", "risk_change", "class_flips", "status_flips"):
        assert unchanged[name] in (0, None), name
    assert not errs(unchanged)


def test_the_study_says_what_it_is(figures: dict[str, Any], tiny_bundle: Bundle) -> None:
    assert figures["bundle"]["name"] == tiny_bundle.card.name
    assert (figures["split"], figures["n_images"], figures["n_lesions"]) == ("test", IMAGES, IMAGES)
    assert sum(figures["images_per_class"].values()) == IMAGES
    assert (figures["views"], figures["views_of_the_bundle"]) == ("one", "four")
    assert figures["overlap_with_training"]["verdict"] == "none"
    assert [condition["name"] for condition in figures["conditions"]] == [c.name for c in CONDITIONS]
    for condition in figures["conditions"]:
        assert condition["sentence"].startswith(condition["title"])
        assert condition["verdict"] in (HOLDS, REFUSES, ERRS)
        assert all(0 <= index < len(condition["steps"]) for index in condition["erring"])


def test_it_comes_out_the_same_again(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    once, again = (
        study_conditions(tiny_bundle, drawn_data, "test", tmp_path / name, images=2, resamples=40, progress=False)
        for name in ("once", "again")
    )
    assert again | {"date": ""} == once | {"date": ""}
    assert (tmp_path / "again" / "conditions.csv").read_bytes() == (tmp_path / "once" / "conditions.csv").read_bytes()


def test_report_stands_alone_and_tells_every_condition(study: Path, figures: dict[str, Any]) -> None:
    page = (study / "report.html").read_text(encoding="utf-8")
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "<script" not in page
    assert page.count("data:image/svg+xml") == len(CONDITIONS)
    assert "data:image/jpeg" in page
    for condition in figures["conditions"]:
        assert condition["title"] in page
    for phrase in ("not a medical device", "set of views “one”", "at least half of the pictures are refused"):
        assert phrase in page


def test_curves_are_the_same_bytes_and_name_their_source(figures: dict[str, Any]) -> None:
    drawn = svg(draw_all(figures), digest(figures))
    assert drawn == svg(draw_all(figures), digest(figures))
    assert digest(figures).encode() in drawn
    assert digest(figures) != digest(figures | {"date": ""})


def test_contact_sheet_is_a_jpeg() -> None:
    assert contact_sheet(draw_lesion("mel", np.random.default_rng(0), (90, 120)), None).startswith(b"\xff\xd8")


def test_sample_takes_one_image_a_lesion_and_the_classes_in_turn(drawn_data: Path) -> None:
    records = load_dataset(drawn_data).split("train")
    sample = sample_lesions(records, 16, seed=0)
    assert len({record.lesion_id for record in sample}) == len(sample) == 16
    counts = Counter(record.label for record in sample)
    assert len(counts) == 7
    assert max(counts.values()) - min(counts.values()) <= 1
    assert sample == sample_lesions(records, 16, seed=0) != sample_lesions(records, 16, seed=1)
    assert len(sample_lesions(records, 10_000, 0)) == len({record.lesion_id for record in records})


def test_views_are_changed_in_every_network(tiny_bundle: Bundle) -> None:
    member = tiny_bundle.card.to_dict()
    ensemble = replace(tiny_bundle, card=replace(tiny_bundle.card, members=(member, member)))
    changed = with_views(ensemble, "one")
    assert changed.card.test_time_views == "one"
    assert [network.card.test_time_views for network in changed.networks()] == ["one", "one"]
    assert with_views(ensemble, "card") is ensemble


@pytest.mark.parametrize(
    ("data", "split", "message"), [("nowhere", "val", "not a prepared dataset"), ("", "other", "no split")]
)
def test_what_is_wrong_is_said(
    tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path, data: str, split: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        study_conditions(tiny_bundle, drawn_data / data if data else drawn_data, split, tmp_path, progress=False)


def test_figures_of_a_step_by_hand() -> None:
    labels = ["mel", "mel", "bcc", "nv", "nv", "bkl"]
    before = _answers(labels, labels, ["malignant", "uncertain", "malignant", "benign", "benign", "benign"])
    named = ["nv", "mel", "bcc", "nv", "mel", "bkl"]
    now = _answers(labels, named, ["benign", "refused", "malignant", "benign", "malignant", "refused"])
    step = measure_step(now, before, resamples=20, seed=0)
    assert step["refused"] == pytest.approx(2 / 6, abs=1e-4)
    assert step["answered"] == 4
    assert step["balanced_accuracy"] == pytest.approx(np.mean([1 / 2, 1, 1 / 2, 1]), abs=1e-4)
    assert step["answered_balanced_accuracy"] == pytest.approx(np.mean([0, 1, 1 / 2]), abs=1e-4)
    assert step["answered_change"] == pytest.approx(0.5 - 1, abs=1e-4)
    assert step["change"] == pytest.approx(0.75 - 1, abs=1e-4)
    assert step["malignant_called_benign"] == step["called_benign_change"] == pytest.approx(1 / 3, abs=1e-4)
    assert step["malignant_refused"] == step["malignant_watched"] == pytest.approx(1 / 3, abs=1e-4)
    assert step["status_flips"] == step["class_flips"] == pytest.approx(2 / 4)
    # Two thirds of certainty moved from mel to nv, and from nv to mel.
    assert step["risk_change"] == pytest.approx(0, abs=1e-4)
    assert step["malignant_risk_change"] < 0


def _answers(labels: list[str], named: list[str], statuses: list[str]) -> Answers:
    taxonomy = load_taxonomy("ham10000")
    predicted = np.array([taxonomy.index(code) for code in named])
    return Answers(
        taxonomy=taxonomy,
        images=tuple(f"{i}.png" for i in range(len(labels))),
        labels=np.array([taxonomy.index(code) for code in labels]),
        lesions=tuple(str(i) for i in range(len(labels))),
        probabilities=np.where(np.arange(7) == predicted[:, None], 0.7, 0.05),
        predicted=predicted,
        statuses=tuple(statuses),
        gates=tuple(Gate("usable") if s != "refused" else Gate("poor_quality", "blur") for s in statuses),
    )


def _step(
    refused: float, change: tuple[float, float], hidden: tuple[float, float], answered: int = 50
) -> dict[str, Any]:
    return {
        "refused": refused,
        "answered": answered,
        "answered_change": sum(change) / 2,
        "malignant_called_benign": 0.3,
        "called_benign_change": sum(hidden) / 2,
        "intervals": {"change": list(change), "answered_change": list(change), "called_benign_change": list(hidden)},
    }


def test_verdicts() -> None:
    fine, falls, hides = (-0.1, 0.1), (-0.3, -0.1), (0.05, 0.15)
    names = ["1", "2", "3"]
    calm = judge("Blur", names, [_step(0.0, fine, fine)] * 3)
    assert (calm.kind, calm.erring) == (HOLDS, ())
    assert "no step" in calm.sentence
    shy = judge("Blur", names, [_step(0.0, fine, fine), _step(0.4, fine, fine), _step(0.8, fine, fine)])
    assert shy.kind == HOLDS
    assert "80% of the pictures are refused (at 3)" in shy.sentence
    good = judge("Blur", names, [_step(0.0, fine, fine), _step(0.5, falls, fine), _step(0.9, falls, hides)])
    assert (good.kind, good.erring, good.unrefused) == (REFUSES, (1, 2), ())
    assert "worsen at 2; 50% are refused there, 90% at 3" in good.sentence
    bad = judge("Blur", names, [_step(0.1, fine, hides), _step(0.2, falls, fine), _step(0.9, falls, fine)])
    assert (bad.kind, bad.erring, bad.unrefused) == (ERRS, (0, 1, 2), (0, 1))
    assert (
        "at 1, 2. At 1, where 10% are refused, malignant pictures answered “benign” go from 20% to 30%" in bad.sentence
    )
    worse = judge("Blur", names[:1], [_step(0.2, falls, fine)])
    assert "falls by 20 points (10 to 30)" in worse.sentence
    assert judge("Blur", names[:1], [_step(0.96, falls, fine, answered=4)]).kind == REFUSES


def test_skin_tone_alone_is_told_in_figures(figures: dict[str, Any]) -> None:
    (tones,) = (condition["steps"] for condition in figures["conditions"] if condition["name"] == "skin_tone")
    told = tone_sentence(figures)
    for step in tones:
        assert f"{round(100 * step['risk_change']):+d} (" in told
        assert f"{step['refused']:.0%} " in told
        if step["status_flips"] is not None:
            assert f"{step['status_flips']:.0%} " in told
    assert "are refused at tone I," in told
    assert " and " in told
