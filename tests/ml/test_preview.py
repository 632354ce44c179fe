"""The page that shows what training sees, and the one that shows hair removal."""

import base64
import csv
import io
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.data.cache import decoded
from ml.data.drawn import draw_lesion
from ml.data.loader import AugmentedImages
from ml.data.looks import TONES, looks_of
from ml.data.manifest import load_dataset
from ml.errors import DatasetError
from ml.images import encode_jpeg
from ml.labels import load_taxonomy
from ml.preview import PAGE, class_balance, preview
from ml.preview_hair import PAGE as HAIR_PAGE
from ml.preview_hair import TABLE, preview_hair
from ml.transforms.training import training_transform
from tests.ml.tiny import TINY

CONFIG = replace(TINY, image_size=64, hair_removed_copies=0.5, skin_tones=0.5, seed=4)
EMBEDDED = re.compile(r'src="data:image/jpeg;base64,([^"]+)"[^>]*alt="([^"]*)"')


def pictures(page: str) -> list[tuple[bytes, str]]:
    """Every picture of a page with its caption."""
    return [(base64.b64decode(data), caption) for data, caption in EMBEDDED.findall(page)]


def test_the_page_is_the_same_each_time_and_needs_no_other_file(drawn_data: Path, tmp_path: Path) -> None:
    preview(CONFIG, drawn_data, tmp_path / "a", pictures=1, views=3)
    preview(CONFIG, drawn_data, tmp_path / "b", pictures=1, views=3)
    page = (tmp_path / "a" / PAGE).read_bytes()
    assert page == (tmp_path / "b" / PAGE).read_bytes()
    assert not re.search(rb'(src|href)="(?!data:)', page)
    preview(replace(CONFIG, seed=5), drawn_data, tmp_path / "b", pictures=1, views=3)
    assert page != (tmp_path / "b" / PAGE).read_bytes()


def test_views_are_what_training_shows_pixel_for_pixel(drawn_data: Path, tmp_path: Path) -> None:
    preview(CONFIG, drawn_data, tmp_path, pictures=1, views=3)
    found = pictures((tmp_path / PAGE).read_text())
    dataset = load_dataset(drawn_data)
    assert len(found) == len(dataset.classes) * (1 + 3 + 1 + len(TONES))
    captions = Counter(caption for _, caption in found)
    assert all(captions[f"tone {tone}"] == len(dataset.classes) for tone in TONES)
    records, taxonomy = dataset.split("train"), load_taxonomy(dataset.label_set)
    images = decoded(records, 80, tmp_path / "cache", False)
    looks = looks_of(records, images, tmp_path / "cache", CONFIG.preprocessing, 0.5, 0.5, False)
    labels = np.array([taxonomy.index(record.label) for record in records])
    training = AugmentedImages(images, labels, training_transform(CONFIG.augmentation, 64), CONFIG.seed, looks)
    shown = {data for data, caption in found if caption.startswith("epoch 2")}
    seen = {encode_jpeg(training[1, row][0].permute(1, 2, 0).numpy(), quality=88) for row in range(len(records))}
    assert len(shown) == len(dataset.classes)
    assert shown <= seen


def test_other_splits_are_shown_as_they_are_judged(drawn_data: Path, tmp_path: Path) -> None:
    preview(CONFIG, drawn_data, tmp_path, split="val", pictures=1)
    captions = {caption for _, caption in pictures((tmp_path / PAGE).read_text())}
    assert captions == {"as it is", "as judged"}


def test_classes_before_and_after_balancing() -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    classes = [("a", "A"), ("b", "B"), ("c", "C")]
    plain = class_balance(replace(TINY, class_weights="none"), labels, classes)
    assert [(row.images, row.shown) for row in plain] == [(900, 900), (90, 90), (10, 10)]
    assert [row.learnt for row in plain] == pytest.approx([row.share for row in plain])
    inverse = class_balance(replace(TINY, class_weights="inverse"), labels, classes)
    assert [row.learnt for row in inverse] == pytest.approx([1 / 3] * 3)
    drawn = class_balance(replace(TINY, class_weights="none", balanced_sampling=True), labels, classes)
    assert sum(row.shown for row in drawn) == 1000
    assert [row.shown for row in drawn] == pytest.approx([333] * 3, abs=60)


def hairy_folder(folder: Path, ratings: str | None) -> Path:
    """Three drawn pictures with none, some and much hair, and ratings of them."""
    folder.mkdir()
    for number, hairs in enumerate((0, 4, 14)):
        picture = draw_lesion("vasc", np.random.default_rng(7), (300, 400))
        for x in np.linspace(10, 390, hairs).astype(int):
            picture[:, x : x + 3] = (25, 20, 15)
        Image.fromarray(picture).save(folder / f"{number}.png")
    if ratings is not None:
        (folder / "manifest.csv").write_text(ratings)
    return folder


def test_hair_removal_is_shown_by_share_beside_ratings(tmp_path: Path) -> None:
    source = hairy_folder(tmp_path / "in", "file,ratings\n0.png,0 0\n1.png,1 2\n2.png,4 3\n")
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    figures = preview_hair(source, tmp_path / "out")
    assert [one.name for one in figures.pictures] == ["2.png", "1.png", "0.png"]
    assert figures.correlation == pytest.approx(1.0)
    assert (figures.rated, figures.unreadable) == (3, 1)
    page = (tmp_path / "out" / HAIR_PAGE).read_text()
    before, marked, after = (np.asarray(Image.open(io.BytesIO(data)), int) for data, _ in pictures(page)[:3])
    pink = (marked[..., 0] > 180) & (marked[..., 1] < 120) & (marked[..., 2] > 90)
    assert 1 < pink.mean() / figures.pictures[0].share < 3, "the mask, with its margin"
    assert after[before.min(axis=2) < 50].mean() > 2 * before[before.min(axis=2) < 50].mean()
    with (tmp_path / "out" / TABLE).open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rating"] for row in rows] == ["3.5", "1.5", "0"]


def test_hair_removal_without_ratings_and_with_bad_ones(tmp_path: Path) -> None:
    assert preview_hair(hairy_folder(tmp_path / "in", None), tmp_path / "out").correlation is None
    for number, bad in enumerate(("much", "nan")):
        with pytest.raises(DatasetError, match="numbers"):
            preview_hair(hairy_folder(tmp_path / f"bad-{number}", f"file,ratings\n0.png,{bad}\n"), tmp_path / "out")
    unrated = hairy_folder(tmp_path / "unrated", "file,ratings\n0.png,0\n1.png,\n2.png,3\n")
    assert [one.rating for one in preview_hair(unrated, tmp_path / "out").pictures] == [3, None, 0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no pictures"):
        preview_hair(tmp_path / "empty", tmp_path / "out")
