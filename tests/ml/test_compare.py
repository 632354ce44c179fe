"""Models beside each other: figures from their evaluations, counted costs, and what others published."""

import csv
import io
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from xml.etree import ElementTree

import pytest

from ml.architectures import build_model
from ml.bundle import DEFAULT_MODELS, Bundle, load_bundle
from ml.compare import compare, find_group, published, with_earlier, write_comparison
from ml.compare_costs import count_macs, measure_costs, timed
from ml.compare_figures import FIGURES, evaluate_missing, evaluation_of, figures_of
from ml.compare_tables import as_markdown, cost_table, quality_table, shown
from ml.data.drawn import write_drawn_dataset
from ml.data.prepare import prepare
from ml.errors import BundleError, DatasetError
from ml.train_folds import train_folds
from tests.ml.tiny import TINY

FOLDS = 2


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data of two classes in two folds, and a folder of models with one for each fold."""
    home = tmp_path_factory.mktemp("compare")
    source = write_drawn_dataset(home / "source", per_class=10, size=(48, 64))
    data = prepare(source, "ham10000", home / "data", label_set="melanoma-nevus", folds=FOLDS).folder
    config = replace(TINY, label_set="melanoma-nevus", epochs=1)
    train_folds(config, data, home / "run", home / "models" / "pair" / "1", range(1, FOLDS + 1), progress_bar=False)
    return data, home / "models"


@pytest.fixture(scope="module")
def content(
    folds: tuple[Path, Path], tiny_bundle: Bundle, drawn_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Seven classes once, two classes in folds, and a model without an evaluation."""
    data, models = folds
    shutil.copytree(tiny_bundle.path, models / "seven" / "1")
    groups = [find_group(name, models) for name in ("seven", "pair")]
    compare(groups, [data, drawn_data], runs=1, progress=False)
    return compare([*groups, [tiny_bundle]], onnx=True, runs=3, progress=False)


def row(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in content["models"] if found["name"] == name)


def test_figures_are_those_of_the_evaluation_beside_the_bundle(
    content: dict[str, Any], folds: tuple[Path, Path]
) -> None:
    measured = json.loads((folds[1] / "seven" / "1" / "evaluation" / "metrics.json").read_text())
    found = content["models"][0]
    assert found["folds"] == 0
    assert found["images"] == measured["n_images"]
    assert found["overlap"] == ["none"]
    for name, place in (("accuracy", "accuracy"), ("f1", "macro_f1"), ("auroc", "macro_auroc")):
        low, high = measured["intervals"][place]
        assert found["figures"][name] == {"value": measured[place], "low": low, "high": high}
    precisions = [entry["precision"] for entry in measured["per_class"].values() if entry["precision"] is not None]
    precision = found["figures"]["precision"]
    assert precision["value"] == pytest.approx(fmean(precisions))
    assert measured["macro_precision"] == pytest.approx(precision["value"])
    assert [precision["low"], precision["high"]] == measured["intervals"]["macro_precision"]


def test_folds_are_mean_and_deviation(content: dict[str, Any], folds: tuple[Path, Path]) -> None:
    files = [folds[1] / f"pair-fold-{n}" / "1" / "evaluation" / "metrics.json" for n in (1, 2)]
    measured = [json.loads(file.read_text()) for file in files]
    found = row(content, "pair")
    assert found["folds"] == FOLDS
    assert found["images"] == sum(figures["n_images"] for figures in measured)
    values = [figures["accuracy"] for figures in measured]
    assert found["figures"]["accuracy"] == {"value": fmean(values), "deviation": stdev(values)}
    recalls = [figures["per_class"]["mel"]["recall"] for figures in measured]
    assert found["figures"]["recall"]["value"] == pytest.approx(fmean(recalls))


def test_a_model_without_an_evaluation_has_costs_alone(content: dict[str, Any], tiny_bundle: Bundle) -> None:
    found = content["models"][2]
    assert found["figures"] == {}
    assert found["costs"] == measure_costs(tiny_bundle)
    _, rows = quality_table(content)
    assert rows[2][2:4] == ["not evaluated", "-"]
    assert rows[2][4:] == ["-"] * len(FIGURES)


