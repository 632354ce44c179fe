"""Five folds, drawn or given: what one fold tests it never trains on, and nothing reads several folds as one."""

import csv
import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.data.audit import audit
from ml.data.folds import draw_folds
from ml.data.manifest import SPLITS, Dataset, ImageRecord, load_dataset, load_manifest
from ml.data.prepare import prepare
from ml.data.sources_folders import read_groups
from ml.errors import DatasetError
from ml.labels import load_taxonomy
from tests.ml.data.layouts import RASHES, augmented, drawn_rashes, write_folds

FOLDS = range(1, 6)


@pytest.fixture(scope="module")
def rashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of MSLD v2.0 with drawn pictures, as unpacked."""
    home = tmp_path_factory.mktemp("msld")
    return write_folds(home / "source", drawn_rashes(home / "drawn"))


@pytest.fixture
def source(rashes: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(rashes, tmp_path / "source"))


@pytest.fixture(scope="module")
def dataset(rashes: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(rashes, "msld-folds", tmp_path_factory.mktemp("prepared"), label_set="mpox")


def originals_of(records: tuple[ImageRecord, ...]) -> set[str]:
    """Digests of the pictures and of those that they were augmented from: what training sees of them."""
    return {record.augmented_from or record.path.parent.name + "/" + record.path.name for record in records}


def folder(source: Path, fold: int, part: str, name: str = "Monkeypox") -> Path:
    return source / "Original Images" / "Original Images" / "FOLDS" / f"fold{fold}" / part / name


def reasons(dataset: Dataset) -> dict[str, str]:
    return {entry["item"]: entry["reason"] for entry in dataset.summary["left_out"]}


def test_reads_the_layout_of_msld(dataset: Dataset) -> None:
    assert dataset.classes == load_taxonomy("mpox").codes
    assert dataset.folds == 5
    plain = [record for record in dataset.records if not record.augmented_from]
    assert Counter(record.label for record in plain) == dict.fromkeys(dataset.classes, 7)
    assert {record.lesion_id for record in plain if record.path.stem.startswith("MKP_00")} == {"mpox/MKP_00"}
    assert dataset.summary["times_tested"] == {"1": len(plain)}
    assert dataset.summary["split_from_source"]
    for number in FOLDS:
        fold = load_dataset(dataset.folder, fold=number)
        assert fold.summary["fold"] == number
        assert all({record.label for record in fold.split(split)} == set(dataset.classes) for split in SPLITS)
        for split in SPLITS:
            assert fold.summary["splits"][split]["images"] == len(fold.split(split))
        extra = [record for record in fold.records if record.augmented_from]
        assert extra
        assert {record.split for record in extra} == {"train"}
        assert {record.folds[number - 1] for record in extra} == {"train"}
        assert len(extra) == len(fold.split("train")) - len(extra), "one augmented copy of each training picture"
    assert not audit(dataset.folder).leaks


def test_no_fold_trains_on_what_it_tests_and_no_one_can_train_on_all_of_them(dataset: Dataset) -> None:
    """The leak to avoid: training on the training folders of all folds, which together hold every test picture."""
    folds = [load_dataset(dataset.folder, fold=number) for number in FOLDS]
    trained = [originals_of(fold.split("train")) for fold in folds]
    measured = [originals_of(fold.split("test")) | originals_of(fold.split("val")) for fold in folds]
    for train, held in zip(trained, measured, strict=True):
        assert train.isdisjoint(held)
    tested = [originals_of(fold.split("test")) for fold in folds]
    assert set().union(*trained) >= set().union(*tested), "put together, the training parts would hold every test part"
    with pytest.raises(DatasetError, match="has 5 folds; say which one with --fold 1 to --fold 5"):
        load_dataset(dataset.folder)
    for split in SPLITS:
        assert load_manifest(dataset.folder).split(split) == ()


def by_path(source: Path, path: Path) -> str:
    return path.relative_to(source).as_posix()


def by_class(source: Path, path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("named", [by_path, by_class])
def test_a_groups_table_may_name_a_picture_by_its_path_or_by_its_class(
    source: Path, tmp_path: Path, named: Callable[[Path, Path], str]
) -> None:
    home = folder(source, 2, "Train").parents[1]
    joined = [next(home.rglob(f"MKP_{patient}_01.jpg")) for patient in ("01", "03")]
    rows = "".join(f"{named(source, picture)},together\n" for picture in joined)
    (source / "groups.csv").write_text(f"file,group\n{rows}", encoding="utf-8")
    dataset = prepare(source, "msld-folds", tmp_path / "out", label_set="mpox")
    found = {record.path.name: record.lesion_id for record in dataset.records if not record.augmented_from}
    assert [found[picture.name] for picture in joined] == ["together", "together"]
    (source / "groups.csv").write_text("file,group\nelsewhere.jpg,together\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="names no picture there"):
        prepare(source, "msld-folds", tmp_path / "again", label_set="mpox")


def test_the_fingerprint_of_a_fold_is_its_own(dataset: Dataset) -> None:
    prints = [load_dataset(dataset.folder, fold=number).fingerprint() for number in FOLDS]
    assert len({json.dumps(found["split_digests"]) for found in prints}) == 5
    assert [found["fold"] for found in prints] == list(FOLDS)
    assert all("fold_splits" not in found for found in prints)


@pytest.mark.parametrize("fold", [0, 6])
def test_a_fold_that_is_not_there_is_one_clear_error(dataset: Dataset, drawn_source: Path, fold: int) -> None:
    with pytest.raises(DatasetError, match=rf"no fold {fold}: .* has folds 1 to 5"):
        load_dataset(dataset.folder, fold=fold)
    prepare(drawn_source, "ham10000", drawn_source.parent / "plain")
    with pytest.raises(DatasetError, match="has no folds; 'flask data prepare --folds 5' makes them"):
        load_dataset(drawn_source.parent / "plain", fold=1)


def test_augmented_copies_of_what_a_fold_measures_are_refused(source: Path, tmp_path: Path) -> None:
    copies = source / "Augmented Images" / "FOLDS_AUG" / "fold2_AUG" / "Train" / "Monkeypox"
    tested = next(folder(source, 2, "Test").iterdir())
    validated = next(folder(source, 2, "Valid").iterdir())
    trained = next(folder(source, 2, "Train").iterdir())
    augmented(tested, copies / f"{tested.stem}_7.jpg")
    augmented(validated, copies / f"rotated_{validated.stem}.jpg")
    # Its name says that it comes from a training picture, its pixels that it does not.
    augmented(tested, copies / f"{trained.stem}_99.jpg")
    augmented(trained, copies / "nameless.jpg")
    dataset = prepare(source, "msld-folds", tmp_path / "out", label_set="mpox")
    told, home = reasons(dataset), "fold2_AUG/Train/Monkeypox"
    assert told[f"{home}/{tested.stem}_7.jpg"] == "augmented copy: its original is in test of fold 2"
    assert told[f"{home}/rotated_{validated.stem}.jpg"] == "augmented copy: its original is in val of fold 2"
    assert told[f"{home}/{trained.stem}_99.jpg"] == "augmented copy: looks like a picture in test of fold 2"
    assert told[f"{home}/nameless.jpg"] == "augmented, but no original's name is in its name"
    assert len(told) == 4
    assert not {record.path.name for record in dataset.records} & {Path(name).name for name in told}


def test_leaks_of_the_source_are_mended(source: Path, tmp_path: Path) -> None:
    tested = next(folder(source, 1, "Test").iterdir())
    shutil.copy(tested, folder(source, 1, "Train") / tested.name)
    # The same photo under another name, where only its pixels tell.
    augmented(tested, folder(source, 1, "Train", "Monkeypox") / "MKP_77_01.jpg")
    dataset = prepare(source, "msld-folds", tmp_path / "out", label_set="mpox")
    told = reasons(dataset)
    assert told[f"fold1/Train/Monkeypox/{tested.name}"] == "twice in one fold; kept in test alone"
    assert told["Monkeypox/MKP_77_01.jpg"] == "in train of fold 1, but its lesion or a near-duplicate is in test"
    assert not audit(dataset.folder).leaks
    first = load_dataset(dataset.folder, fold=1)
    assert "Monkeypox/MKP_77_01.jpg" not in originals_of(first.records)


def test_incomplete_layouts_are_one_clear_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="comes with folds of its own; leave out --folds"):
        prepare(source, "msld-folds", tmp_path / "out", label_set="mpox", folds=5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no folder FOLDS"):
        prepare(tmp_path / "empty", "msld-folds", tmp_path / "out", label_set="mpox")
    shutil.rmtree(folder(source, 3, "Valid").parent)
    with pytest.raises(DatasetError, match="needs the folders Train, Valid and Test"):
        prepare(source, "msld-folds", tmp_path / "out", label_set="mpox")
    shutil.rmtree(folder(source, 3, "Valid").parent.parent)
    with pytest.raises(DatasetError, match="without a gap"):
        prepare(source, "msld-folds", tmp_path / "out", label_set="mpox")


def test_the_binary_label_set_is_derived(source: Path, tmp_path: Path) -> None:
    dataset = prepare(source, "msld-folds", tmp_path / "out", label_set="mpox-binary")
    assert dataset.classes == ("mpox", "other")
    plain = [record for record in dataset.records if not record.augmented_from]
    assert Counter(record.label for record in plain) == {"mpox": 7, "other": 7 * (len(RASHES) - 1)}


def test_folds_are_drawn_for_any_source_by_group_and_class(drawn_source: Path, tmp_path: Path) -> None:
    dataset = prepare(drawn_source, "ham10000", tmp_path / "out", folds=3, seed=4)
    again = prepare(drawn_source, "ham10000", tmp_path / "again", folds=3, seed=4)
    assert [record.folds for record in again.records] == [record.folds for record in dataset.records]
    assert dataset.summary["times_tested"] == {"1": 56}
    for number in (1, 2, 3):
        fold = load_dataset(dataset.folder, fold=number)
        assert len(fold.records) == 56
        homes = defaultdict(set)
        for record in fold.records:
            homes[record.group].add(record.split)
        assert all(len(parts) == 1 for parts in homes.values())
        for split in SPLITS:
            assert {record.label for record in fold.split(split)} == set(dataset.classes)
    with pytest.raises(DatasetError, match="for one split, not for folds"):
        prepare(drawn_source, "ham10000", tmp_path / "laid", folds=3, layout="folders")


def test_drawn_folds_are_even(tmp_path: Path) -> None:
    labels = ["a"] * 60 + ["b"] * 25
    groups = [f"{label}{position // 2}" for position, label in enumerate(labels)]
    parts = draw_folds(labels, groups, 5, seed=1)
    for number in range(5):
        tested = Counter(label for label, row in zip(labels, parts, strict=True) if row[number] == "test")
        assert abs(tested["a"] - 12) <= 2
        assert abs(tested["b"] - 5) <= 2
        validated = sum(row[number] == "val" for row in parts)
        assert abs(validated - 0.15 / 0.85 * 68) <= 4
    with pytest.raises(DatasetError, match=r"Class 'b' has 4 separate lesion\(s\); at least 5"):
        draw_folds(["a"] * 9 + ["b"] * 4, [str(number) for number in range(13)], 5)
    with pytest.raises(DatasetError, match="At least 2 folds"):
        draw_folds(labels, groups, 1)


def test_a_manifest_that_was_changed_cannot_bring_the_leak_back(dataset: Dataset, tmp_path: Path) -> None:
    home = Path(shutil.copytree(dataset.folder, tmp_path / "out"))
    with (home / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    def rewrite(position: int, **changes: str) -> None:
        with (home / "manifest.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows([row | (changes if i == position else {}) for i, row in enumerate(rows)])

    tested = next(i for i, row in enumerate(rows) if row["folds"].startswith("test") and "00_01" in row["image"])
    copy = next(i for i, row in enumerate(rows) if row["augmented_from"])
    for position, folds, words in (
        (tested, "train train train train train", "on both sides of fold 1"),
        (tested, "test", "different numbers of folds"),
        (tested, "test exam train train train", "'exam' is not a split"),
        (copy, "test - - - -", "tests on the augmented image"),
    ):
        rewrite(position, folds=folds)
        with pytest.raises(DatasetError, match=words):
            load_dataset(home, fold=1)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif("LESION_DATA" not in os.environ, reason="LESION_DATA is not set: no research data to read")
def test_msid_in_the_layout_of_folds(tmp_path: Path) -> None:
    """A part of MSID's photos, whole groups of each class, laid out as MSLD v2.0 lays out its own."""
    home = Path(os.environ["LESION_DATA"]) / "msid"
    groups, _ = read_groups(home, "group")
    members: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for name, group in sorted(groups.items()):
        members[name.split("/")[0]][group].append(home / name)
    chosen = {name: list(found.values())[:15] for name, found in members.items()}
    dataset = prepare(write_folds(tmp_path / "source", chosen), "msld-folds", tmp_path / "out", label_set="msid")
    photos = sum(len(group) for found in chosen.values() for group in found)
    refused = [item for item, reason in reasons(dataset).items() if "augmented" not in reason]
    plain = [record for record in dataset.records if not record.augmented_from]
    assert len(plain) + sum(reason.startswith("identical") for reason in reasons(dataset).values()) == photos, refused
    assert dataset.classes == ("monkeypox", "chickenpox", "measles", "normal")
    assert not audit(dataset.folder).leaks
    grouped = prepare(home, "msid", tmp_path / "whole", label_set="msid", folds=5)
    assert grouped.summary["times_tested"] == {"1": len(grouped.records)}
    assert len(grouped.records) > 700
