"""The gate of a model for ordinary photos: what is usable for the other models is what it declines."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.bundle import Bundle
from ml.data.drawn import draw_lesion
from ml.errors import DatasetError
from ml.evaluate_gate import gate_figures, judge_pictures
from ml.screen import Screener
from ml.screening import NOT_CLINICAL, NOT_SKIN, USABLE
from ml.training.gate_refit import refit_gate
from ml.training.negatives import find_negatives, generated
from tests.ml.tiny import train_rash


@pytest.fixture(scope="module")
def negatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated pictures as not_skin/, and drawn ones of another colour as dermatoscopic/."""
    folder = tmp_path_factory.mktemp("negatives")
    for name in ("not_skin", "dermatoscopic"):
        (folder / name).mkdir()
    for number, pixels in enumerate(generated(np.random.default_rng(1), 40)):
        Image.fromarray(pixels).save(folder / "not_skin" / f"{number:02d}.png")
    for number in range(40):
        pixels = draw_lesion("mel", np.random.default_rng(number), (150, 200))[..., [0, 2, 1]]
        Image.fromarray(pixels).save(folder / "dermatoscopic" / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def bundle(negatives: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("clinical")
    return refit_gate(train_rash(folder), folder / "data", negatives, folder / "models" / "t" / "2")


def test_its_card_and_its_limits_say_so(bundle: Bundle) -> None:
    assert bundle.card.gate["accepts"] == "clinical"
    assert set(bundle.card.gate["measured"]) == {NOT_SKIN, NOT_CLINICAL}
    assert any("ordinary photos" in sentence for sentence in bundle.card.limits)


def test_ordinary_photos_are_answered_and_dermatoscopic_ones_are_not(bundle: Bundle, negatives: Path) -> None:
    figures = gate_figures(judge_pictures(Screener(bundle), [negatives], seed=0, progress=False), "clinical")
    rows = {row["kind"]: row for row in figures["rows"] if row["type"] is None}
    assert rows["dermatoscopic"]["right_verdict"] == NOT_CLINICAL
    assert rows["dermatoscopic"]["right_share"] > 0.7
    assert rows["not_skin"]["refused_share"] > 0.7
    screener = Screener(bundle)
    source = bundle.path.parents[2] / "source"
    photos = [np.asarray(Image.open(path)) for path in sorted(source.glob("*/*.png"))]
    answers = screener.screen_batch(photos)
    assert sum(answer.gate.verdict == USABLE for answer in answers) >= 0.9 * len(photos)
    assert all(answer.malignant_risk is None for answer in answers)
    refused = next(
        answer
        for path in sorted((negatives / "dermatoscopic").iterdir())
        if (answer := screener.screen_batch([np.asarray(Image.open(path))])[0]).gate.verdict == NOT_CLINICAL
    )
    assert (refused.predicted, refused.gate.tip) == (None, "use_an_ordinary_photo")


def test_ordinary_photos_of_other_folders_are_what_it_is_for(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "phones" / "arms").mkdir(parents=True)
    pixels = draw_lesion("bcc", np.random.default_rng(5), (120, 160))
    Image.fromarray(pixels).save(tmp_path / "phones" / "arms" / "a.png")
    judged = judge_pictures(Screener(bundle), [tmp_path / "phones"], seed=0, progress=False)
    assert {item.shown.right for item in judged if item.shown.kind == "phones"} == {USABLE}


def test_the_folders_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"not_skin or .*dermatoscopic"):
        find_negatives(tmp_path, "clinical")
