"""The gate goes by what a picture shows, not by watermark, size, border or compression. Held-out real pictures only."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.bundle import CASES, DEFAULT_MODEL, Bundle, load_bundle
from ml.conditions_study import with_views
from ml.data.duplicates import find_near_duplicates, fingerprint
from ml.data.sources import read_source
from ml.gate import GateModel, is_held_out
from ml.images import decode
from ml.labels import load_taxonomy
from ml.predict import Classifier
from ml.screening import USABLE
from ml.similar import CaseIndex
from ml.training.variations import as_jpeg, write_mark

Pixels = NDArray[np.uint8]

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("LESION_DATA"), reason="LESION_DATA is not set: no real pictures"),
]

PER_CLASS = 6
HAM_SIZE = (400, 300)


def part(pixels: Pixels, top: float, left: float, share: float = 0.7) -> Pixels:
    """The part of a picture that begins at these shares of its height and width."""
    height, width = pixels.shape[:2]
    y, x = round(top * height), round(left * width)
    return pixels[y : y + round(share * height), x : x + round(share * width)]


def masked(pixels: Pixels) -> Pixels:
    """A grey box where the atlas has its watermark."""
    height, width = pixels.shape[:2]
    covered = pixels.copy()
    covered[round(0.72 * height) :, : round(0.45 * width)] = 128
    return covered


def marked(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    write_mark(image, np.random.default_rng(3))
    return np.asarray(image)


def framed(pixels: Pixels) -> Pixels:
    """A plain border round the picture."""
    return np.pad(pixels, ((12, 12), (12, 12), (0, 0)), constant_values=235)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "none": lambda pixels: pixels,
    "compressed": lambda pixels: as_jpeg(Image.fromarray(pixels), 40),
    "centre": lambda pixels: part(pixels, 0.15, 0.15),
    "corner without the mark": lambda pixels: part(pixels, 0.0, 0.3),
    "other corner": lambda pixels: part(pixels, 0.3, 0.3),
    "masked": masked,
    "marked": marked,
    "framed": framed,
    "same size": lambda pixels: np.asarray(Image.fromarray(pixels).resize(HAM_SIZE)),
}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    found = load_bundle(DEFAULT_MODEL)
    if not (found.path / CASES).is_file():
        pytest.skip("the model has no list of the pictures that it was trained on")
    return found


@pytest.fixture(scope="module")
def share_refused(bundle: Bundle) -> Callable[[list[Pixels]], float]:
    """Judges pictures as they are in serving and returns the share that is refused."""
    gate = GateModel(bundle.gate_arrays(), bundle.card.gate["limits"])
    # The gate goes by one network's features of the picture as it is: the further views are left out.
    network = Classifier(with_views(bundle.networks()[bundle.card.gate_network], "one"))

    def judge(pictures: list[Pixels]) -> float:
        pairs = zip(pictures, network.predict(pictures).features, strict=True)
        return float(np.mean([gate.judge(picture, features).verdict != USABLE for picture, features in pairs]))

    return judge


def held_out(name: str) -> list[Pixels]:
    paths = sorted((Path(os.environ["LESION_DATA"]) / name).iterdir())
    return [decode(path.read_bytes(), max_side=640) for path in paths if is_held_out(path.name)]


@pytest.fixture(scope="module")
def lesions(bundle: Bundle) -> list[Pixels]:
    """Dermatoscopic pictures of every class, of lesions that the model was not trained on."""
    trained = {case.lesion for case in CaseIndex.load(bundle.path / CASES).cases}
    taxonomy = load_taxonomy(bundle.card.label_set)
    source = read_source(Path(os.environ["LESION_DATA"]) / "ham10000", "ham10000", taxonomy)
    chosen: list[Pixels] = []
    for code in taxonomy.codes:
        found = sorted(
            (image for image in source.images if image.label == code and image.lesion_id not in trained),
            key=lambda image: image.name,
        )
        chosen += [decode(image.path.read_bytes()) for image in found[:: max(1, len(found) // PER_CLASS)][:PER_CLASS]]
    return chosen


@pytest.fixture(scope="module")
def clinical() -> list[Pixels]:
    return held_out("clinical_photos")


@pytest.fixture(scope="module")
def everyday() -> list[Pixels]:
    """Every second of the held-out pictures: as many as there are of the other kinds."""
    return held_out("not_skin")[::2]


@pytest.mark.parametrize("change", CHANGES)
def test_everyday_photos_stay_refused(
    share_refused: Callable[[list[Pixels]], float], everyday: list[Pixels], change: str
) -> None:
    assert len(everyday) > 30
    assert share_refused([CHANGES[change](picture) for picture in everyday]) >= 0.95


@pytest.mark.parametrize("name", ["not_skin", "clinical_photos"])
def test_no_picture_is_held_out_of_which_the_fit_has_a_near_duplicate(name: str) -> None:
    paths = sorted((Path(os.environ["LESION_DATA"]) / name).iterdir())
    held = [is_held_out(path.name) for path in paths]
    assert 0.2 < np.mean(held) < 0.4
    pairs = find_near_duplicates([fingerprint(decode(path.read_bytes(), max_side=640)) for path in paths])
    crossing = [
        (paths[pair.first].name, paths[pair.second].name) for pair in pairs if held[pair.first] != held[pair.second]
    ]
    assert crossing == []


@pytest.mark.parametrize("change", CHANGES)
def test_clinical_photos_stay_refused(
    share_refused: Callable[[list[Pixels]], float], clinical: list[Pixels], change: str
) -> None:
    assert share_refused([CHANGES[change](picture) for picture in clinical]) >= 0.9


def test_dermatoscopic_pictures_stay_usable(
    share_refused: Callable[[list[Pixels]], float], lesions: list[Pixels]
) -> None:
    refused = {name: share_refused([change(picture) for picture in lesions]) for name, change in CHANGES.items()}
    assert refused["none"] <= 0.05, refused
    assert np.mean(list(refused.values())) <= 0.05, refused
    assert max(refused.values()) <= 0.12, refused
