"""The audit and the commands: leaks are caught whatever the manifest says."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ml.data.audit import audit
from ml.data.manifest import Dataset
from ml.data.prepare import prepare
from ml.errors import DatasetError
from webapp.cli.data import data_cli


@pytest.fixture
def prepared(drawn_source: Path, tmp_path: Path) -> Dataset:
    return prepare(drawn_source, "ham10000", tmp_path / "prepared")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(data_cli, [str(argument) for argument in arguments])


def edit(dataset: Dataset, line: str, change: tuple[str, str]) -> None:
    """Replace text in the manifest line that contains `line`."""
    path = dataset.folder / "manifest.csv"
    lines = [entry.replace(*change) if line in entry else entry for entry in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")


def test_a_prepared_dataset_does_not_leak(prepared: Dataset) -> None:
    findings = audit(prepared.folder)
    assert not findings.leaks
    assert not findings.problems
    assert findings.images == 56
    assert findings.images_per_split["train"]["nv"] == prepared.summary["splits"]["train"]["images_per_class"]["nv"]
    assert findings.sizes["width"] == {"min": 128, "median": 128, "max": 128}
    result = run("audit", prepared.folder)
    assert result.exit_code == 0
    assert "No leak between splits." in result.output


def test_catches_a_shared_lesion(prepared: Dataset) -> None:
    lesions = [record.lesion_id for record in prepared.split("train")]
    lesion = next(name for name in lesions if lesions.count(name) > 1)
    record = next(record for record in prepared.split("train") if record.lesion_id == lesion)
    edit(prepared, record.sha256, (",train,", ",test,"))
    leaks = [leak for leak in audit(prepared.folder).leaks if leak.kind == "lesion"]
    assert [leak.name for leak in leaks] == [lesion]
    assert set(leaks[0].images.values()) == {"train", "test"}
    result = run("audit", prepared.folder)
    assert result.exit_code == 1
    assert f"lesion {lesion}" in result.output


def test_catches_a_near_duplicate_that_claims_to_be_another_lesion(prepared: Dataset) -> None:
    one, other = prepared.split("train")[0], prepared.split("test")[0]
    with Image.open(one.path) as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(other.path, quality=70)
    findings = audit(prepared.folder)
    assert ("near_duplicate", {str(one.path): "train", str(other.path): "test"}) in [
        (leak.kind, leak.images) for leak in findings.leaks
    ]
    assert {"image": str(other.path), "reason": "changed since it was prepared"} in findings.problems
    result = run("audit", prepared.folder, "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.output)["leaks_per_kind"]["near_duplicate"] >= 1


def test_audits_plain_split_folders(prepared: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    for record in prepared.records:
        place = folder / record.split / record.label / record.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(record.path, place)
    assert run("audit", folder).exit_code == 0
    shutil.copy(prepared.split("test")[0].path, folder / "train" / "nv" / "again.jpg")
    result = run("audit", folder)
    assert result.exit_code == 1
    assert "shared between splits by identical" in result.output


def test_missing_pictures_are_reported(prepared: Dataset) -> None:
    gone = prepared.records[0].path
    gone.unlink()
    result = run("audit", prepared.folder)
    assert result.exit_code == 2
    assert f"{gone}: no readable file" in result.output


def test_unusable_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        audit(tmp_path)
    for folder in (tmp_path, tmp_path / "absent"):
        result = run("audit", folder)
        assert result.exit_code == 2
        assert len(result.output.strip().splitlines()) == 1
        assert result.output.startswith("Error: ")


def test_prepare_command(drawn_source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments: list[str | Path] = ["prepare", "--source", drawn_source, "--format", "ham10000", "--out", out]
    result = run(*arguments, "--split", "60,20,20")
    assert result.exit_code == 0
    assert str(out / "manifest.csv") in result.output
    assert json.loads((out / "summary.json").read_text())["fractions"] == {"train": 0.6, "val": 0.2, "test": 0.2}
    assert run(*arguments, "--split", "70,30").exit_code == 2
    assert run(*arguments, "--label-set", "nonsense").exit_code == 2
    arguments[2] = out / "nowhere"
    failed = run(*arguments)
    assert failed.exit_code == 1
    assert failed.output.startswith("Error: ")
