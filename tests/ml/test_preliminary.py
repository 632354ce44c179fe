"""The first look: trained, kept, told and refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from ml.bundle import FIRST_LOOK, is_bundle, shipped_bundles
from ml.errors import BundleError, DatasetError
from ml.features import Sought, seek_lesion
from ml.features_list import FEATURES, Measured, measure
from ml.labels import Status
from ml.preliminary import TOLD, FirstLook, FirstLookCard, at_one_size, find_first_look, load_first_look
from ml.screening import Gate, Screening, beside
from ml.train_first_look import fitted, train_first_look

Draw = Callable[..., NDArray[np.uint8]]


def blobs(classes: int, rows: int = 240) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features [N, F] of which two tell the class, and the classes [N]."""
    rng = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    values = rng.normal(size=(rows, len(FEATURES))).astype(np.float32)
    values[:, 3] += 2 * labels
    values[:, 7] -= labels
    return values, labels


@pytest.mark.parametrize("classes", [2, 7])
def test_the_linear_classifier_answers_as_scikit_learn_does(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, labels = blobs(classes)
    own = fitted({"strength": 0.3, "balance": 0.0}, values, labels)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=500)).fit(values.astype(float), labels)
    logits = own.logits(values)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(exponents / exponents.sum(axis=1, keepdims=True), model.predict_proba(values), atol=1e-3)


def test_it_learns_the_drawn_classes_and_says_how_it_was_chosen(first_look: FirstLook, lesion: Draw) -> None:
    card = first_look.card
    assert card.features == FEATURES
    assert len(card.classifier["tried"]) == 2
    right = 0
    for code in card.classes:
        for seed in range(4):
            found = first_look.look(lesion(code, 100 + seed)).probabilities
            right += found is not None and card.classes[int(first_look.named(found[None])[0])] == code
    assert right > 2 * 4  # by chance it would be 4 of 28


def test_a_look_tells_probabilities_features_and_what_it_took(first_look: FirstLook, lesion: Draw) -> None:
    told = first_look.tell([first_look.look(lesion("nv", 101))])
    assert sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert told["predicted"] in first_look.card.classes
    assert told["agrees"] is None
    assert tuple(told["features"]) == TOLD
    assert told["model"] == {"name": "drawn-first-look", "version": "1"}
    assert told["seconds"] > 0
    json.dumps(told, allow_nan=False)


