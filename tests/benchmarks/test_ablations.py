"""The ablations: two rows on drawn pictures, resumed and summarised; and the arithmetic of their intervals."""

import json
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.ablation_figures import halves, interval, summarise, with_earlier
from benchmarks.ablation_rows import BY_NAME, ROWS, Protocol
from benchmarks.ablation_run import completed, run_one, subset
from benchmarks.ablations import main, parse, wanted
from ml.data.manifest import load_dataset
from ml.errors import MLError

PROJECT = Path(__file__).resolve().parents[2]
TINY = Protocol("lenet", "none", image_size=32, epochs=2, batch_size=8, largest_class=4)
TABLE = runpy.run_path(str(PROJECT / "docs" / "update_ablations.py"))["table"]


@pytest.fixture(scope="module")
def out(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baseline and one row, two seeds each."""
    folder = tmp_path_factory.mktemp("ablations")
    for name in ("baseline", "focal"):
        for seed in (0, 1):
            run_one(BY_NAME[name], seed, TINY, drawn_data, folder)
    return folder


@pytest.fixture(scope="module")
def summary(out: Path, drawn_data: Path) -> dict[str, Any]:
    return summarise(TINY, drawn_data, out, (0, 1))


def test_rows_and_those_that_need_no_training_are_summarised(summary: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in summary["rows"]}
    assert list(rows) == ["baseline", "views-four", "views-eight", "ensemble", "focal"]
    assert all(row["seeds"] == [0, 1] for row in rows.values())
    assert rows["baseline"]["macro_auroc"]["difference"] == 0
    for row in rows.values():
        assert ("faulty_balanced_accuracy" in row) == (row["name"] in ("baseline", "focal"))
        for figure in (value for value in row.values() if isinstance(value, dict)):
            low, high = figure["interval"]
            assert low <= high
            assert figure["counts"] == (low > 0 or high < 0)
    json.dumps(summary, allow_nan=False)


def test_later_rows_stand_in_the_same_table_below_their_own_baseline(summary: dict[str, Any]) -> None:
    later = json.loads(json.dumps(summary))
    later["protocol"]["teacher"] = "a-teacher"
    first, *rows = TABLE(summary, later).splitlines()[4:]
    assert first.startswith("| Baseline | `baseline`")
    count = len(summary["rows"])
    assert len(rows) == 2 * count - 1
    assert rows[count - 1].startswith("| Baseline, once more, for the rows below | `baseline`")
    later["protocol"]["image_size"] = 64
    with pytest.raises(ValueError, match="different protocols"):
        TABLE(summary, later)


def test_rows_of_an_earlier_result_are_kept_only_where_they_compare(summary: dict[str, Any]) -> None:
    earlier = json.loads(json.dumps(summary))
    earlier["rows"].append({**earlier["rows"][-1], "name": "mixup", "title": "Mixup (0.2)"})
    earlier["protocol"]["teacher"] = "a-teacher"
    both = with_earlier(summary, earlier)
    assert [row["name"] for row in both["rows"]] == [*(row["name"] for row in summary["rows"]), "mixup"]
    assert both["protocol"]["teacher"] == "a-teacher"
    for other in (
        {**earlier, "rows": [{**earlier["rows"][0], "macro_auroc": {"value": 0.5}}, *earlier["rows"][1:]]},
        {**earlier, "protocol": {**earlier["protocol"], "epochs": 3}},
        {**earlier, "data": {"train": "another"}},
    ):
        assert with_earlier(summary, other) == summary
    assert with_earlier(summary, {"rows": []}) == summary


def test_finished_runs_are_not_made_again(out: Path, drawn_data: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    run_one(BY_NAME["focal"], 1, TINY, drawn_data, out)
    assert files == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert not list(out.rglob("last.pt"))


def test_a_run_from_before_a_setting_counts_as_made_with_its_default() -> None:
    defaults = {"mixup": 0.0, "augmentation": {"flip": 0.5, "faults": 0.0}, "steps": None}
    assert completed({"mixup": 0.2, "augmentation": {"flip": 0.0}}, defaults) == {
        "mixup": 0.2, "augmentation": {"flip": 0.0, "faults": 0.0}, "steps": None,
    }  # fmt: skip


def test_runs_with_other_settings_do_not_count(out: Path, drawn_data: Path) -> None:
    assert summarise(Protocol("lenet", "none", 32, 3, 8, 4), drawn_data, out, (0, 1))["rows"] == []


def test_the_command_writes_a_result_from_which_the_table_is_made(out: Path, drawn_data: Path) -> None:
    options = "--arch lenet --weights none --image-size 32 --epochs 2 --batch-size 8 --largest-class 4 --figures"
    assert main([*f"--data {drawn_data} --out {out} {options}".split()]) == 0
    table = TABLE(json.loads((out / "ablations.json").read_text()))
    assert "| Focal loss (gamma 2), no label smoothing | `focal` | 2 |" in table
    assert len(table.splitlines()) == 9


def test_the_subset_keeps_rare_classes_and_whole_groups(drawn_data: Path) -> None:
    whole = load_dataset(drawn_data)
    part = subset(whole, 3)
    counts = [Counter(record.label for record in dataset.split("train")) for dataset in (whole, part)]
    largest, _ = counts[0].most_common(1)[0]
    assert 3 <= counts[1][largest] < counts[0][largest]
    assert all(counts[0][label] == counts[1][label] for label in counts[0] if label != largest)
    assert part.split("val") == whole.split("val")
    kept, left_out = (
        {r.group for r in rows} for rows in (part.split("train"), set(whole.split("train")) - set(part.split("train")))
    )
    assert not kept & left_out


def test_halves_share_no_group_and_each_class_is_in_both(drawn_data: Path) -> None:
    records = load_dataset(drawn_data).split("train")
    half = halves(records)
    first, second = ({r.group for r, h in zip(records, half, strict=True) if h == side} for side in (False, True))
    assert not first & second
    assert {r.label for r, h in zip(records, half, strict=True) if h} == {r.label for r in records}


def test_the_interval_covers_what_it_should() -> None:
    """Means of 200 pairs over two seeds with known spread: nearly all intervals contain the true difference."""
    random, covered = np.random.default_rng(0), 0
    for trial in range(100):
        images = random.normal(0.0, 1.0, (1, 200)) + 0.1
        weights = random.multinomial(200, np.full(200, 1 / 200), size=400)
        resampled = np.concatenate([images.mean(axis=1)[:, None], (images @ weights.T) / 200], axis=1)
        _, low, high = interval(np.repeat(resampled, 2, axis=0), trial)
        covered += low <= 0.1 <= high
    assert 88 <= covered <= 99
    _, low, high = interval(np.array([[0.0, *[0.0] * 400], [1.0, *[1.0] * 400]]))
    assert (low, high) == (0.0, 1.0), "the spread between seeds counts"


def test_every_row_has_settings_that_can_be_trained_with() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        Protocol(teacher="bundle").config(row, 0).check()


def test_names_and_seeds_are_checked() -> None:
    for wrong in ("--rows nonsense", "--seeds x"):
        with pytest.raises(SystemExit):
            parse(["--data", "d", "--out", "o", *wrong.split()])
    options = parse(["--data", "d", "--out", "o", "--rows", "distillation,views-four"])
    assert [(row.name, seed) for row, seed in wanted(options)] == [("baseline", 0), ("baseline", 1)]


def test_a_missing_data_set_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none"), "--out", str(tmp_path), "--figures"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(MLError):
        run_one(BY_NAME["baseline"], 0, TINY, tmp_path / "none", tmp_path)


def test_the_document_is_in_step() -> None:
    """As the other documents are held: docs/ablations.md says what docs/ablations.json does."""
    written = runpy.run_path(str(PROJECT / "docs" / "update_ablations.py"))
    for block in ("measured", "full_size"):
        assert written[block]().strip() in (PROJECT / "docs" / "ablations.md").read_text(encoding="utf-8")
