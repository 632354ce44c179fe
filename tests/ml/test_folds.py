"""Training and evaluating by folds: each fold has a model of its own, and only that one answers for it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest

from ml.bundle import CHECKSUMS, LEARNT, Bundle
from ml.data.manifest import Dataset, load_dataset, load_manifest, read_image
from ml.data.prepare import prepare
from ml.errors import DatasetError, TrainingError
from ml.evaluate_folds import evaluate_folds, headline, match_folds, spread
from ml.labels import Status
from ml.provenance import DIGITS
from ml.screen import Screener
from ml.train import train
from ml.train_folds import chosen_folds, train_folds
from ml.training.ancestors import check_ancestors
from ml.training.config import TrainingConfig
from tests.ml.data.layouts import drawn_rashes, place
from tests.ml.tiny import TINY

FOLDS = 2
SHARES = {"train": 0.4, "val": 0.4, "test": 0.2}
CONFIG = replace(TINY, label_set="mpox", epochs=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn pictures in place of rashes, in two folds: a label set without malignant classes."""
    folder = tmp_path_factory.mktemp("folds")
    for name, patients in drawn_rashes(folder / "drawn").items():
        for picture in (picture for patient in patients for picture in patient):
            place(picture, folder / "source" / name / picture.name)
    return prepared(folder, "prepared", folds=FOLDS).folder


def prepared(folder: Path, name: str, **options: Any) -> Dataset:
    return prepare(folder / "source", "folders", folder / name, label_set="mpox", fractions=SHARES, **options)


@pytest.fixture(scope="module")
def plain(data: Path) -> Path:
    """The same pictures, split once."""
    return prepared(data.parent, "plain").folder


