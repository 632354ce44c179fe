"""A drawn source in the HAM10000 layout that a test may break as it likes."""

import shutil
from pathlib import Path

import pytest

from ml.data.drawn import write_drawn_dataset


@pytest.fixture(scope="session")
def drawn_source_original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn_dataset(tmp_path_factory.mktemp("drawn") / "source", per_class=8, size=(96, 128))


@pytest.fixture
def drawn_source(drawn_source_original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn_source_original, tmp_path / "source"))
