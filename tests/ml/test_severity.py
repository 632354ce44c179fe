"""The second stage: the proxy's grades, models taught by them, and which answers they stand beside."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.bundle import WEIGHTS, Bundle, load_bundle
from ml.data.drawn import draw_lesion
from ml.data.manifest import load_dataset, read_image
from ml.data.prepare import prepare
from ml.data.severity import PROXY_FILE, label_by_proxy
from ml.errors import DatasetError, TrainingError
from ml.evaluate import evaluate
from ml.labels import Status, load_taxonomy
from ml.screen import Screener
from ml.screening import Gate, Screening
from ml.severity import SeverityStage, may_be_graded
from ml.severity_grades import GRADES, check_disease
from ml.severity_score import WEIGHTS as SHARES
from ml.severity_score import Proxy, fit_proxy, proxy_measures
from tests.ml.tiny import TINY, run

Draw = Callable[..., NDArray[np.uint8]]
LABELS = "".join(
    f'[[class]]\ncode = "{code}"\nname = "{code}"\nstatus = "{status}"\ndescription = "{code}"\n'
    for code, status in (("bcc", "malignant"), ("nv", "benign"))
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset of drawn basal cell carcinomas, and a few naevi."""
    folder = tmp_path_factory.mktemp("severity")
    (folder / "two.toml").write_text(LABELS, encoding="utf-8")
    for code, count in (("bcc", 60), ("nv", 12)):
        (folder / "source" / code).mkdir(parents=True)
        for number in range(count):
            pixels = draw_lesion(code, np.random.default_rng(number), (120, 160))
            Image.fromarray(pixels).save(folder / "source" / code / f"{number}.png")
    prepare(folder / "source", "folders", folder / "prepared", label_set=str(folder / "two.toml"))
    return folder / "prepared"


@pytest.fixture(scope="module")
def graded(prepared: Path) -> Path:
    """The same, graded by the proxy."""
    label_by_proxy(prepared, "bcc", prepared.parent / "graded")
    return prepared.parent / "graded"


