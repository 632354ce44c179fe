"""Hair removal, noise reduction and colour constancy, and that training and serving see the very same picture."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.stats import spearmanr

from ml.data.cache import decoded
from ml.data.manifest import load_dataset, read_image
from ml.errors import BundleError
from ml.images import decode
from ml.predict import Classifier
from ml.preprocess import (
    MAX_SIDE,
    ColourConstancy,
    HairRemoval,
    Preprocessing,
    balance_colours,
    chosen_steps,
    prepared,
    reduce_noise,
    remove_hair,
)
from ml.transforms.serving import PREPROCESSING, square
from tests.ml.tiny import TINY, run

Pixels = NDArray[np.uint8]
ALL = chosen_steps(("hair_removal", "noise_reduction", "colour_constancy"))


def skin(height: int = 300, width: int = 400) -> Pixels:
    shade = np.linspace(0, 20, width, dtype=np.float32)
    return np.clip(np.array([205, 160, 140]) + shade[None, :, None] * np.ones((height, 1, 1)), 0, 255).astype(np.uint8)


def hairy(pixels: Pixels, width: int = 3) -> tuple[Pixels, NDArray[np.bool_]]:
    """The picture with six straight dark hairs, and where they are."""
    image, mask = Image.fromarray(pixels), Image.new("1", pixels.shape[1::-1])
    for offset in range(6):
        ends = (20 + 60 * offset, 20, 60 + 55 * offset, pixels.shape[0] - 20)
        ImageDraw.Draw(image).line(ends, fill=(50, 35, 30), width=width)
        ImageDraw.Draw(mask).line(ends, fill=1, width=width)
    return np.asarray(image), np.asarray(mask)


def test_hairs_are_found_and_painted_over() -> None:
    clean = skin()
    picture, truth = hairy(clean)
    found = remove_hair(picture)
    assert (found.mask & truth).sum() > 0.9 * truth.sum()
    assert found.share == pytest.approx(truth.mean(), rel=0.5)
    before, after = (np.abs(p.astype(int) - clean).mean() for p in (picture, found.pixels))
    assert after < 0.1 * before


def test_a_dark_round_lesion_is_no_hair() -> None:
    image = Image.fromarray(skin())
    ImageDraw.Draw(image).ellipse((150, 100, 250, 200), fill=(90, 60, 50))
    ImageDraw.Draw(image).ellipse((40, 40, 47, 47), fill=(60, 40, 40))
    found = remove_hair(np.asarray(image))
    assert found.share < 0.002
    assert not found.mask.all()


def test_a_picture_without_hair_stays_as_it_is() -> None:
    found = remove_hair(skin())
    assert found.share == 0
    assert np.array_equal(found.pixels, skin())


def test_noise_falls_and_edges_stay() -> None:
    clean = skin()
    clean[:, 200:] = (90, 60, 50)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 8, clean.shape), 0, 255).astype(np.uint8)
    smooth = reduce_noise(noisy)
    errors = [np.abs(p.astype(int) - clean).mean() for p in (noisy, smooth)]
    assert errors[1] < 0.6 * errors[0]
    assert int(smooth[150, 195, 0]) - int(smooth[150, 205, 0]) > 90


def test_a_colour_cast_is_taken_out() -> None:
    picture = skin()
    cast = np.clip(picture * np.array([0.7, 1.0, 1.1]), 0, 255).astype(np.uint8)
    before = [p / p.sum(axis=2, keepdims=True) for p in (picture, cast)]
    after = [p / p.sum(axis=2, keepdims=True) for p in (balance_colours(picture), balance_colours(cast))]
    assert np.abs(after[0] - after[1]).mean() < 0.003
    assert np.abs(before[0] - before[1]).mean() > 0.03
    assert balance_colours(cast).mean() == pytest.approx(cast.mean(), rel=0.05)


def test_shades_of_grey_are_the_formula() -> None:
    picture = np.random.default_rng(1).integers(20, 120, (40, 50, 3), dtype=np.uint8)
    values = picture / 255
    light = (values**6).mean(axis=(0, 1)) ** (1 / 6)
    expected = 255 * values / (light / np.linalg.norm(light) * np.sqrt(3))
    assert balance_colours(picture, ColourConstancy(6.0)).astype(float) == pytest.approx(expected, abs=0.51)


def test_a_large_photo_is_brought_down_first() -> None:
    assert prepared(skin(1200, 1600), ALL).shape == (480, MAX_SIDE, 3)
    assert prepared(skin(1200, 1600), Preprocessing()).shape == (1200, 1600, 3)


def test_the_card_tells_what_was_done_with_its_parameters() -> None:
    steps = Preprocessing(hair_removal=HairRemoval(contrast=30))
    kept = steps.for_card(PREPROCESSING)
    assert Preprocessing.from_card(kept) == steps
    assert kept["steps"]["hair_removal"]["contrast"] == 30
    assert Preprocessing().for_card(PREPROCESSING) == PREPROCESSING
    assert Preprocessing.from_card(PREPROCESSING) == Preprocessing()


@pytest.mark.parametrize("unknown", [{"sharpening": {}}, {"hair_removal": {"colour": 1}}])
def test_a_step_from_another_version_is_refused(unknown: dict[str, dict[str, int]]) -> None:
    with pytest.raises(BundleError, match="Update the program"):
        Preprocessing.from_card({"steps": unknown})


def test_the_cache_holds_what_serving_computes(drawn_data: Path, tmp_path: Path) -> None:
    records = load_dataset(drawn_data).split("val")[:3]
    plain, done = (decoded(records, 40, tmp_path, False, preprocessing=steps) for steps in (Preprocessing(), ALL))
    for row, record in enumerate(records):
        served = decode(record.path.read_bytes(), max_side=2000)
        assert np.array_equal(done[row], square(prepared(served, ALL), 40))
        assert np.array_equal(plain[row], square(read_image(record, 160), 40))
    assert not np.array_equal(plain, done)
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_a_trained_bundle_serves_what_it_was_trained_on(drawn_data: Path, tmp_path: Path) -> None:
    bundle = run(replace(TINY, preprocessing=ALL, epochs=1), drawn_data, tmp_path)
    assert Preprocessing.from_card(bundle.card.preprocessing) == ALL
    pictures = [read_image(record, 2000) for record in load_dataset(drawn_data).split("val")[:4]]
    served = Classifier(bundle).predict(pictures).logits
    bare = replace(bundle, card=replace(bundle.card, preprocessing=PREPROCESSING))
    by_hand = Classifier(bare).predict([prepared(picture, ALL) for picture in pictures]).logits
    assert np.array_equal(served, by_hand)
    assert not np.array_equal(served, Classifier(bare).predict(pictures).logits)


@pytest.mark.data
@pytest.mark.skipif("LESION_DATA" not in os.environ, reason="LESION_DATA is not set: no rated pictures")
def test_the_share_of_hair_agrees_with_people() -> None:
    folder = Path(os.environ["LESION_DATA"]) / "hair_ratings"
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    shares = [remove_hair(decode((folder / row["file"]).read_bytes(), max_side=2000)).share for row in rows]
    ratings = [np.mean([int(rating) for rating in row["ratings"].split()]) for row in rows]
    assert len(rows) > 40
    assert spearmanr(shares, ratings)[0] >= 0.6