def test_an_evaluation_of_other_files_does_not_count(tiny_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    bundle = load_bundle(tmp_path / "b")
    (tmp_path / "b" / "evaluation").mkdir()
    figures: dict[str, Any]
    for figures in ({}, {"bundle": {"sha256": "0"}, "split": "test"}):
        (tmp_path / "b" / "evaluation" / "metrics.json").write_text(json.dumps(figures))
        assert evaluation_of(bundle) is None


def test_data_must_be_what_the_model_was_trained_on(
    tiny_bundle: Bundle, folds: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "models" / "t" / "1")
    with pytest.raises(DatasetError, match="trained on none of the data given"):
        compare([find_group("t", tmp_path / "models")], [folds[0]], runs=1, progress=False)


def test_folds_of_other_data_with_the_same_classes_are_passed_over(folds: tuple[Path, Path], tmp_path: Path) -> None:
    source = write_drawn_dataset(tmp_path / "source", per_class=8, size=(48, 64), seed=5)
    other = prepare(source, "ham10000", tmp_path / "other", label_set="melanoma-nevus", folds=FOLDS).folder
    models = tmp_path / "models"
    for number in (1, 2):
        shutil.copytree(
            folds[1] / f"pair-fold-{number}" / "1",
            models / f"pair-fold-{number}" / "1",
            ignore=shutil.ignore_patterns("evaluation"),
        )
    group = find_group("pair", models)
    with pytest.raises(DatasetError, match="trained on none of the data given"):
        evaluate_missing(group, [other], progress=False)
    evaluate_missing(group, [other, folds[0]], progress=False)
    assert all(evaluation_of(bundle) for bundle in group)


def test_names_stand_for_a_bundle_or_for_its_folds(folds: tuple[Path, Path]) -> None:
    models = folds[1]
    assert [bundle.card.name for bundle in find_group("pair", models)] == ["pair-fold-1", "pair-fold-2"]
    assert [bundle.card.name for bundle in find_group("pair@1", models)] == ["pair-fold-1", "pair-fold-2"]
    assert [bundle.card.name for bundle in find_group("pair-fold-2", models)] == ["pair-fold-2"]
    with pytest.raises(BundleError, match="There is no model 'nothing'"):
        find_group("nothing", models)


def test_trained_folds_come_before_a_shipped_model_of_their_name(folds: tuple[Path, Path], tmp_path: Path) -> None:
    shipped = DEFAULT_MODELS[1].name
    assert [bundle.path for bundle in find_group(shipped, tmp_path)] == [DEFAULT_MODELS[1]]
    for number in (1, 2):
        shutil.copytree(folds[1] / f"pair-fold-{number}" / "1", tmp_path / f"{shipped}-fold-{number}" / "1")
    assert [bundle.card.name for bundle in find_group(shipped, tmp_path)] == ["pair-fold-1", "pair-fold-2"]
    (tmp_path / shipped).mkdir()
    shutil.copytree(folds[1] / "pair-fold-2" / "1", tmp_path / shipped / "1")
    assert [bundle.path.parent.name for bundle in find_group(shipped, tmp_path)] == [shipped]
    (tmp_path / shipped / "1" / "SHA256SUMS").unlink()
    with pytest.raises(BundleError, match="SHA256SUMS"):
        find_group(shipped, tmp_path)


def test_multiplications_are_those_one_counts_by_hand() -> None:
    # LeNet-5 at 32 x 32: outputs times kernel times input maps, layer by layer; then the head.
    convolutions = 28 * 28 * 6 * 25 * 3 + 10 * 10 * 16 * 25 * 6 + 1 * 120 * 25 * 16
    head = 120 * 512 + 512 * 7
    assert count_macs(build_model("lenet", 7, 32).eval(), 32) == convolutions + head


def test_published_counts_are_met() -> None:
    # 300 million at 224 x 224 (Sandler et al. 2018, "MobileNetV2", table 4), less its classifier.
    found = count_macs(build_model("mobilenet-v2", 7, 224).eval(), 224)
    assert found == pytest.approx(300e6, rel=0.02)


def test_costs_grow_with_views(tiny_bundle: Bundle) -> None:
    found = measure_costs(tiny_bundle)
    assert found["macs_per_photo"] == 4 * found["macs_per_view"]  # it averages over four views
    assert found["weights_bytes"] == (tiny_bundle.path / "weights.safetensors").stat().st_size
    assert found["weights_bytes"] < found["bundle_bytes"]


def test_times_leave_the_first_calls_out() -> None:
    calls: list[int] = []
    found = timed(lambda: calls.append(1), 4)
    assert len(calls) == 4 + 3
    assert 0 <= found["median"] <= found["p95"]


def test_published_figures_come_with_their_protocol() -> None:
    found = {result["model"]: result for result in published()}
    assert found["LeNet"]["value"] == 0.9973
    assert found["EfficientNet-B4"]["leaking"] == "yes"
    for result in found.values():
        assert result["metric"] in FIGURES
        assert 0 < result["value"] <= 1
        assert result["leaking"] in ("yes", "no", "not known")
        assert result["protocol"].endswith(".")


def test_every_file_tells_the_same(content: dict[str, Any], tmp_path: Path) -> None:
    write_comparison(content, tmp_path)
    assert json.loads((tmp_path / "comparison.json").read_text()) == content
    rows = list(csv.DictReader(io.StringIO((tmp_path / "comparison.csv").read_text())))
    assert len(rows) == len(content["models"]) + len(content["published"])
    for line, found in zip(rows, content["models"], strict=False):
        assert int(line["parameters"]) == found["costs"]["parameters"]
        assert int(line["onnx_bytes"]) == found["onnx"]["bytes"]
        if found["figures"]:
            assert float(line["accuracy"]) == found["figures"]["accuracy"]["value"]
    markdown, html = (tmp_path / "comparison.md").read_text(), (tmp_path / "comparison.html").read_text()
    for table in (quality_table(content), cost_table(content)):
        for cells in table[1]:
            assert f"| {' | '.join(cells)} |" in markdown
            assert all(f"<td>{cell}</td>" in html for cell in cells)
    assert "<script" not in html
    picture = (tmp_path / "comparison.svg").read_text()
    assert ElementTree.fromstring(picture).tag.endswith("svg")  # noqa: S314  # drawn a moment ago
    assert f"{content['machine']['cores']} cores, 1 used" in markdown


def test_a_folder_that_cannot_be_written_is_one_sentence(content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match="Cannot write to"):
        write_comparison(content, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (None, "-"),
        ({"value": None}, "-"),
        ({"value": 0.5}, "50.0"),
        ({"value": 0.5, "low": 0.25, "high": 0.75}, "50.0 (25.0 to 75.0)"),
        ({"value": 0.5, "low": None, "high": None}, "50.0"),
        ({"value": 0.5, "deviation": 0.0125}, "50.0 ± 1.2"),
    ],
)
def test_figures_are_shown_with_what_is_known_of_them(entry: dict[str, Any] | None, text: str) -> None:
    assert shown(entry, percent=True) == text


