"""What many tests share: drawn photos, a really trained tiny model, and an application that serves it."""

import io
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from numpy.typing import NDArray
from PIL import Image

from ml.bundle import Bundle
from ml.data.drawn import draw_lesion, write_drawn_dataset
from ml.data.prepare import prepare
from ml.preliminary import FirstLook, load_first_look
from tests.ml.tiny import train_rash
from tests.promotion import recalibrated, train_weak, write_promotion_set
from tests.times import Clock
from webapp import clock, create_app
from webapp.account import passwords
from webapp.config import Config
from webapp.extensions import db
from webapp.models.base import Base

TINY_SIZE = 32
REAL_HASHER = passwords.HASHER


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Argon2 as cheap as it gets: tests log in thousands of times."""
    passwords.HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    yield
    passwords.HASHER = REAL_HASHER


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates are compiled once for all the applications that tests build, and not for each of them."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of drawn lesions, all seven classes."""
    folder = tmp_path_factory.mktemp("drawn")
    source = write_drawn_dataset(folder / "source", per_class=12)
    prepare(source, "ham10000", folder / "prepared")
    return folder / "prepared"


@pytest.fixture(scope="session")
def tiny_bundle(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A LeNet trained for a few epochs on drawn lesions by the same code that trains the shipped model."""
    from ml.train import train
    from ml.training.config import TrainingConfig

    folder = tmp_path_factory.mktemp("tiny")
    config = TrainingConfig(
        architecture="lenet",
        weights="none",
        image_size=TINY_SIZE,
        epochs=6,
        head_epochs=0,
        batch_size=8,
        average_decay=0.9,
        test_time_views="four",
        device="cpu",
        threads=1,
        workers=0,
    )
    return train(config, drawn_data, folder / "run", folder / "models" / "tiny" / "1", progress_bar=False)


@pytest.fixture(scope="session")
def rash_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A LeNet for the label set msid, trained on drawn pictures that stand for its four classes."""
    return train_rash(tmp_path_factory.mktemp("rash"))


@pytest.fixture(scope="session")
def weak_bundle(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that is really worse than the tiny one: it misses most malignant lesions."""
    return train_weak(drawn_data, tmp_path_factory.mktemp("weak"))


@pytest.fixture(scope="session")
def promotion_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data with drawn lesions to judge models by, which none of them has met."""
    return write_promotion_set(tmp_path_factory.mktemp("promotion"))


@pytest.fixture(scope="session")
def believable(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Entries of the tiny model's card that make its percentages believable."""
    return recalibrated(tiny_bundle, tmp_path_factory.mktemp("calibration"))


@pytest.fixture(scope="session")
def first_look_folder(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first look trained on drawn lesions by the same code that trains the shipped one."""
    from ml.train_first_look import train_first_look

    folder = tmp_path_factory.mktemp("looks") / "drawn-first-look" / "1"
    candidates = ({"strength": 0.1, "balance": 0.5}, {"strength": 0.1, "balance": 1.0})
    train_first_look(drawn_data, folder, candidates=candidates, progress=False)
    return folder


@pytest.fixture(scope="session")
def first_look(first_look_folder: Path) -> FirstLook:
    """It, ready to answer."""
    return load_first_look(first_look_folder)


@pytest.fixture(scope="session")
def lesion() -> Callable[..., NDArray[np.uint8]]:
    """Draws a lesion: `lesion("mel", seed=1)` is an RGB picture [H, W, 3]."""

    def draw(code: str = "nv", seed: int = 0) -> NDArray[np.uint8]:
        return draw_lesion(code, np.random.default_rng(seed))

    return draw


@pytest.fixture(scope="session")
def photo(lesion: Callable[..., NDArray[np.uint8]]) -> Callable[..., bytes]:
    """Draws a lesion as a file: `photo("mel", seed=1, kind="PNG")` is its bytes."""

    @cache
    def encode(code: str = "nv", seed: int = 0, kind: str = "JPEG") -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(lesion(code, seed)).save(buffer, kind)
        return buffer.getvalue()

    return encode


@pytest.fixture
def config(tmp_path: Path, tiny_bundle: Bundle) -> Config:
    """Settings with everything in a folder of the test's own, and limits out of the way."""
    return Config(
        instance=tmp_path / "instance",
        model=str(tiny_bundle.path),
        upload_rate="10000 per minute",
        view_rate="100000 per minute",
        login_rate="10000 per minute",
        api_rate="100000 per minute",
        secret_key="for tests only",
        testing=True,
    )


@pytest.fixture
def make_app(compiled_templates: FileSystemBytecodeCache) -> Iterator[Callable[[Config], Flask]]:
    """Builds applications, with their tables made, and closes their connections in the end."""
    apps: list[Flask] = []

    def make(config: Config) -> Flask:
        config.instance.mkdir(parents=True, exist_ok=True)
        app = create_app(config)
        app.jinja_env.bytecode_cache = compiled_templates
        with app.app_context():
            Base.metadata.create_all(db.engine)
        apps.append(app)
        return app

    yield make
    for app in apps:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def app(config: Config, make_app: Callable[[Config], Flask]) -> Flask:
    """The application."""
    return make_app(config)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A visitor without JavaScript."""
    return app.test_client()


@pytest.fixture(name="clock")
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The application's clock, at noon on 1 March 2026 until moved."""
    fixed = Clock()
    monkeypatch.setattr(clock, "now", lambda: fixed.time)
    return fixed
