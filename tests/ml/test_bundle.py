"""Bundles: verified at every load, refused when anything is wrong, found by name."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ml.bundle import CARD, CHECKSUMS, CONTENT, WEIGHTS, Bundle, find_bundle, load_bundle, save_bundle, versions
from ml.errors import BundleError
from ml.files import sha256_file
from ml.screen import Screener


@pytest.fixture
def copied(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "copy"))


def sign_again(folder: Path) -> None:
    """Fresh checksums: the damage is then in the content itself, as a careless tool would leave it."""
    names = sorted(path.name for path in folder.iterdir() if path.name != CHECKSUMS)
    (folder / CHECKSUMS).write_text("".join(f"{sha256_file(folder / name)}  {name}\n" for name in names))


def test_the_card_carries_the_contract(tiny_bundle: Bundle) -> None:
    card = tiny_bundle.card
    assert card.classes == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    assert card.training["config"]["architecture"] == card.architecture == "lenet"
    assert card.data["seed"] == 0
    assert set(card.thresholds or {}) == {"malignant", "uncertain"}
    assert "CC BY-NC" in card.licence


def test_weights_are_half_precision_and_vectors_single(tiny_bundle: Bundle) -> None:
    for name, values in load_file(tiny_bundle.path / WEIGHTS).items():
        if values.dtype.kind == "f":
            assert values.dtype == (np.float16 if values.ndim > 1 else np.float32), name


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_refused(copied: Path, name: str, damage: str) -> None:
    path = copied / name
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(BundleError, match=name if damage != "remove" else f"lacks {name}"):
        load_bundle(copied)


def test_missing_checksums_and_missing_folder_are_refused(copied: Path, tmp_path: Path) -> None:
    (copied / CHECKSUMS).unlink()
    with pytest.raises(BundleError, match=CHECKSUMS):
        load_bundle(copied)
    with pytest.raises(BundleError, match="no model at 'nowhere'"):
        load_bundle(tmp_path / "nowhere")


def test_weights_that_are_no_numbers_are_refused(copied: Path) -> None:
    values = load_file(copied / WEIGHTS)
    values["head.3.bias"] = np.full_like(values["head.3.bias"], np.nan)
    save_file(values, copied / WEIGHTS)
    sign_again(copied)
    with pytest.raises(BundleError, match="not all finite"):
        Screener(load_bundle(copied))


def test_weights_of_another_network_are_refused(copied: Path) -> None:
    values = load_file(copied / WEIGHTS)
    values.pop("head.0.weight")
    save_file(values, copied / WEIGHTS)
    sign_again(copied)
    with pytest.raises(BundleError, match="do not fit its card"):
        Screener(load_bundle(copied))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"classes": ["mel", "nv"]}, "contradicts itself"),
        ({"calibration": {"temperature": 0, "bias": [0] * 7}}, "contradicts"),
        ({"calibration": {"temperature": 1, "bias": [math.nan] * 7}}, "not a finite one"),
        ({"calibration": {"temperature": math.inf, "bias": [0] * 7}}, "not a finite one"),
        ({"prior_power": math.nan}, "not a finite one"),
        ({"thresholds": {"malignant": 0.1, "uncertain": 0.2}}, "0 <= uncertain <= malignant <= 1"),
        ({"thresholds": {"malignant": 1.1, "uncertain": 0.2}}, "0 <= uncertain <= malignant <= 1"),
        ({"thresholds": {"malignant": 0.1, "uncertain": -0.2}}, "0 <= uncertain <= malignant <= 1"),
        ({"thresholds": {"malignant": 0.1, "uncertain": math.nan}}, "0 <= uncertain <= malignant <= 1"),
        ({"thresholds": {"malignant": 0.1}}, "incomplete"),
        ({"gate": {"limits": {"usable": 0.5}}}, "lacks limits"),
        ({"gate": {"limits": {"usable": math.nan, "novelty": 9.0}}}, "not a finite one"),
        ({"malignant": ["lentigo"]}, "contradicts"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(copied: Path, change: dict[str, object], complaint: str) -> None:
    (copied / CARD).write_text(json.dumps(json.loads((copied / CARD).read_text()) | change))
    sign_again(copied)
    with pytest.raises(BundleError, match=complaint):
        load_bundle(copied)


def test_classes_that_count_as_malignant_are_those_of_the_training(tiny_bundle: Bundle) -> None:
    assert set(tiny_bundle.card.malignant or ()) == {"akiec", "bcc", "mel"}
    older = replace(tiny_bundle, card=replace(tiny_bundle.card, malignant=None))
    assert Screener(older).card.malignant is None
    edited = replace(tiny_bundle, card=replace(tiny_bundle.card, malignant=("akiec", "bcc", "bkl", "mel")))
    with pytest.raises(BundleError, match=r"other classes malignant \(akiec, bcc, mel\) than when"):
        Screener(edited)
    with pytest.raises(BundleError, match="has no thresholds"):
        Screener(replace(tiny_bundle, card=replace(tiny_bundle.card, thresholds=None)))


def test_a_bundle_is_never_written_over(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="already"):
        save_bundle(tiny_bundle.path, tiny_bundle.card, {}, {})


def test_names_versions_and_paths_are_found(tiny_bundle: Bundle, tmp_path: Path) -> None:
    for version in ("1", "2"):
        shutil.copytree(tiny_bundle.path, tmp_path / "own" / version)
    assert find_bundle("own", tmp_path) == tmp_path / "own" / "2"
    assert find_bundle("own@1", tmp_path) == tmp_path / "own" / "1"
    assert find_bundle(str(tiny_bundle.path), tmp_path) == tiny_bundle.path
    assert versions("own", tmp_path) == ["2", "1"]
    for reference in ("own@1", "../own", str(tiny_bundle.path)):
        assert versions(reference, tmp_path) == []


def test_what_is_still_being_written_is_no_version(tiny_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "own" / ".1.0f")
    assert versions("own", tmp_path) == []
    for reference in ("own", "own@.1.0f"):
        with pytest.raises(BundleError, match="There is no model"):
            find_bundle(reference, tmp_path)


def test_a_shipped_model_is_found_without_reading_its_weights(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "shipped" / "own")
    (tmp_path / "shipped" / "own" / WEIGHTS).unlink()
    monkeypatch.setattr("ml.bundle.PRETRAINED_FOLDER", tmp_path / "shipped")
    assert find_bundle(f"own@{tiny_bundle.card.version}", tmp_path) == tmp_path / "shipped" / "own"
    assert versions("own", tmp_path) == [tiny_bundle.card.version]
    shutil.copytree(tiny_bundle.path, tmp_path / "own" / "2")
    assert versions("own", tmp_path) == ["2", tiny_bundle.card.version]
    with pytest.raises(BundleError, match="There is no model"):
        find_bundle("own@another", tmp_path)


@pytest.mark.parametrize("reference", ["nothing", "own@3", "../own", "", ".hidden", "/etc"])
def test_an_unknown_model_is_one_sentence(reference: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="There is no model"):
        find_bundle(reference, tmp_path)
