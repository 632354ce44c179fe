"""A training that is killed again and again ends as one that never was; damaged checkpoints are not gone on from."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.kill_training import measure
from ml.bundle import WEIGHTS
from ml.errors import TrainingError
from ml.files import seal, sealed
from ml.run_folder import LAST, PREVIOUS, STOP
from ml.training.checkpoint import load_checkpoint
from tests.ml.tiny import TINY, run


@pytest.mark.slow
def test_three_kills_change_nothing() -> None:
    found = measure(kills=3, seed=1)
    assert sum(found["hits"].values()) == 3
    assert found["runs"] >= 1
    assert found["different"] == 0


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(drawn_data: Path, tmp_path: Path, damage: str) -> None:
    config = replace(TINY, epochs=3)
    whole = run(config, drawn_data, tmp_path / "whole")
    folder = tmp_path / "broken"
    shutil.copytree(tmp_path / "whole" / "run", folder / "run")
    last = folder / "run" / LAST
    content = bytearray(last.read_bytes())
    if damage == "flipped":
        content[random.Random(0).randrange(len(content))] ^= 16
        last.write_bytes(content)
    elif damage == "missing":
        last.unlink()
    else:
        last.write_bytes(content[: len(content) // 2 if damage == "truncated" else 0])
    assert load_checkpoint(folder / "run")["progress"].epoch == 2
    again = run(config, drawn_data, folder, resume=True)
    expected, found = (load_file(bundle.path / WEIGHTS) for bundle in (whole, again))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_without_a_valid_checkpoint_says_so(tmp_path: Path) -> None:
    for name in (LAST, PREVIOUS):
        (tmp_path / name).write_bytes(b"PK\x05\x06 no checkpoint")
    with pytest.raises(TrainingError, match="cannot be read"):
        load_checkpoint(tmp_path)


def test_every_flipped_byte_breaks_the_seal(tmp_path: Path) -> None:
    path = tmp_path / "sealed.pt"
    torch.save({"weights": torch.arange(50)}, path)
    seal(path)
    assert torch.load(path, weights_only=True)["weights"][49] == 49
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert not sealed(path), position
    with pytest.raises(ValueError, match="no zip archive"):
        seal(path)


def test_a_file_named_stop_ends_a_run_with_what_it_has(drawn_data: Path, tmp_path: Path) -> None:
    first = run(replace(TINY, epochs=5), drawn_data, tmp_path, stop_after=0.0)
    assert first.card.training["progress"]["epoch"] == 1
    (tmp_path / "run" / STOP).touch()
    stopped = run(replace(TINY, epochs=5), drawn_data, tmp_path, "2", resume=True)
    assert stopped.card.training["progress"]["epoch"] == 1
    assert not (tmp_path / "run" / STOP).exists()