@pytest.fixture(scope="module")
def bundles(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    home = tmp_path_factory.mktemp("runs")
    folder = home / "models" / "tiny" / "1"
    return train_folds(CONFIG, data, home / "run", folder, chosen_folds(data, "all"), progress_bar=False)


def test_every_fold_has_a_model_of_its_own(bundles: list[Bundle], data: Path) -> None:
    assert [bundle.card.name for bundle in bundles] == ["tiny-fold-1", "tiny-fold-2"]
    for number, bundle in enumerate(bundles, start=1):
        assert bundle.card.data["fold"] == bundle.card.training["config"]["fold"] == number
        assert bundle.card.data["split_digests"] == load_dataset(data, number).fingerprint()["split_digests"]
        assert bundle.card.validation["images"] == len(load_dataset(data, number).split("val"))


def test_figures_over_folds(bundles: list[Bundle], data: Path, tmp_path: Path) -> None:
    found = evaluate_folds(bundles[::-1], data, "test", tmp_path, resamples=20, progress=False)
    assert json.loads((tmp_path / "folds.json").read_text()) == found
    assert [row["fold"] for row in found["folds"]] == [1, 2]
    assert sum(row["n_images"] for row in found["folds"]) == 42, "every picture is tested once"
    for number, row in enumerate(found["folds"], start=1):
        metrics = json.loads((tmp_path / f"fold-{number}" / "metrics.json").read_text())
        assert metrics["dataset"]["fold"] == number
        assert metrics["overlap_with_training"]["verdict"] == "none"
        assert headline(metrics).items() <= row.items()
    values = [row["balanced_accuracy"] for row in found["folds"]]
    assert found["figures"]["balanced_accuracy"] == {
        "mean": pytest.approx(sum(values) / 2),
        "deviation": pytest.approx(stdev(values)),
        "folds": 2,
    }
    expected = {"accuracy", "mpox_recall", "healthy_f1"}
    assert expected <= set(found["figures"])
    assert not any(name.startswith("malignant") for name in found["figures"])


def test_a_model_of_rashes_gives_their_statuses_and_no_risk(bundles: list[Bundle], data: Path) -> None:
    screener = Screener(bundles[0])
    taxonomy = screener.classifier.taxonomy
    photos = [read_image(record, 200) for record in load_dataset(data, 1).split("test")]
    answers = screener.judge(photos, screener.classifier.predict(photos))
    assert all(answer.malignant_risk is None and answer.thresholds is None for answer in answers)
    for answer in answers:
        assert answer.status is (
            Status.REFUSED if answer.predicted is None else taxonomy.label(answer.predicted).status
        )
    assert [label.status for label in taxonomy.labels] == 5 * [Status.INFECTIOUS] + [Status.HEALTHY]


def test_a_model_answers_for_its_own_fold_alone(bundles: list[Bundle], data: Path, plain: Path, tmp_path: Path) -> None:
    """Training on one fold and testing on another is the leak that five folds invite."""
    dataset, (first, second) = load_manifest(data), bundles
    assert list(match_folds((second, first), dataset)) == [1, 2]
    with pytest.raises(DatasetError, match="was trained on a fold 1 of other data"):
        match_folds(bundles, prepared(data.parent, "again", folds=FOLDS, seed=1))
    for given, words in (
        ((first,), "no model of fold 2"),
        ((first, first), "both of fold 1"),
        ((renamed(second, fold=1),), "was trained on a fold 1 of other data"),
        ((replace(first, card=replace(first.card, data={})),), "was not trained on a fold of this data"),
        ((first, started_from(second, first)), "started from a model that was trained on another part of this data"),
    ):
        with pytest.raises(DatasetError, match=words):
            match_folds(given, dataset)
    with pytest.raises(DatasetError, match="has no folds"):
        evaluate_folds(bundles, plain, "test", tmp_path)


def renamed(bundle: Bundle, fold: int) -> Bundle:
    return replace(bundle, card=replace(bundle.card, data={**bundle.card.data, "fold": fold}))


def started_from(bundle: Bundle, earlier: Bundle) -> Bundle:
    return replace(bundle, card=replace(bundle.card, lineage=({"name": "earlier", "data": earlier.card.data},)))


def begun_from(role: str, place: Path) -> TrainingConfig:
    return replace(CONFIG, weights=str(place)) if role == "weights" else replace(CONFIG, teacher=str(place))


@pytest.mark.parametrize("role", ["weights", "teacher"])
def test_a_fold_starts_from_nothing_that_has_met_its_test(
    bundles: list[Bundle], data: Path, tmp_path: Path, role: str
) -> None:
    """Some of the same pictures, prepared anew and split otherwise: no digest of the whole tells of it."""
    reduced = tmp_path / "source"
    shutil.copytree(data.parent / "source", reduced)
    for folder in reduced.iterdir():
        sorted(folder.iterdir())[-1].unlink()
    prepare(reduced, "folders", tmp_path / "reduced", label_set="mpox", fractions=SHARES, seed=3)
    early = train(CONFIG, tmp_path / "reduced", tmp_path / "run", tmp_path / "m" / "early" / "1", progress_bar=False)
    where = early.path if role == "teacher" else early.path / "weights.safetensors"  # as good as the bundle itself
    config = begun_from(role, where)
    with pytest.raises(TrainingError, match=r"early@1 learnt from or was tuned on \d+ of the 24 images"):
        train_folds(config, data, tmp_path / "runs", tmp_path / "m" / "late" / "1", (1,), progress_bar=False)
    unlisted = tmp_path / "m" / "unlisted"
    shutil.copytree(early.path, unlisted)
    (unlisted / LEARNT).unlink()
    sums = (unlisted / CHECKSUMS).read_text(encoding="ascii").splitlines(keepends=True)
    (unlisted / CHECKSUMS).write_text("".join(line for line in sums if LEARNT not in line), encoding="ascii")
    with pytest.raises(TrainingError, match="keeps no list of the images"):
        check_ancestors(begun_from(role, unlisted), load_dataset(data, 1))
    check_ancestors(begun_from(role, bundles[0].path), load_dataset(data, 1))  # its own fold's
    with pytest.raises(TrainingError, match="Fold 2 cannot start from it"):
        check_ancestors(begun_from(role, bundles[0].path), load_dataset(data, 2))


def test_a_model_that_has_met_a_folds_test_is_not_evaluated_on_it(
    bundles: list[Bundle], data: Path, tmp_path: Path
) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(bundles[0].path, spoilt)
    tested = load_dataset(data, 1).split("test")[0].sha256[:DIGITS]
    with (spoilt / LEARNT).open("a", encoding="ascii") as file:
        file.write(f"{tested}\n")
    with pytest.raises(DatasetError, match="learnt from 1 of the 24 images that fold 1 tests"):
        match_folds((Bundle(spoilt, bundles[0].card), bundles[1]), load_manifest(data))


def test_folds_that_are_not_there_are_one_clear_error(data: Path, plain: Path, tmp_path: Path) -> None:
    assert chosen_folds(data, "2") == (2,)
    for fold in ("0", "3", "first"):
        with pytest.raises(TrainingError, match=f"no fold '{fold}'; give 1 to 2, or all"):
            chosen_folds(data, fold)
    with pytest.raises(TrainingError, match="has no folds; prepare it with --folds 5"):
        chosen_folds(plain, "all")
    with pytest.raises(DatasetError, match="has 2 folds; say which one"):
        train(CONFIG, data, tmp_path / "run", tmp_path / "models" / "t" / "1", progress_bar=False)


def test_a_run_is_not_resumed_on_another_fold(data: Path, bundles: list[Bundle], tmp_path: Path) -> None:
    run = bundles[0].path.parents[2] / "run" / "fold-1"
    with pytest.raises(TrainingError, match=r"other settings \(fold\)"):
        train(replace(CONFIG, fold=2), data, run, tmp_path / "models" / "t" / "1", resume=True, progress_bar=False)


def test_mean_and_deviation_leave_out_what_is_not_defined() -> None:
    assert spread([{"a": 0.5, "b": None}, {"a": 0.7, "b": 1.0}, {"a": 0.6, "b": None}]) == {
        "a": {"mean": pytest.approx(0.6), "deviation": pytest.approx(0.1), "folds": 3},
        "b": {"mean": 1.0, "deviation": None, "folds": 1},
    }
    assert spread([{"a": None}])["a"] == {"mean": None, "deviation": None, "folds": 0}
