"""Fitting a gate: which pictures it sees, what is kept from it, and a new gate for a bundle that is trained already."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.bundle import CASES, WEIGHTS, Bundle, load_bundle
from ml.data.artificial import artificial
from ml.data.manifest import ImageRecord, load_dataset, read_image
from ml.errors import BundleError, DatasetError, TrainingError
from ml.gate import CLEARLY, is_held_out, project
from ml.labels import Status
from ml.predict import Classifier
from ml.screen import Screener
from ml.similar import CaseIndex
from ml.training import model_card
from ml.training.cases import confirmed
from ml.training.config import OperatingPoints
from ml.training.ensemble import make_ensemble
from ml.training.gate_fit import bundle_features, fit_network_gate, sample
from ml.training.gate_refit import FRAME, refit_gate
from ml.training.negatives import generated
from tests.ml.tiny import TINY, run


@pytest.fixture(scope="module")
def negatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty generated pictures as not_skin/ and no others."""
    folder = tmp_path_factory.mktemp("negatives")
    (folder / "not_skin").mkdir()
    for number, pixels in enumerate(generated(np.random.default_rng(1), 40)):
        Image.fromarray(pixels).save(folder / "not_skin" / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def refitted(
    tiny_bundle: Bundle, drawn_data: Path, negatives: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    return refit_gate(tiny_bundle, drawn_data, negatives, tmp_path_factory.mktemp("refit") / "tiny" / "2")


def test_a_new_gate_leaves_the_network_and_the_space_of_similar_cases_alone(
    tiny_bundle: Bundle, refitted: Bundle
) -> None:
    assert (refitted.path / WEIGHTS).read_bytes() == (tiny_bundle.path / WEIGHTS).read_bytes()
    old, new = tiny_bundle.gate_arrays(), refitted.gate_arrays()
    assert not np.array_equal(old["head_weight"], new["head_weight"])
    for name in FRAME:
        assert np.array_equal(old[name], new[name])
    same = {name: getattr(tiny_bundle.card, name) for name in ("version", "gate", "limits")}
    assert replace(refitted.card, **same) == tiny_bundle.card
    unmeasured = model_card.NOT_SKIN_LIMIT
    assert unmeasured in tiny_bundle.card.limits
    assert unmeasured not in refitted.card.limits


def test_without_other_pictures_a_gate_learns_from_drawn_ones_and_says_what_it_cannot_tell(
    tiny_bundle: Bundle, drawn_data: Path
) -> None:
    gate = tiny_bundle.card.gate
    assert set(gate["fitted_on"]) == {"not_skin"}
    assert (gate["accepts"], gate["measured"]) == ("skin", {})
    assert 0 < gate["limits"]["usable"] <= CLEARLY
    screener = Screener(tiny_bundle)
    refused = [screener.screen_batch([pixels])[0].status for _, pixels in artificial(each=3)]
    assert refused.count(Status.REFUSED) >= 14
    lesions = [read_image(record, 640) for record in load_dataset(drawn_data).split("test")]
    verdicts = Counter(view.gate.verdict for view in screener.screen_batch(lesions))
    assert verdicts["not_skin"] == 0


def test_pictures_kept_from_the_fit_are_counted(refitted: Bundle, negatives: Path) -> None:
    held = [path for path in (negatives / "not_skin").iterdir() if is_held_out(path.name)]
    assert 0 < len(held) < 40
    assert sum(refitted.card.gate["measured"]["not_skin"].values()) == len(held)


@pytest.fixture(scope="module")
def ensemble(tiny_bundle: Bundle, drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("ensemble")
    members = [tiny_bundle, run(replace(TINY, image_size=48, epochs=1), drawn_data, folder / "other")]
    return make_ensemble(members, drawn_data, folder / "both" / "1", OperatingPoints(), progress=False)


def test_an_ensembles_gate_can_go_by_another_network(
    ensemble: Bundle, drawn_data: Path, negatives: Path, tmp_path: Path
) -> None:
    """Gate, features and confirmed cases change to it together; weights and the other networks' gates stay."""
    new = load_bundle(refit_gate(ensemble, drawn_data, negatives, tmp_path / "both" / "2", network=1).path)
    assert (ensemble.card.gate_network, new.card.gate_network) == (0, 1)
    assert (new.path / WEIGHTS).read_bytes() == (ensemble.path / WEIGHTS).read_bytes()
    assert new.member(1).card.gate == {name: new.card.gate[name] for name in new.card.gate if name != "network"}
    assert new.member(0).card.gate == ensemble.card.gate
    before, after = ensemble.member(0).gate_arrays(), new.member(0).gate_arrays()
    assert all(np.array_equal(values, after[name]) for name, values in before.items())
    records = load_dataset(drawn_data).split("train")[:3]
    photos = [read_image(record, 640) for record in records]
    features = Classifier(new).predict(photos).features
    assert features == pytest.approx(Classifier(new.member(1)).predict(photos).features)
    index = CaseIndex.load(new.path / CASES)
    assert [case.image for case in index.cases] == [case.image for case in CaseIndex.load(ensemble.path / CASES).cases]
    for record, points in zip(records, project(new.gate_arrays(), features), strict=True):
        nearest = index.nearest(points, 1)[0]
        assert nearest.case.lesion == record.lesion_id
        assert nearest.distance < 0.1
    assert Screener(new).screen(photos)[0].gate.verdict
    again = refit_gate(new, drawn_data, negatives, tmp_path / "both" / "3")
    assert again.card.gate == new.card.gate
    with pytest.raises(BundleError, match="2 members"):
        refit_gate(ensemble, drawn_data, negatives, tmp_path / "both" / "4", network=2)


def test_an_ensembles_new_gate_is_that_of_its_first_network(
    ensemble: Bundle, drawn_data: Path, negatives: Path, tmp_path: Path
) -> None:
    new = load_bundle(refit_gate(ensemble, drawn_data, negatives, tmp_path / "both" / "2").path)
    frame = {name: ensemble.gate_arrays()[name] for name in FRAME}
    first = bundle_features(ensemble.member(0))
    alone, _ = fit_network_gate(first, load_dataset(drawn_data), negatives, seed=0, frame=frame)
    for name, values in alone.items():
        assert np.allclose(new.gate_arrays()[name], values, atol=1e-3)
    assert {**new.member(0).card.gate, "network": 0} == new.card.gate
    other = ensemble.member(1).gate_arrays()
    assert all(np.array_equal(values, other[name]) for name, values in new.member(1).gate_arrays().items())
    photo = np.full((300, 400, 3), 128, np.uint8)
    assert Screener(new).screen([photo])[0].gate.reason == "low_contrast"


def test_a_gate_is_not_fitted_to_data_that_the_model_was_not_trained_on(
    tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    card = replace(tiny_bundle.card, data={"split_digests": {}})
    with pytest.raises(TrainingError, match="other data"):
        refit_gate(replace(tiny_bundle, card=card), drawn_data, None, tmp_path / "tiny" / "2")


def test_rare_classes_are_sampled_more_than_their_share(drawn_data: Path) -> None:
    first = load_dataset(drawn_data).split("train")[0]

    def records(label: str, count: int) -> list[ImageRecord]:
        return [replace(first, label=label, lesion_id=f"{label}{number}") for number in range(count)]

    chosen = sample(records("nv", 900) + records("df", 30), 200, np.random.default_rng(0))
    counts = Counter(record.label for record in chosen)
    assert len({record.lesion_id for record in chosen}) == 200
    assert counts["df"] == 30
    assert len(sample(records("nv", 10), 200, np.random.default_rng(0))) == 10


def test_no_features_of_users_photos_are_kept(tiny_bundle: Bundle, drawn_data: Path) -> None:
    """Neither of reviewed cases, nor of an export that was prepared as a source before such were marked."""
    dataset = load_dataset(drawn_data)
    training = dataset.split("train")
    reviewed = [replace(record, source="reviewed") for record in training[::3]]
    exported = [replace(record, path=Path(f"/gone/screening-{row}-1.jpg")) for row, record in enumerate(training[1::3])]
    others = training[2::3]
    mixed = replace(dataset, records=(*reviewed, *exported, *others, *dataset.split("val")))
    extract = bundle_features(tiny_bundle)
    arrays, _entry = fit_network_gate(extract, mixed, None, 0)
    own = project(arrays, extract([read_image(record, 640) for record in others]).features)
    assert len(arrays["bank"]) == len(others)
    assert np.allclose(np.sort(arrays["bank"], 0), np.sort(own, 0), atol=1e-4)
    assert confirmed(mixed) == others
    with pytest.raises(DatasetError, match="All training pictures are photos of users"):
        fit_network_gate(extract, replace(mixed, records=(*reviewed, *exported)), None, 0)
