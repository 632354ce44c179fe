"""The promotion split: drawn from train alone, lesion by lesion, or made of another source, and never chosen twice."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.data.audit import audit
from ml.data.drawn import draw_lesion, write_drawn_dataset
from ml.data.manifest import PROMOTION, SPLITS, ImageRecord, load_dataset, write_dataset
from ml.data.prepare import prepare
from ml.data.promotion_set import add_promotion_set
from ml.data.reviewed import with_reviewed
from ml.data.sources import SourceFolder
from ml.errors import DatasetError
from ml.labels import load_taxonomy


def names(records: tuple[ImageRecord, ...]) -> set[str]:
    return {record.path.name for record in records}


def test_it_is_taken_from_train_alone_and_parts_no_lesion(drawn_source: Path, tmp_path: Path) -> None:
    plain = prepare(drawn_source, "ham10000", tmp_path / "plain")
    with_it = prepare(drawn_source, "ham10000", tmp_path / "with", promotion=0.2)
    for split in ("val", "test"):
        assert names(plain.split(split)) == names(with_it.split(split))
    taken = with_it.split(PROMOTION)
    assert names(plain.split("train")) == names(with_it.split("train")) | names(taken)
    assert {record.label for record in taken} == set(with_it.classes)
    groups = {name: {record.group for record in with_it.split(name)} for name in (*SPLITS, PROMOTION)}
    assert not groups[PROMOTION] & (groups["train"] | groups["val"] | groups["test"])
    counts = Counter(record.split for record in with_it.records)
    assert with_it.summary["splits"][PROMOTION]["images"] == counts[PROMOTION] == len(taken)
    assert 0.1 <= len(taken) / len(with_it.records) <= 0.3
    again = prepare(drawn_source, "ham10000", tmp_path / "again", promotion=0.2)
    assert again.digest(PROMOTION) == with_it.digest(PROMOTION)


def test_without_it_everything_is_as_before(drawn_source: Path, tmp_path: Path) -> None:
    dataset = prepare(drawn_source, "ham10000", tmp_path / "plain")
    assert not dataset.split(PROMOTION)
    assert "promotion_digest" not in dataset.fingerprint()
    assert set(dataset.summary["splits"]) == set(SPLITS)
    with pytest.raises(DatasetError, match="smaller than the share of train"):
        prepare(drawn_source, "ham10000", tmp_path / "much", promotion=0.8)


def test_a_leak_into_it_is_found(drawn_source: Path, tmp_path: Path) -> None:
    dataset = prepare(drawn_source, "ham10000", tmp_path / "out", promotion=0.2)
    sound = audit(tmp_path / "out")
    assert not sound.leaks
    assert sum(sound.images_per_split[PROMOTION].values()) == len(dataset.split(PROMOTION))
    held, learnt = dataset.split(PROMOTION)[0], dataset.split("train")[0]
    with Image.open(learnt.path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(held.path, quality=90)
    kinds = {leak.kind for leak in audit(tmp_path / "out").leaks}
    assert kinds == {"near_duplicate"}


def test_prepared_data_get_it_from_a_source_that_nothing_learnt_from(drawn_source: Path, tmp_path: Path) -> None:
    before = prepare(drawn_source, "ham10000", tmp_path / "data")
    fresh = write_drawn_dataset(tmp_path / "fresh", per_class=3, seed=9, size=(96, 128))
    for path in fresh.rglob("*.jpg"):
        path.rename(path.with_name(f"NEW_{path.name}"))
    table = fresh / "HAM10000_metadata.csv"
    head, *rows = table.read_text(encoding="utf-8").splitlines()
    rows = [f"OTHER_{row.split(',', 1)[0]},NEW_{row.split(',', 1)[1]}" for row in rows]
    table.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    planted = next(fresh.rglob("*.jpg"))
    with Image.open(before.split("train")[0].path) as image:  # one that was learnt from, in disguise
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(planted, quality=80)
    after = add_promotion_set(tmp_path / "data", SourceFolder(fresh, "ham10000"))
    assert [record for record in after.records if record.split != PROMOTION] == list(before.records)
    assert after.fingerprint()["split_digests"] == before.fingerprint()["split_digests"]
    assert after.fingerprint()["promotion_digest"] == after.digest(PROMOTION)
    assert planted.name not in names(after.split(PROMOTION))
    assert after.summary["promotion"]["left_out_per_reason"] == {"its lesion or a near-duplicate is in train": 1}
    assert not audit(tmp_path / "data").leaks
    with pytest.raises(DatasetError, match="must not be chosen twice"):
        add_promotion_set(tmp_path / "data", SourceFolder(fresh, "ham10000"))
    write_dataset(tmp_path / "copy", list(before.records), before.summary)
    with pytest.raises(DatasetError, match="No picture is left"):
        add_promotion_set(tmp_path / "copy", SourceFolder(drawn_source, "ham10000"))


def test_a_promotion_set_by_itself(drawn_source: Path, tmp_path: Path) -> None:
    dataset = add_promotion_set(tmp_path / "own", SourceFolder(drawn_source, "ham10000"))
    assert {record.split for record in load_dataset(tmp_path / "own").records} == {PROMOTION}
    assert dataset.label_set == "ham10000"
    assert json.loads((tmp_path / "own" / "summary.json").read_text())["splits"]["train"]["images"] == 0


def test_reviewed_cases_stay_out_of_a_promotion_set_of_its_own(drawn_source: Path, tmp_path: Path) -> None:
    dataset = prepare(drawn_source, "ham10000", tmp_path / "data")
    fresh = write_drawn_dataset(tmp_path / "fresh", per_class=2, seed=9, size=(96, 128))
    held = add_promotion_set(tmp_path / "set", SourceFolder(fresh, "ham10000")).split(PROMOTION)
    home = tmp_path / "reviewed" / "ham10000"
    (home / "mel").mkdir(parents=True)
    shutil.copy(held[0].path, home / "mel" / "held.jpg")
    Image.fromarray(draw_lesion("mel", np.random.default_rng(5), (96, 128))).save(home / "mel" / "new.jpg")
    (home / "manifest.csv").write_text("file,lesion_id,label\nmel/held.jpg,1,mel\nmel/new.jpg,2,mel\n")
    joined = with_reviewed(dataset, tmp_path / "reviewed", load_taxonomy("ham10000"), held=held)
    assert joined.cache == tmp_path / "reviewed" / "cache"  # what is decoded of people's photos goes with them
    assert dataset.cache == dataset.folder / "cache"
    assert [r.path.name for r in joined.records if r.source == "reviewed"] == ["new.jpg"]
    assert joined.summary["reviewed"]["left_out"] == {"the same file is in the promotion split": 1}
