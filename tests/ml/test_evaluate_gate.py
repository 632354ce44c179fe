"""The gate on pictures that a model was not made for: which count, what is right, and what the table says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.bundle import Bundle
from ml.data.artificial import artificial
from ml.errors import DatasetError
from ml.evaluate_gate import UNTAUGHT, Judged, Shown, gate_figures, judge_pictures
from ml.gate import is_held_out
from ml.metrics import wilson_interval
from ml.screen import Screener

Drawer = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="session")
def screener(tiny_bundle: Bundle) -> Screener:
    return Screener(tiny_bundle)


def test_only_pictures_that_no_gate_was_fitted_on_count(screener: Screener, lesion: Drawer, tmp_path: Path) -> None:
    names = [f"Rash_{number}.png" for number in range(12)]
    for kind in ("not_skin", "clinical_photos", "ham10000"):
        _write(tmp_path / kind, names, lesion)
    judged = [item for item in judge_pictures(screener, [tmp_path], seed=0, progress=False)]
    given = [(item.shown.kind, item.shown.name) for item in judged if item.shown.kind != "generated"]
    held = [name for name in sorted(names) if is_held_out(name)]
    assert 0 < len(held) < len(names)
    assert given == [("not_skin", name) for name in held] + [("clinical_photos", name) for name in held]
    alone = judge_pictures(screener, [tmp_path / "not_skin"], seed=0, progress=False)
    assert [item.shown.name for item in alone if item.shown.kind == "not_skin"] == held, "given by itself, too"
    assert {item.shown.right for item in judged if item.shown.kind == "clinical_photos"} == {right_for_skin(screener)}


def test_every_subfolder_of_another_folder_is_a_type_of_skin_photos(
    screener: Screener, lesion: Drawer, tmp_path: Path
) -> None:
    for name in ("Measles", "Normal"):
        _write(tmp_path / "pox" / name, ["a.png", "b.png"], lesion)
    (tmp_path / "pox" / "manifest.csv").write_text("path,label\n")
    (tmp_path / "pox" / "Normal" / "notes.txt").write_text("not a picture")
    rows = gate_figures(judge_pictures(screener, [tmp_path / "pox"], seed=0, progress=False), None)["rows"]
    found = [(row["kind"], row["type"], row["pictures"], row["right_verdict"]) for row in rows]
    right = right_for_skin(screener)
    assert found[:3] == [("pox", None, 4, right), ("pox", "Measles", 2, right), ("pox", "Normal", 2, right)]
    assert next(row for row in rows if row["kind"] == "generated")["pictures"] == 50


def test_a_folder_without_pictures_is_a_sentence(screener: Screener, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No pictures to judge"):
        judge_pictures(screener, [tmp_path], seed=0, progress=False)


def test_the_table_counts_by_kind_and_type_and_lists_the_misses() -> None:
    judged = [
        _judged("clinical_photos", "Melanoma", "usable", "malignant"),
        _judged("clinical_photos", "Melanoma", "not_dermatoscopic"),
        _judged("clinical_photos", "Naevus", "not_skin"),
        _judged("not_skin", "others", "not_skin"),
    ]
    figures = gate_figures(judged, "dermatoscopic")
    clinical, melanoma, naevus, other = figures["rows"]
    assert (clinical["type"], clinical["pictures"], clinical["refused"], clinical["right"]) == (None, 3, 2, 1)
    assert clinical["refused_interval"] == list(wilson_interval(2, 3))
    assert clinical["right_interval"] == list(wilson_interval(1, 3))
    assert (melanoma["type"], melanoma["verdicts"]) == ("Melanoma", {"usable": 1, "not_dermatoscopic": 1})
    assert (naevus["refused_share"], naevus["right_share"]) == (1, 0)
    assert (other["kind"], other["type"]) == ("not_skin", None)
    assert figures["caution"] is None
    assert figures["misses"] == [
        {"kind": "clinical_photos", "type": "Melanoma", "picture": "x.png", "answer": "malignant"}
    ]


def test_drawn_pictures_are_of_every_type_and_the_same_each_time() -> None:
    first, second = list(artificial(3, each=2)), list(artificial(3, each=2))
    assert [name for name, _ in first] == [
        name for name in ("noise", "gradient", "flat colour", "page of text", "screenshot") for _ in range(2)
    ]
    for (_, pixels), (_, again) in zip(first, second, strict=True):
        assert pixels.shape == (360, 480, 3)
        assert np.array_equal(pixels, again)


def test_what_a_model_was_made_for_is_no_miss() -> None:
    picture = Shown("pox", "Measles", "x.png", "usable", np.zeros((4, 4, 3), np.uint8))
    figures = gate_figures([Judged(picture, "usable", "infectious", None)], "clinical")
    assert figures["rows"][0]["right"] == 1
    assert figures["misses"] == []
    assert figures["caution"] is None


def test_a_gate_that_does_not_tell_photos_of_skin_apart_is_said_to_be_one() -> None:
    picture = Shown("clinical_photos", "Melanoma", "x.png", "usable", np.zeros((4, 4, 3), np.uint8))
    figures = gate_figures([Judged(picture, "usable", "benign", "nv")], "skin")
    assert figures["caution"] == UNTAUGHT


def right_for_skin(screener: Screener) -> str:
    return "usable" if screener.card.gate["accepts"] == "skin" else "not_dermatoscopic"


def _judged(kind: str, of: str, verdict: str, status: str = "refused") -> Judged:
    right = "not_skin" if kind == "not_skin" else "not_dermatoscopic"
    return Judged(Shown(kind, of, "x.png", right, np.zeros((4, 4, 3), np.uint8)), verdict, status, None)


def _write(folder: Path, names: list[str], lesion: Drawer) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        Image.fromarray(lesion("nv", number)).save(folder / name)
