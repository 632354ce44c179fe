"""Prepared data to train on, and settings that load no model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from ml.files import write_json
from webapp.config import Config
from webapp.models.training_run import Kind
from webapp.training import queue

OPTIONS = {"architecture": "lenet", "weights": "none", "image_size": 32, "epochs": 3, "threads": 1}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings with everything in a folder of the test's own; the tiny model need not be trained for these tests."""
    return Config(
        instance=tmp_path / "instance", login_rate="10000 per minute", secret_key="for tests only", testing=True
    )


@pytest.fixture
def offered(config: Config) -> Path:
    """A folder that looks like prepared data, offered on the page; another with folds, which is not."""
    offers: dict[str, dict[str, Any]] = {"spots": {}, "folded": {"fold_splits": []}}
    for name, extra in offers.items():
        folder = config.instance / "datasets" / name
        folder.mkdir(parents=True)
        splits = {"train": {"images": 60}, "val": {"images": 12}, "test": {"images": 12}}
        write_json(folder / "summary.json", {"label_set": "ham10000", "classes": ["mel"], "splits": splits, **extra})
    return config.instance / "datasets" / "spots"


@pytest.fixture
def add(app: Flask) -> Callable[..., int]:
    """Queues a run."""

    def enqueue(kind: Kind = Kind.TRAIN, **values: Any) -> int:
        given = {"label_set": "ham10000", "name": "spots", "options": OPTIONS, "requested_by": "anna", "epochs": 3}
        with app.app_context():
            return queue.enqueue(kind, **{**given, **values})

    return enqueue
