"""An evaluation from end to end with a really trained tiny model, and its figures against scikit-learn."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as reference

from ml.bundle import Bundle
from ml.data.manifest import Dataset, ImageRecord, load_dataset, write_dataset
from ml.errors import DatasetError
from ml.evaluate import evaluate, training_overlap
from ml.evaluate_metrics import measure
from ml.evaluate_thresholds import OperatingPoint
from ml.labels import Label, Status, Taxonomy, load_taxonomy
from ml.predictions import Predictions
from ml.report import write_report
from ml.report_sheets import worst_errors
from ml.screening import Gate

USABLE = Gate("usable")
POINTS = [OperatingPoint("the model's own", {"malignant": 0.5, "uncertain": 0.1}, "nothing")]
BLURRED = Gate.refused("poor_quality", "blur", {"sharpness": 0.1})


@pytest.fixture(scope="session")
def evaluation(tiny_bundle: Bundle, drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one evaluation of the test split."""
    out = tmp_path_factory.mktemp("evaluation") / "made" / "anew"
    evaluate(tiny_bundle, drawn_data, "test", out, batch_size=7, resamples=50, progress=False)
    return out


@pytest.fixture(scope="session")
def figures(evaluation: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((evaluation / "metrics.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="session")
def rows(evaluation: Path) -> list[dict[str, str]]:
    with (evaluation / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_figures_can_be_computed_again_from_the_predictions(
    figures: dict[str, Any], rows: list[dict[str, str]]
) -> None:
    labels, predicted = [row["label"] for row in rows], [row["predicted"] for row in rows]
    assert figures["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert figures["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert figures["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    areas = []
    for code, own in figures["per_class"].items():
        truth = [label == code for label in labels]
        areas.append(reference.roc_auc_score(truth, [float(row[f"p_{code}"]) for row in rows]))
        assert own["auroc"] == pytest.approx(areas[-1])
        assert own["recall"] == pytest.approx(reference.recall_score(truth, [name == code for name in predicted]))
        assert own["support"] == sum(truth)
    assert figures["macro_auroc"] == pytest.approx(np.mean(areas))


def test_malignant_figures_can_be_computed_again(figures: dict[str, Any], rows: list[dict[str, str]]) -> None:
    own = figures["malignant"]
    assert own["classes"] == ["akiec", "bcc", "mel"]
    truth = np.array([row["label"] in own["classes"] for row in rows])
    risk = np.array([float(row["malignant_risk"]) for row in rows])
    assert own["auroc"] == pytest.approx(reference.roc_auc_score(truth, risk))
    for prefix, threshold in (("", own["threshold"]), ("malignant_or_uncertain_", own["uncertain_threshold"])):
        assert own[f"{prefix}sensitivity"] == pytest.approx((risk >= threshold)[truth].mean())
        assert own[f"{prefix}specificity"] == pytest.approx((risk < threshold)[~truth].mean())


def test_headline_figures_have_intervals_around_them(figures: dict[str, Any]) -> None:
    spans = figures["intervals"]
    assert (spans["resamples"], spans["seed"], spans["level"]) == (50, 0, 0.95)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "brier"):
        low, high = spans[name]
        assert low <= figures[name] <= high
    for name in ("auroc", "sensitivity", "specificity"):
        low, high = spans[f"malignant_{name}"]
        assert low <= figures["malignant"][name] <= high
    assert len(spans["ece"]) == 2


def test_figures_say_what_was_measured(figures: dict[str, Any], tiny_bundle: Bundle, drawn_data: Path) -> None:
    card, records = tiny_bundle.card, load_dataset(drawn_data).split("test")
    assert (figures["bundle"]["name"], figures["bundle"]["version"]) == (card.name, card.version)
    assert re.fullmatch("[0-9a-f]{64}", figures["bundle"]["sha256"])
    assert figures["split"] == "test"
    assert figures["n_images"] == len(records)
    assert figures["n_lesions"] == len({record.lesion_id for record in records})
    assert figures["overlap_with_training"]["verdict"] == "none"
    assert sum(figures["gate"]["verdicts"].values()) == len(records)
    assert sum(figures["status"]["counts"].values()) == len(records)
    assert np.sum(figures["confusion_matrix"]["counts"]) == len(records)


def test_batch_size_decides_nothing(
    figures: dict[str, Any], tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    again = evaluate(tiny_bundle, drawn_data, "test", tmp_path, batch_size=64, resamples=50, progress=False)
    for name in ("accuracy", "macro_auroc", "ece"):
        assert again[name] == pytest.approx(figures[name], abs=1e-4)
    assert again["intervals"]["accuracy"] == pytest.approx(figures["intervals"]["accuracy"], abs=1e-4)


def test_report_stands_alone(evaluation: Path) -> None:
    page = (evaluation / "report.html").read_text(encoding="utf-8")
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "<script" not in page
    assert page.index("Melanoma") < page.index("Basal cell carcinoma")
    for phrase in ("Balanced accuracy", "operating points", "Worst errors", "not a medical device"):
        assert phrase in page


@pytest.mark.parametrize(
    "stem",
    [
        "confusion_counts",
        "confusion_shares",
        "roc",
        "precision_recall",
        "reliability_before",
        "reliability",
        "malignant_roc",
    ],
)
def test_pictures_lie_beside_the_report(evaluation: Path, stem: str) -> None:
    with Image.open(evaluation / f"{stem}.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 500


def test_refused_images_are_classified_but_count_as_missed(tiny_bundle: Bundle, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    Image.new("RGB", (200, 150), (120, 120, 120)).save(data / "blank.png")
    codes = tiny_bundle.card.classes
    records = [_record(data / "blank.png", code, f"lesion-{code}") for code in codes]
    write_dataset(data, records, {"label_set": "ham10000", "classes": list(codes)})
    figures = evaluate(tiny_bundle, data, "test", tmp_path / "out", resamples=5, progress=False)
    assert figures["gate"]["refused"] == len(codes)
    assert figures["accuracy"] == pytest.approx(1 / len(codes))  # the same picture: right for one class
    assert figures["status"]["counts"] == {"refused": len(codes)}
    assert figures["status"]["malignant_or_uncertain_sensitivity"] == 0
    assert figures["status"]["malignant_specificity"] == 0
    assert figures["status"]["benign_predictive_value"] is None


def test_the_sheet_of_worst_errors_has_refused_malignant_images_as_missed() -> None:
    labels, statuses = ["mel", "bcc", "nv", "mel"], ["refused", "benign", "refused", "malignant"]
    sheet = worst_errors(_predictions(labels, statuses))
    missed = [(row["label"], row["status"]) for row in sheet if row["missed"]]
    assert missed == [("bcc", "benign"), ("mel", "refused")], "what was called benign comes first"


def test_status_figures_by_hand() -> None:
    # Four malignant images: flagged, uncertain, called benign, refused. Four others: cleared twice, uncertain, refused.
    labels = ["mel", "mel", "bcc", "akiec", "nv", "nv", "bkl", "df"]
    statuses = ["malignant", "uncertain", "benign", "refused", "benign", "benign", "uncertain", "refused"]
    figures = measure(_predictions(labels, statuses), POINTS, resamples=20, seed=0)
    status = figures["status"]
    assert status["malignant_sensitivity"] == 1 / 4
    assert status["malignant_or_uncertain_sensitivity"] == 2 / 4
    assert status["malignant_specificity"] == 3 / 4
    assert status["malignant_or_uncertain_specificity"] == 2 / 4
    assert status["malignant_predictive_value"] == 1
    assert status["benign_predictive_value"] == 2 / 3
    assert figures["gate"] == {
        "refused": 2,
        "refused_share": 0.25,
        "verdicts": {"usable": 6, "poor_quality: blur": 2},
    }
    assert figures["per_class"]["mel"]["statuses"] == {"malignant": 1, "uncertain": 1}
    assert figures["per_class"]["vasc"]["recall"] is None


def test_groups_are_those_that_the_manifest_knows() -> None:
    predictions = _predictions(["mel", "nv", "nv", "bcc"], ["malignant", "benign", "benign", "uncertain"])
    known = [{"age": 29.0, "sex": "female"}, {"age": 30.0, "sex": "male"}, {"age": 80.0, "sex": "male"}, {"age": None}]
    records = tuple(replace(r, **values) for r, values in zip(predictions.records, known, strict=True))  # type: ignore[arg-type]
    figures = measure(replace(predictions, records=records), POINTS, resamples=5, seed=0)
    assert [(row["grouping"], row["group"], row["n_images"]) for row in figures["groups"]] == [
        ("age", "0 to 29", 1),
        ("age", "30 to 44", 1),
        ("age", "75 and over", 1),
        ("age", "not known", 1),
        ("sex", "female", 1),
        ("sex", "male", 2),
        ("sex", "not known", 1),
    ]


def test_a_label_set_without_malignant_classes_has_no_malignant_figures(tmp_path: Path) -> None:
    labels = tuple(Label(code, code.title(), Status.INFECTIOUS, "A disease.") for code in ("pox", "measles"))
    predictions = _predictions(["pox", "measles", "pox"], ["infectious"] * 3, Taxonomy("rash", "Rashes", labels))
    figures = measure(predictions, [], resamples=5, seed=0)
    assert figures["malignant"] is None
    assert not [name for name in figures["intervals"] if "malignant" in name]
    _report(tmp_path, figures, predictions)
    assert not (tmp_path / "malignant_roc.png").exists()
    assert "operating points" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_report_escapes_what_comes_from_the_data(tmp_path: Path) -> None:
    predictions = _predictions(["mel", "nv"], ["benign", "benign"])
    records = tuple(replace(r, path=Path("<script>alert(1)</script>.jpg")) for r in predictions.records)
    predictions = replace(predictions, records=records)
    figures = measure(predictions, POINTS, resamples=5, seed=0)
    _report(tmp_path, figures, predictions)
    assert "<script" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_overlap_with_training_is_noticed(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    """By the cards alone, as of models that keep no list of images."""
    dataset = load_dataset(drawn_data)

    def verdict(trained_on: Dataset | None, asked: Dataset, split: str, *earlier: Dataset) -> str:
        data = trained_on.fingerprint() if trained_on else {}
        lineage = tuple({"name": "x", "data": before.fingerprint()} for before in earlier)
        card = replace(tiny_bundle.card, data=data, lineage=lineage)
        return training_overlap(Bundle(tmp_path, card), asked, split)["verdict"]

    moved = tuple(replace(r, split="val" if r.split == "test" else r.split) for r in dataset.records)
    other_split = replace(dataset, records=moved)
    other_source = replace(other_split, summary=dataset.summary | {"source_hashes": {"images": "b"}})
    assert verdict(dataset, dataset, "test") == "none"
    assert verdict(dataset, dataset, "train") == "overlap"
    assert verdict(dataset, dataset, "val") == "overlap"
    assert verdict(dataset, other_split, "test") == "overlap"
    assert verdict(dataset, other_source, "test") == "unknown"
    assert verdict(None, dataset, "test") == "unknown"
    assert verdict(dataset, dataset, "test", dataset) == "none"
    assert verdict(dataset, dataset, "test", other_split) == "overlap", (
        "an earlier instalment saw images of this source"
    )
    assert verdict(dataset, dataset, "test", other_source) == "unknown"


def test_overlap_is_told_by_image_where_the_model_lists_what_it_met(tiny_bundle: Bundle, drawn_data: Path) -> None:
    """A part of the same pictures, prepared anew: no digest of a whole split tells of it."""
    dataset = load_dataset(drawn_data)
    other = dataset.summary | {"source_hashes": {"images": "b"}}
    half = replace(dataset, summary=other, records=dataset.records[::2])
    renamed = tuple(replace(r, split="test") for r in dataset.split("train")[:3])
    assert training_overlap(tiny_bundle, half, "test")["verdict"] == "none"
    found = training_overlap(tiny_bundle, replace(half, records=(*half.split("test"), *renamed)), "test")
    assert found["verdict"] == "overlap"
    assert f"3 of these {len(half.split('test')) + 3} images" in found["message"]


def test_data_of_other_classes_is_refused_in_a_sentence(tiny_bundle: Bundle, tmp_path: Path) -> None:
    write_dataset(tmp_path, [_record(tmp_path / "a.png", "pox", "1")], {"label_set": "rash", "classes": ["pox", "flu"]})
    with pytest.raises(DatasetError, match="the model's label set"):
        evaluate(tiny_bundle, tmp_path, "test", tmp_path / "out", progress=False)


def test_an_image_that_is_gone_is_named(tiny_bundle: Bundle, tmp_path: Path) -> None:
    codes = list(tiny_bundle.card.classes)
    write_dataset(tmp_path, [_record(tmp_path / "gone.png", "nv", "1")], {"label_set": "ham10000", "classes": codes})
    with pytest.raises(DatasetError, match=r"gone\.png cannot be read"):
        evaluate(tiny_bundle, tmp_path, "test", tmp_path / "out", progress=False)
    with pytest.raises(DatasetError, match="val split has no images"):
        evaluate(tiny_bundle, tmp_path, "val", tmp_path / "out", progress=False)


def test_an_output_that_cannot_be_written_is_a_sentence(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="Cannot write to"):
        evaluate(tiny_bundle, drawn_data, "test", tmp_path / "file", resamples=2, progress=False)


def _record(path: Path, label: str, lesion: str) -> ImageRecord:
    return ImageRecord(path, label, lesion, lesion, "test", "", 200, 150, "drawn")


def _predictions(labels: list[str], statuses: list[str], taxonomy: Taxonomy | None = None) -> Predictions:
    """Made-up answers, each image a lesion of its own; probabilities lean towards the truth."""
    taxonomy = taxonomy or load_taxonomy("ham10000")
    classes = len(taxonomy.codes)
    truth = np.array([taxonomy.index(label) for label in labels])
    probabilities = np.full((len(labels), classes), 0.4 / (classes - 1))
    probabilities[np.arange(len(labels)), truth] = 0.6
    probabilities[0] = np.roll(probabilities[0], 1)  # one error
    return Predictions(
        taxonomy=taxonomy,
        records=tuple(_record(Path(f"{i}.png"), label, str(i)) for i, label in enumerate(labels)),
        images=tuple(f"{i}.png" for i in range(len(labels))),
        probabilities=probabilities,
        uncalibrated=probabilities,
        predicted=probabilities.argmax(axis=1),
        features=np.zeros((len(labels), 4), np.float32),
        statuses=tuple(statuses),
        gates=tuple(BLURRED if status == "refused" else USABLE for status in statuses),
    )


def _report(out: Path, figures: dict[str, Any], predictions: Predictions) -> None:
    facts = {
        "split": "test",
        "date": "2026-01-31T00:00:00Z",
        "bundle": {"name": "made-up", "version": "1", "sha256": "0" * 64},
        "dataset": {"summary_sha256": "0" * 64},
        "overlap_with_training": {"verdict": "unknown", "message": "Not known."},
        "severity": None,
        "gate_pictures": None,
        "neighbours": None,
        "explanations": None,
    }
    write_report(out, figures | facts, predictions, ())