def test_an_undefined_figure_stays_undefined() -> None:
    figures = {
        "accuracy": 0.5, "balanced_accuracy": 0.5, "macro_f1": None, "macro_auroc": None,
        "per_class": {code: {"precision": None, "recall": 0.5} for code in "abc"},
        "intervals": {name: [None, None] for name in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")},
    }  # fmt: skip
    found: Sequence[dict[str, float | None]] = list(figures_of(figures, None).values())
    assert [entry["value"] for entry in found] == [0.5, 0.5, None, 0.5, None, None]
    assert not any(isinstance(entry["value"], float) and math.isnan(entry["value"]) for entry in found)


def test_rows_of_an_earlier_comparison_stay_with_the_machine_they_were_measured_on(content: dict[str, Any]) -> None:
    machine = {**content["machine"], "processor": "Abacus"}
    earlier = {"machine": machine, "models": [{**content["models"][0], "name": "gone"}, content["models"][0]]}
    both = with_earlier(content, earlier)
    assert [row["name"] for row in both["models"]] == [*(row["name"] for row in content["models"]), "gone"]
    assert "Measured earlier, on Abacus" in as_markdown(both)
    assert "Measured earlier" not in as_markdown(content)
    again = with_earlier(content, both)
    assert again["models"][-1]["machine"] == machine
