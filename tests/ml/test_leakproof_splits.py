"""No lesion and no near-duplicate is in two splits, on drawn and on real pictures, with planted copies."""

import csv
import hashlib
import io
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.data.drawn import write_drawn_dataset
from ml.data.manifest import Dataset, ImageRecord
from ml.data.prepare import prepare
from ml.images import decode


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


DISGUISES: tuple[Callable[[Image.Image], Image.Image], ...] = (
    recompressed,
    lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    lambda image: image.transpose(Image.Transpose.ROTATE_90),
    lambda image: image.resize((2 * image.width // 3, 2 * image.height // 3)),
    lambda image: image.point(lambda value: 1.08 * value),
)


def plant_near_duplicates(source: Path, every: int) -> list[tuple[str, str]]:
    """Add a disguised copy of every n-th image, as the image of another lesion; returns the names in pairs."""
    table = source / "HAM10000_metadata.csv"
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    planted = []
    for number, row in enumerate(rows[::every]):
        original = next(source.glob(f"*/{row['image_id']}.jpg"))
        with Image.open(original) as image:
            DISGUISES[number % len(DISGUISES)](image).save(original.with_name(f"PLANTED_{number:05d}.jpg"), quality=90)
        copy = {**row, "image_id": f"PLANTED_{number:05d}", "lesion_id": f"OTHER_{number:05d}"}
        planted.append((row["image_id"], copy["image_id"]))
        rows.append(copy)
    write_table(table, rows)
    return planted


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def splits_by(dataset: Dataset, key: Callable[[ImageRecord], str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for record in dataset.records:
        found[key(record)].add(record.split)
    return found


def closest_across_splits(dataset: Dataset) -> float:
    """The highest correlation of two pictures of different splits, in any of the eight positions, at 32 x 32 pixels.

    A way of its own to look for copies: every pair, nothing but pixels.
    """
    small = []
    for record in dataset.records:
        grey = Image.fromarray(decode(record.path.read_bytes(), max_side=128)).convert("L")
        small.append(np.asarray(grey.resize((32, 32), Image.Resampling.BOX), dtype=np.float32))
    splits = np.array([record.split for record in dataset.records])
    other = splits[:, None] != splits[None]
    pictures = np.stack(small)

    def unit(squares: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = squares.reshape(len(squares), -1)
        flat = flat - flat.mean(axis=1, keepdims=True)
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True), dtype=np.float32)

    turned = [np.rot90(pictures, turn, axes=(1, 2)) for turn in range(4)]
    turned += [squares[:, :, ::-1] for squares in turned]
    return max(float((unit(pictures) @ unit(squares).T)[other].max()) for squares in turned)


def assert_no_leak(dataset: Dataset, planted: Sequence[tuple[str, str]]) -> None:
    for key in (lambda r: r.lesion_id, lambda r: r.group, lambda r: r.sha256):
        assert all(len(splits) == 1 for splits in splits_by(dataset, key).values())
    by_name = {record.path.stem: record for record in dataset.records}
    assert {record.split for record in dataset.records} == {"train", "val", "test"}
    for original, copy in planted:
        assert by_name[original].split == by_name[copy].split, (original, copy)
        assert by_name[original].group == by_name[copy].group, (original, copy)


def test_no_lesion_and_no_near_duplicate_crosses_splits(tmp_path: Path) -> None:
    source = write_drawn_dataset(tmp_path / "source", per_class=9, size=(96, 128))
    planted = plant_near_duplicates(source, every=3)
    dataset = prepare(source, "ham10000", tmp_path / "out")
    assert len(planted) == 21
    assert_no_leak(dataset, planted)


def test_the_check_of_pixels_sees_a_leak(tmp_path: Path) -> None:
    source = write_drawn_dataset(tmp_path / "source", per_class=6, size=(96, 128))
    dataset = prepare(source, "ham10000", tmp_path / "out")
    honest = closest_across_splits(dataset)
    record = dataset.split("train")[0]
    copy = tmp_path / "copy.jpg"
    with Image.open(record.path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(copy)
    leaking = replace(dataset, records=(*dataset.records, replace(record, path=copy, split="test")))
    assert honest < 0.98 < closest_across_splits(leaking)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif("LESION_DATA" not in os.environ, reason="LESION_DATA is not set: no research data to read")
def test_no_lesion_and_no_near_duplicate_of_ham10000_crosses_splits(tmp_path: Path) -> None:
    """On whole lesions drawn from HAM10000 by a digest of their ids, with planted copies of some pictures."""
    real, source = Path(os.environ["LESION_DATA"]) / "ham10000", tmp_path / "source"
    rows = list(csv.DictReader((real / "HAM10000_metadata.csv").read_text(encoding="utf-8").splitlines()))
    images = {path.stem: path for path in real.glob("*/*.jpg")}
    order = sorted({row["lesion_id"] for row in rows}, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    rank = {lesion: place for place, lesion in enumerate(order)}
    kept: list[dict[str, str]] = []
    for code in sorted({row["dx"] for row in rows}):
        of_class = [row for row in rows if row["dx"] == code and row["image_id"] in images]
        kept += sorted(of_class, key=lambda row: rank[row["lesion_id"]])[:80]
    (source / "images").mkdir(parents=True)
    for row in kept:
        (source / "images" / f"{row['image_id']}.jpg").symlink_to(images[row["image_id"]])
    write_table(source / "HAM10000_metadata.csv", kept)
    planted = plant_near_duplicates(source, every=10)
    dataset = prepare(source, "ham10000", tmp_path / "out")
    assert_no_leak(dataset, planted)
    assert max(Counter(record.lesion_id for record in dataset.records).values()) > 1
    assert closest_across_splits(dataset) < 0.98
