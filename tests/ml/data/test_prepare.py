"""Preparation from a source to a manifest: what is kept, what is set aside, what is refused."""

import csv
import json
import os
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from ml.data.manifest import SPLITS, Dataset, load_dataset
from ml.data.prepare import prepare
from ml.errors import DatasetError
from ml.labels import load_taxonomy

CODES = load_taxonomy("ham10000").codes


def metadata(source: Path) -> list[dict[str, str]]:
    with (source / "HAM10000_metadata.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def rewrite(source: Path, rows: list[dict[str, str]], name: str = "HAM10000_metadata.csv") -> None:
    with (source / name).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def picture(source: Path, name: str) -> Path:
    return next(source.glob(f"**/{name}.jpg"))


def as_folders(source: Path, target: Path, splits: dict[str, str] | None = None) -> Path:
    for row in metadata(source):
        place = target / (splits or {}).get(row["lesion_id"], "") / row["dx"] / f"{row['image_id']}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture(source, row["image_id"]), place)
    return target


def reasons(dataset: Dataset) -> dict[str, str]:
    return {entry["item"]: entry["reason"] for entry in dataset.summary["left_out"]}


def crossing(dataset: Dataset, key: str) -> list[str]:
    places = defaultdict(set)
    for record in dataset.records:
        places[getattr(record, key)].add(record.split)
    return [name for name, splits in places.items() if len(splits) > 1]


def test_prepares_the_ham10000_layout(drawn_source: Path, tmp_path: Path) -> None:
    dataset = prepare(drawn_source, "ham10000", tmp_path / "out")
    assert dataset.classes == CODES
    assert len(dataset.records) == 56
    assert all(record.path.is_file() for record in dataset.records)
    assert {(record.width, record.height) for record in dataset.records} == {(128, 96)}
    assert crossing(dataset, "lesion_id") == crossing(dataset, "group") == []
    for split in SPLITS:
        assert {record.label for record in dataset.split(split)} == set(CODES)
        assert dataset.summary["splits"][split]["images"] == len(dataset.split(split))
    rows = {row["image_id"]: row for row in metadata(drawn_source)}
    for record in dataset.records:
        row = rows[record.path.stem]
        assert (record.label, record.lesion_id, record.sex) == (row["dx"], row["lesion_id"], row["sex"])
        assert record.diagnosis_method == row["dx_type"]
        assert record.age == float(row["age"])
    assert dataset.summary["seed"] == 0
    assert len(dataset.summary["source_hashes"]["tables"]["HAM10000_metadata.csv"]) == 64
    assert load_dataset(tmp_path / "out") == dataset


def test_the_same_source_gives_the_same_manifest(drawn_source: Path, tmp_path: Path) -> None:
    first = prepare(drawn_source, "ham10000", tmp_path / "one")
    rewrite(drawn_source, metadata(drawn_source)[::-1])
    prepare(drawn_source, "ham10000", tmp_path / "two")
    assert (tmp_path / "one/manifest.csv").read_bytes() == (tmp_path / "two/manifest.csv").read_bytes()
    other = prepare(drawn_source, "ham10000", tmp_path / "three", seed=1)
    assert [record.split for record in other.records] != [record.split for record in first.records]


@pytest.mark.parametrize("name", ["HAM10000_metadata", "ham10000_METADATA.csv"])
def test_accepts_variants_of_the_layout(drawn_source: Path, tmp_path: Path, name: str) -> None:
    images = drawn_source / "images"
    images.mkdir()
    for path in drawn_source.glob("HAM*/*.jpg"):
        path.rename(images / f"{path.stem}.JPG")
    (drawn_source / "HAM10000_metadata.csv").rename(drawn_source / name)
    assert len(prepare(drawn_source, "ham10000", tmp_path / "out").records) == 56


def test_sets_aside_what_cannot_be_used(drawn_source: Path, tmp_path: Path) -> None:
    rows = metadata(drawn_source)
    # One of each class, so that every class keeps enough lesions to be split.
    firsts = [next(row for row in rows if row["dx"] == code) for code in ("akiec", "bcc", "bkl", "df", "vasc", "nv")]
    missing, damaged, text, unknown, same, conflicting = firsts
    picture(drawn_source, missing["image_id"]).unlink()
    short = picture(drawn_source, damaged["image_id"])
    short.write_bytes(short.read_bytes()[:1500])
    picture(drawn_source, text["image_id"]).write_text("not a picture")
    unknown["dx"] = "wart"
    twin = next(row for row in rows if row["dx"] == "mel")
    shutil.copy(picture(drawn_source, twin["image_id"]), picture(drawn_source, conflicting["image_id"]))
    shutil.copy(picture(drawn_source, rows[-1]["image_id"]), drawn_source / "unlisted.jpg")
    rewrite(drawn_source, [*rows, same])
    dataset = prepare(drawn_source, "ham10000", tmp_path / "out")
    told = reasons(dataset)
    assert told[missing["image_id"]] == "no image file"
    assert told[damaged["image_id"]] == "unusable image: truncated"
    assert told[text["image_id"]] == "unusable image: not an image"
    assert told[unknown["image_id"]] == "'wart' is no class of ham10000"
    assert told[f"{same['image_id']} (line {len(rows) + 2})"] == "listed twice in the metadata"
    assert told[conflicting["image_id"]] == told[twin["image_id"]] == "identical images labelled mel and nv"
    assert told["unlisted.jpg"] == "not in the metadata"
    assert len(dataset.records) == len(rows) - 6
    assert sum(dataset.summary["left_out_per_reason"].values()) == len(told)


def test_near_duplicates_of_other_lesions_stay_together(drawn_source: Path, tmp_path: Path) -> None:
    rows = metadata(drawn_source)
    naevi = [row for row in rows if row["dx"] == "nv"]
    first, last = naevi[0], naevi[-1]
    assert first["lesion_id"] != last["lesion_id"]
    with Image.open(picture(drawn_source, first["image_id"])) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(picture(drawn_source, last["image_id"]), quality=60)
    dataset = prepare(drawn_source, "ham10000", tmp_path / "out")
    groups = {record.path.stem: record.group for record in dataset.records}
    assert groups[first["image_id"]] == groups[last["image_id"]]
    assert crossing(dataset, "group") == []
    assert dataset.summary["near_duplicate_pairs"]["across_lesions"] >= 1


def test_an_empty_class_is_an_error(drawn_source: Path, tmp_path: Path) -> None:
    rewrite(drawn_source, [row for row in metadata(drawn_source) if row["dx"] != "df"])
    with pytest.raises(DatasetError, match="No usable image of df"):
        prepare(drawn_source, "ham10000", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unreadable_sources_are_one_clear_error(drawn_source: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source, source_format, words in (
        (tmp_path / "absent", "ham10000", "does not exist"),
        (tmp_path / "empty", "ham10000", r"has no HAM10000_metadata\.csv"),
        (tmp_path / "empty", "folders", "no labelled image"),
        (drawn_source, "other", "Unknown source format"),
    ):
        with pytest.raises(DatasetError, match=words):
            prepare(source, source_format, tmp_path / "out")
    (drawn_source / "HAM10000_metadata.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="has no column lesion_id, image_id, dx"):
        prepare(drawn_source, "ham10000", tmp_path / "out")
    (drawn_source / "HAM10000_metadata.csv").write_bytes(b"\xff\xfe\x00\x01binary")
    with pytest.raises(DatasetError, match="not a readable CSV"):
        prepare(drawn_source, "ham10000", tmp_path / "out")


def test_reads_class_folders_and_lays_them_out(drawn_source: Path, tmp_path: Path) -> None:
    source = as_folders(drawn_source, tmp_path / "classes")
    dataset = prepare(source, "folders", tmp_path / "out", layout="folders")
    assert len(dataset.records) == 56
    for record in dataset.records:
        inside = record.path.relative_to(tmp_path / "out" / "dataset")
        assert inside.parts[:2] == (record.split, record.label)
        assert record.path.is_file()
    again = prepare(tmp_path / "out" / "dataset", "folders", tmp_path / "again", group_column="lesion_id")
    kept = {record.sha256: (record.split, record.lesion_id) for record in dataset.records}
    assert {record.sha256: (record.split, record.lesion_id) for record in again.records} == kept
    os.rename(tmp_path / "out", tmp_path / "moved")
    assert all(record.path.is_file() for record in load_dataset(tmp_path / "moved").records)
    with pytest.raises(DatasetError, match="exists already"):
        prepare(source, "folders", tmp_path / "moved", layout="folders")


def test_a_groups_table_keeps_pictures_together(drawn_source: Path, tmp_path: Path) -> None:
    source = as_folders(drawn_source, tmp_path / "classes")
    lines = [f"{row['dx']}/{row['image_id']}.jpg,{row['dx']},{row['lesion_id']}" for row in metadata(drawn_source)]
    (source / "manifest.csv").write_text("\n".join(["file,label,patient", *lines]))
    dataset = prepare(source, "folders", tmp_path / "out", group_column="patient")
    assert dataset.summary["total"]["lesions"] == len({row["lesion_id"] for row in metadata(drawn_source)})
    assert crossing(dataset, "lesion_id") == []
    with pytest.raises(DatasetError, match="column 'owner'"):
        prepare(source, "folders", tmp_path / "out", group_column="owner")


def test_a_groups_table_of_other_names_is_not_passed_over(drawn_source: Path, tmp_path: Path) -> None:
    """What it joins would be lost, and one lesion's pictures would stand on both sides."""
    source = as_folders(drawn_source, tmp_path / "classes")
    lines = [f"{row['image_id']},{row['lesion_id']}" for row in metadata(drawn_source)]
    (source / "groups.csv").write_text("\n".join(["file,lesion_id", *lines]))
    with pytest.raises(DatasetError, match=r"names no picture there: '\w+' is none"):
        prepare(source, "folders", tmp_path / "out")
    first = metadata(drawn_source)[0]
    (source / "groups.csv").write_text(f"file,lesion_id\n{first['dx']}/{first['image_id']}.jpg,a\ngone.jpg,a\n")
    dataset = prepare(source, "folders", tmp_path / "out")
    assert reasons(dataset)["gone.jpg"] == "in the groups table, but there is no such picture"


def test_keeps_a_given_split_but_not_its_leaks(drawn_source: Path, tmp_path: Path) -> None:
    prepared = prepare(drawn_source, "ham10000", tmp_path / "own")
    splits = {record.lesion_id: record.split for record in prepared.records}
    source = as_folders(drawn_source, tmp_path / "split", splits)
    leaking = next((source / "test" / "nv").iterdir())
    shutil.copy(leaking, source / "train" / "nv" / "copy.jpg")
    dataset = prepare(source, "folders", tmp_path / "out")
    told = reasons(dataset)
    assert told["train/nv/copy.jpg"] == "in train, but its lesion or a near-duplicate is in test"
    for record in dataset.records:
        assert record.path.relative_to(source).parts[0] == record.split
    assert leaking in {record.path for record in dataset.split("test")}
    assert dataset.summary["split_from_source"]


def test_takes_a_lacking_validation_split_from_training(drawn_source: Path, tmp_path: Path) -> None:
    prepared = prepare(drawn_source, "ham10000", tmp_path / "own")
    splits = {r.lesion_id: "test" if r.split == "test" else "train" for r in prepared.records}
    source = as_folders(drawn_source, tmp_path / "split", splits)
    dataset = prepare(source, "folders", tmp_path / "out")
    assert {record.path.relative_to(source).parts[0] for record in dataset.split("val")} == {"train"}
    assert {record.path.relative_to(source).parts[0] for record in dataset.split("test")} == {"test"}


def test_mixed_layouts_are_refused(drawn_source: Path, tmp_path: Path) -> None:
    source = as_folders(drawn_source, tmp_path / "mixed")
    shutil.copytree(source / "nv", source / "train" / "nv")
    with pytest.raises(DatasetError, match="mixes split folders"):
        prepare(source, "folders", tmp_path / "out")


def test_broken_manifests_are_one_clear_error(drawn_source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DatasetError, match="not a prepared dataset"):
        load_dataset(tmp_path)
    prepare(drawn_source, "ham10000", out)
    text = (out / "manifest.csv").read_text()
    for broken, words in (
        (text.replace(",train,", ",training,", 1), "'training' is not a split"),
        (text.replace("label", "klass", 1), "has no column label"),
        (text.replace(",128,", ",wide,", 1), "must be numbers"),
        (text.splitlines()[0], "lists no images"),
        (text.replace(",nv,", ",wart,", 1), "'wart' is not one of the classes"),
    ):
        (out / "manifest.csv").write_text(broken)
        with pytest.raises(DatasetError, match=words):
            load_dataset(out)
    (out / "manifest.csv").write_text(text)
    with pytest.raises(DatasetError, match="no split 'holdout'"):
        load_dataset(out).split("holdout")
    for broken in ("{", "[]", json.dumps({"classes": []})):
        (out / "summary.json").write_text(broken)
        with pytest.raises(DatasetError, match="prepare the data again"):
            load_dataset(out)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif("LESION_DATA" not in os.environ, reason="LESION_DATA is not set: no research data to read")
def test_ham10000_shares_no_lesion_between_splits(tmp_path: Path) -> None:
    source = Path(os.environ["LESION_DATA"]) / "ham10000"
    dataset = prepare(source, "ham10000", tmp_path / "out")
    assert crossing(dataset, "lesion_id") == crossing(dataset, "group") == crossing(dataset, "sha256") == []
    total = dataset.summary["total"]["images_per_class"]
    for split, share in (("train", 0.70), ("val", 0.15), ("test", 0.15)):
        for code, count in dataset.summary["splits"][split]["images_per_class"].items():
            assert abs(count / total[code] - share) < 0.02