@pytest.fixture(scope="module")
def model(graded: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny severity model."""
    config = replace(TINY, label_set="severity", disease="bcc", epochs=3)
    return run(config, graded, tmp_path_factory.mktemp("stage"))


@pytest.mark.parametrize(("disease", "complaint"), [("mel", "examined promptly"), ("nv", "choose one of akiec, bcc")])
def test_melanoma_and_others_have_no_severity(disease: str, complaint: str, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=complaint):
        check_disease(disease)
    with pytest.raises(TrainingError, match=complaint):
        label_by_proxy(prepared, disease, tmp_path / "out")
    with pytest.raises(TrainingError, match=complaint):
        replace(TINY, label_set="severity", disease=disease).check()


def test_the_score_is_the_documented_sum() -> None:
    proxy = Proxy("bcc", dict.fromkeys(SHARES, (0.0, 2.0)), (0.4, 0.6))
    assert sum(SHARES.values()) == pytest.approx(1)
    assert proxy.score({"area": 1, "border_irregularity": 2, "darkness": -1, "colour_spread": 9}) == pytest.approx(0.65)
    assert [proxy.grade(dict.fromkeys(SHARES, value)) for value in (0.0, 1.0, 2.0)] == list(GRADES)


def test_the_terciles_are_those_of_the_training_pictures() -> None:
    random = np.random.default_rng(0)
    training = [dict(zip(SHARES, map(float, random.normal(size=4)), strict=True)) for _ in range(90)]
    proxy = fit_proxy("bcc", training)
    grades = [proxy.grade(measures) for measures in training]
    assert [grades.count(grade) for grade in GRADES] == [30, 30, 30]
    with pytest.raises(DatasetError, match="Too few"):
        fit_proxy("bcc", training[:2])


def test_what_is_measured_follows_the_lesion() -> None:
    def disc(radius: int, level: int) -> NDArray[np.uint8]:
        rows, columns = np.mgrid[:240, :320]
        inside = (rows - 120) ** 2 + (columns - 160) ** 2 < radius**2
        return np.where(inside[..., None], level, np.array([214, 170, 150])).astype(np.uint8)

    small, large, dark = (proxy_measures(disc(*how)) for how in ((40, 110), (80, 110), (40, 50)))
    assert small is not None
    assert large is not None
    assert dark is not None
    assert large["area"] > 2 * small["area"]
    assert dark["darkness"] > small["darkness"]
    assert proxy_measures(np.full((120, 160, 3), 180, np.uint8)) is None


def test_grading_keeps_the_splits_and_looks_at_training_alone(prepared: Path, graded: Path) -> None:
    before = {record.path.name: record for record in load_dataset(prepared).records if record.label == "bcc"}
    dataset = load_dataset(graded)
    assert dataset.classes == GRADES
    assert dataset.summary["severity"]["source"] == "proxy"
    assert all(before[record.path.name].split == record.split for record in dataset.records)
    training = [proxy_measures(read_image(record, 640)) for record in dataset.split("train")]
    proxy = fit_proxy("bcc", [measures for measures in training if measures])
    kept = json.loads((graded / PROXY_FILE).read_text(encoding="utf-8"))
    assert {name: kept[name] for name in vars(proxy)} == json.loads(json.dumps(proxy.to_dict()))
    for record in dataset.split("test"):
        measures = proxy_measures(read_image(record, 640))
        assert measures is not None
        assert proxy.grade(measures) == record.label


def test_data_without_the_disease_or_with_too_little_of_it(prepared: Path, drawn_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no picture of 'df'"):
        label_by_proxy(prepared, "df", tmp_path / "a")
    with pytest.raises(DatasetError, match=r"no picture graded|Too few"):
        label_by_proxy(drawn_data, "df", tmp_path / "b")


def test_a_model_says_what_it_was_taught(model: Bundle, graded: Path, tmp_path: Path) -> None:
    assert model.card.stage == {"name": "severity", "disease": "bcc", "source": "proxy"}
    assert any("image-based proxy" in sentence for sentence in model.card.limits)
    with pytest.raises(TrainingError, match="severity of 'bcc', not of 'df'"):
        run(replace(TINY, label_set="severity", disease="df"), graded, tmp_path)
    with pytest.raises(TrainingError, match="name its disease"):
        run(replace(TINY, label_set="severity"), graded, tmp_path)


def test_agreement_is_reported(model: Bundle, graded: Path, tmp_path: Path) -> None:
    figures = evaluate(model, graded, "test", tmp_path, resamples=20, progress=False)["severity"]
    assert (figures["disease"], figures["source"]) == ("bcc", "proxy")
    assert figures["note"] == "an image-based proxy, not a clinical grade"
    low, high = figures["intervals"]["accuracy"]
    assert low <= figures["accuracy"] <= high
    assert -1 <= figures["quadratic_kappa"] <= 1
    assert "not a clinical grade" in (tmp_path / "report.html").read_text(encoding="utf-8")


def answer(predicted: str | None, status: Status, verdict: str = "usable") -> Screening:
    return Screening(
        "ham10000", predicted, None, status, None, None, Gate(verdict), None, None, {"name": "m", "version": "1"}, {}
    )


def test_a_grade_never_stands_beside_melanoma_or_where_it_would_soothe() -> None:
    taxonomy = load_taxonomy("ham10000")
    assert may_be_graded(answer("bcc", Status.MALIGNANT), taxonomy)
    assert may_be_graded(answer("bkl", Status.BENIGN), taxonomy)
    assert not may_be_graded(answer("bkl", Status.UNCERTAIN), taxonomy)
    assert not may_be_graded(answer("bkl", Status.MALIGNANT), taxonomy)
    assert not may_be_graded(answer("mel", Status.MALIGNANT), taxonomy)
    assert not may_be_graded(answer("nv", Status.BENIGN), taxonomy)
    assert not may_be_graded(answer(None, Status.REFUSED, "not_skin"), taxonomy)
    assert not may_be_graded(answer("bcc", Status.MALIGNANT, "not_dermatoscopic"), taxonomy)


def test_an_answer_gets_the_grade_of_its_disease(
    model: Bundle, tiny_bundle: Bundle, lesion: Draw, tmp_path: Path
) -> None:
    asked: list[str] = []

    def find(name: str) -> Path | None:
        asked.append(name)
        return model.path if name == "severity-bcc" else None

    screener = Screener(tiny_bundle, severity=SeverityStage(find))
    photos = [lesion(code, seed) for code in ("bcc", "mel", "nv", "df") for seed in range(4)]
    answers = screener.screen_batch(photos)
    graded = [one for one in answers if one.predicted == "bcc" and one.gate.verdict == "usable"]
    assert graded, "the tiny model recognises a drawn basal cell carcinoma"
    for one in answers:
        if one in graded:
            assert one.severity is not None
            assert one.severity["grade"] in GRADES
            assert one.severity["source"] == "proxy"
            assert sum(one.severity["probabilities"].values()) == pytest.approx(1, abs=1e-4)
            assert one.severity["model"] == {"name": model.card.name, "version": model.card.version}
        else:
            assert one.severity is None
    assert "severity-mel" not in asked
    photo = photos[answers.index(graded[0])]
    whole, views, _ = screener.screen([photo])
    assert whole.severity == views[0].severity == graded[0].severity
    assert screener.screen([photo, photo])[0].severity == graded[0].severity
    assert Screener(tiny_bundle).screen([photo])[0].severity is None


def test_a_damaged_or_foreign_stage_leaves_the_answer_alone(
    model: Bundle, tiny_bundle: Bundle, lesion: Draw, tmp_path: Path
) -> None:
    assert SeverityStage(lambda _: tiny_bundle.path).grade("bcc", [lesion("bcc")]) is None
    assert SeverityStage(lambda _: model.path).grade("df", [lesion("bcc")]) is None
    copy = tmp_path / "damaged"
    copy.mkdir()
    for file in model.path.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    assert load_bundle(copy)
    (copy / WEIGHTS).write_bytes(b"no weights")
    assert SeverityStage(lambda _: copy).grade("bcc", [lesion("bcc")]) is None
