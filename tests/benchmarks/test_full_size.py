"""What views and networks are worth, on a finished model."""

import json
from pathlib import Path

import pytest

from benchmarks.full_size import main, measure
from ml.bundle import Bundle


def test_each_row_is_compared_with_the_first_network_s_single_view(tiny_bundle: Bundle, drawn_data: Path) -> None:
    result = measure(tiny_bundle, drawn_data)
    first, second = result["rows"]
    assert first["title"] == "`lenet`, one view"
    assert second["title"] == "`lenet`, eight views"
    assert first["balanced_accuracy"]["difference"] == 0
    change = second["macro_auroc"]["value"] - first["macro_auroc"]["value"]
    assert change == pytest.approx(second["macro_auroc"]["difference"], abs=2e-4)
    json.dumps(result, allow_nan=False)


def test_a_folder_that_is_no_bundle_is_one_sentence(
    tmp_path: Path, drawn_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(drawn_data), "--model", str(tmp_path), "--out", str(tmp_path / "a.json")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
