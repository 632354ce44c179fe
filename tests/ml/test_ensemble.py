"""Several models as one: the same answers as its members give together, served and checked like any other bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ml.architectures import build_model
from ml.bundle import Bundle, load_bundle, save_bundle
from ml.data.drawn import draw_lesion
from ml.data.manifest import load_dataset
from ml.errors import BundleError, TrainingError
from ml.predict import Classifier
from ml.provenance import learnt_from, met
from ml.runtime import load_state
from ml.screen import Screener
from ml.training.config import OperatingPoints
from ml.training.ensemble import make_ensemble
from ml.training.warm_start import warm_start
from tests.ml.tiny import TINY, run


@pytest.fixture(scope="module")
def members(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    folder = tmp_path_factory.mktemp("members")
    other = replace(TINY, image_size=48, seed=1, test_time_views="four")
    return [run(TINY, drawn_data, folder / "a"), run(other, drawn_data, folder / "b")]


@pytest.fixture(scope="module")
def ensemble(members: list[Bundle], drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("ensemble") / "both" / "1"
    return make_ensemble(members, drawn_data, folder, OperatingPoints(), progress=False)


@pytest.fixture(scope="module")
def photos() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(3)
    return [draw_lesion(code, random, (150, 200)) for code in ("mel", "nv", "vasc")]


def test_logits_are_the_mean_of_the_members_calibrated_log_probabilities(
    ensemble: Bundle, photos: list[NDArray[np.uint8]]
) -> None:
    alone = [
        np.log(np.maximum(Classifier(member).predict(photos).probabilities, 1e-12)) for member in ensemble.networks()
    ]
    together = Classifier(ensemble).predict(photos, heatmaps=True)
    assert together.logits == pytest.approx(np.mean(alone, axis=0), abs=1e-4)
    assert together.features == pytest.approx(Classifier(ensemble.member(0)).predict(photos).features)
    assert together.heatmaps is not None
    assert together.heatmaps.shape == (3, 32, 32)
    assert 0 <= together.heatmaps.min() <= together.heatmaps.max() <= 1


def test_each_member_still_answers_by_itself(
    members: list[Bundle], ensemble: Bundle, photos: list[NDArray[np.uint8]]
) -> None:
    for member, network in zip(members, ensemble.networks(), strict=True):
        assert network.card == member.card
        own, kept = Classifier(member).predict(photos), Classifier(network).predict(photos)
        assert kept.logits == pytest.approx(own.logits, abs=0.05 * float(np.abs(own.logits).max())), (
            "but for the packing"
        )
        assert (own.predicted == kept.predicted).all()
    with pytest.raises(BundleError, match="2 members"):
        ensemble.member(2)


def test_the_gate_is_the_first_members(ensemble: Bundle, photos: list[NDArray[np.uint8]]) -> None:
    first, whole = Screener(ensemble.member(0)).screen_batch(photos), Screener(ensemble).screen_batch(photos)
    assert [a.gate for a in first] == [a.gate for a in whole]


def test_members_must_belong_together(
    members: list[Bundle], ensemble: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    def refused(given: list[Bundle], message: str) -> None:
        with pytest.raises(TrainingError, match=message):
            make_ensemble(given, drawn_data, tmp_path / "x" / "1", OperatingPoints(), progress=False)

    refused(members[:1], "at least two")
    refused([members[0], ensemble], "cannot be an ensemble")
    elsewhere = replace(members[1].card, data={**members[1].card.data, "split_digests": {"val": "another"}})
    refused([members[0], replace(members[1], card=elsewhere)], "another split")


def test_a_card_whose_members_contradict_it_is_refused(ensemble: Bundle, tmp_path: Path) -> None:
    wrong = {**ensemble.card.members[1], "classes": ["mel", "nv"], "class_priors": [0.5, 0.5]}
    wrong["calibration"] = {"temperature": 1.0, "bias": [0.0, 0.0]}
    card = replace(ensemble.card, members=(ensemble.card.members[0], wrong))
    with pytest.raises(BundleError, match="contradicts itself"):
        save_bundle(tmp_path / "b" / "1", card, {}, {})


def test_it_is_a_bundle_like_any_other(ensemble: Bundle) -> None:
    again = load_bundle(ensemble.path)
    assert again.card == ensemble.card
    assert len(again.networks()) == 2
    assert (again.path / "cases.safetensors").is_file()


def test_it_lists_what_its_members_learnt_from_where_all_of_them_do(
    members: list[Bundle], ensemble: Bundle, drawn_data: Path
) -> None:
    """So that what starts from it can be compared on images that none of it has met."""
    lists = [learnt_from(member) for member in members]
    assert learnt_from(ensemble) == frozenset().union(*(one for one in lists if one is not None))
    assert met(ensemble, (record.sha256 for record in load_dataset(drawn_data).split("test"))) == 0


@pytest.mark.parametrize("points", [OperatingPoints(missed=-0.1), OperatingPoints(sensitivity=float("nan"))])
def test_shares_that_are_none_are_refused(
    members: list[Bundle], drawn_data: Path, tmp_path: Path, points: OperatingPoints
) -> None:
    with pytest.raises(TrainingError, match="share missed"):
        make_ensemble(members, drawn_data, tmp_path / "b" / "1", points, progress=False)


def test_its_first_network_starts_another_run_and_none_of_it_teaches(
    ensemble: Bundle, drawn_data: Path, tmp_path: Path
) -> None:
    network = build_model(ensemble.card.architecture, len(ensemble.card.classes), ensemble.card.image_size)
    assert "20 of 20 tensors" in warm_start(network, ensemble.card.architecture, str(ensemble.path))
    first = load_state(ensemble.member(0))
    assert all(torch.equal(value, first[name]) for name, value in network.state_dict().items())
    started = run(replace(TINY, weights=str(ensemble.path), epochs=1), drawn_data, tmp_path)
    assert [entry["name"] for entry in started.card.lineage] == [ensemble.card.members[0]["name"]]
    with pytest.raises(TrainingError, match="is an ensemble"):
        run(replace(TINY, teacher=str(ensemble.path)), drawn_data, tmp_path / "taught")