def test_the_lesion_is_looked_for_once(first_look: FirstLook, lesion: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(pixels: NDArray[np.uint8]) -> Sought:
        asked.append(len(pixels))
        return seek_lesion(pixels)

    for module in ("ml.preliminary", "ml.gate_quality"):
        monkeypatch.setattr(f"{module}.seek_lesion", noted)
    assert first_look.look(lesion("nv", 101)).measured is not None
    assert len(asked) == 1


def test_several_photos_are_averaged_and_those_without_a_lesion_left_out(first_look: FirstLook, lesion: Draw) -> None:
    blank = np.full((300, 400, 3), 190, np.uint8)
    looks = [first_look.look(photo) for photo in (blank, lesion("nv", 101), lesion("nv", 102))]
    assert looks[0].probabilities is None
    mean = np.mean([look.probabilities for look in looks[1:] if look.probabilities is not None], axis=0)
    told = first_look.tell(looks)
    np.testing.assert_allclose(list(told["probabilities"].values()), mean, atol=1e-6)


def test_what_shows_no_lesion_gets_no_class(first_look: FirstLook) -> None:
    rng = np.random.default_rng(0)
    stripes = np.where((np.arange(400) // 20 % 2)[None, :, None], (20, 90, 200), (240, 220, 30)) + np.zeros((300, 1, 1))
    pictures = {
        "blank": np.full((300, 400, 3), 200, np.uint8),
        "noise": rng.integers(0, 256, (300, 400, 3), dtype=np.uint8),
        "stripes": stripes.astype(np.uint8),
        "tiny": np.full((40, 40, 3), 120, np.uint8),
    }
    for name, pixels in pictures.items():
        whole, each = first_look.screen([pixels])
        assert whole.status is Status.REFUSED, name
        assert whole.first_look is None
        assert each[0].gate.reason is not None


def test_alone_it_neither_clears_nor_alarms(first_look: FirstLook, lesion: Draw) -> None:
    for code in first_look.card.classes:
        whole, _ = first_look.screen([lesion(code, 101)])
        assert whole.status in (Status.UNCERTAIN, Status.REFUSED)
        assert (whole.predicted, whole.probabilities, whole.malignant_risk) == (None, None, None)
        assert (whole.first_look is not None) == (whole.status is Status.UNCERTAIN)


def answered(predicted: str | None, classes: tuple[str, ...]) -> Screening:
    """A network's answer."""
    probabilities = None if predicted is None else {code: float(code == predicted) for code in classes}
    status = Status.REFUSED if predicted is None else Status.BENIGN
    return Screening("ham10000", predicted, probabilities, status, None, None, Gate("usable"), None, None, {}, {})


def test_beside_an_answer_it_says_whether_both_agree(first_look: FirstLook, lesion: Draw) -> None:
    kept, classes = first_look.tell([first_look.look(lesion("nv", 101))]), first_look.card.classes
    same, other = kept["predicted"], next(code for code in classes if code != kept["predicted"])
    for predicted, agrees in ((same, True), (other, False)):
        told = beside(answered(predicted, classes), kept).first_look
        assert told == {**kept, "agrees": agrees}
    assert beside(answered(None, classes), kept).first_look is None
    assert beside(answered("x", ("x", "y")), kept).first_look is None
    assert beside(answered(same, classes), None).first_look is None


def test_percentiles_run_from_none_to_all_of_the_training_lesions(first_look: FirstLook) -> None:
    def percentile(name: str, value: float) -> float:
        return first_look.percentile(name, np.where(np.array(FEATURES) == name, value, 0).astype(np.float32))

    assert percentile("asymmetry", -1) == 0
    assert percentile("asymmetry", 2) == 1
    shares = [percentile("area", value) for value in (0.01, 0.1, 0.2, 0.4)]
    assert shares == sorted(shares)


def test_how_many_pixels_a_photo_has_tells_nothing(lesion: Draw) -> None:
    shipped = find_first_look("ham10000", Path("none"))
    assert shipped is not None
    look, photo = load_first_look(shipped), lesion("nv", 2)
    measured = measure(photo)
    assert measured is not None
    larger = measured.values.copy()
    larger[FEATURES.index("diameter")] *= 6
    np.testing.assert_array_equal(look.probabilities(larger[None]), look.probabilities(measured.values[None]))
    assert look.percentile("diameter", larger) == look.percentile("diameter", measured.values)
    sought, both = seek_lesion(photo), (measured.values, larger)
    scores = [look._judge(photo, sought, Measured(measured.lesion, values)).scores for values in both]
    assert scores[0] == scores[1]


def test_the_shipped_one_was_fitted_to_diameters_in_photos_of_the_reference_side() -> None:
    shipped = find_first_look("ham10000", Path("none"))
    assert shipped is not None
    quantiles = load_file(shipped / FIRST_LOOK)["quantiles"]
    np.testing.assert_allclose(at_one_size(quantiles.T), quantiles.T, rtol=1e-6)


def test_damage_is_noticed_and_the_folder_is_no_network(first_look_folder: Path, tmp_path: Path) -> None:
    assert not is_bundle(first_look_folder)
    assert not any(FIRST_LOOK in {file.name for file in path.iterdir()} for path in shipped_bundles())
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in first_look_folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    load_first_look(copy)
    content = bytearray((copy / FIRST_LOOK).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / FIRST_LOOK).write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        load_first_look(copy)
    (copy / FIRST_LOOK).unlink()
    with pytest.raises(BundleError, match="lacks"):
        load_first_look(copy)


def test_what_is_no_finite_number_is_no_first_look(first_look_folder: Path) -> None:
    card = json.loads((first_look_folder / "card.json").read_text(encoding="utf-8"))
    assert FirstLookCard.from_dict(card).name == "drawn-first-look"
    for change in ({"prior_power": math.nan}, {"gate": {**card["gate"], "limits": {"novelty": math.inf}}}):
        with pytest.raises(BundleError, match="contradicts itself"):
            FirstLookCard.from_dict(card | change)
    arrays = load_file(first_look_folder / FIRST_LOOK)
    for name in ("weight", "gate.bank"):
        spoilt = arrays[name].copy()
        spoilt.flat[0] = np.nan
        with pytest.raises(BundleError, match="no finite number"):
            FirstLook(FirstLookCard.from_dict(card), arrays | {name: spoilt})


def test_the_newest_trained_one_of_a_label_set_is_found_and_else_the_shipped(
    first_look_folder: Path, tmp_path: Path
) -> None:
    for version in ("1", "2"):
        folder = tmp_path / "mine" / version
        folder.mkdir(parents=True)
        for file in first_look_folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    assert find_first_look("ham10000", tmp_path) == tmp_path / "mine" / "2"
    assert find_first_look("mpox", tmp_path) is None
    shipped = find_first_look("ham10000", tmp_path / "empty")
    assert shipped is not None
    assert load_first_look(shipped).card.label_set == "ham10000"
    assert sum(file.stat().st_size for file in shipped.iterdir() if file.is_file()) < 2 * 1024 * 1024


def test_too_few_lesions_are_said_so(tmp_path: Path) -> None:
    from ml.data.drawn import write_drawn_dataset
    from ml.data.prepare import prepare

    source = write_drawn_dataset(tmp_path / "source", per_class=3)
    prepare(source, "ham10000", tmp_path / "prepared")
    with pytest.raises(DatasetError, match="every class"):
        train_first_look(tmp_path / "prepared", tmp_path / "few" / "1", progress=False)
