"""A screening's row: nothing is lost, nothing is answered twice, and deletion is complete, wherever a process dies."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from sqlalchemy import update
from werkzeug.test import TestResponse

from ml.errors import AnswerError, BundleError, TrainingError
from ml.screen import Screener
from tests.times import Clock
from tests.webapp.forms import form_token
from webapp.config import Config
from webapp.database import write_transaction
from webapp.inference import get_models, get_screener
from webapp.models.screening import ScreeningRow
from webapp.photos import PhotoStore, get_photos
from webapp.screening import lifecycle
from webapp.screening.erasing import erase
from webapp.screening.lifecycle import Upload, answer, open_screening

Rows = Callable[[], Sequence[ScreeningRow]]


class Killed(BaseException):
    """Stands for a process that ends here: nothing after it runs."""


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def pending(context: None, lesion: Callable[..., NDArray[np.uint8]]) -> tuple[int, str]:
    """Id and token of a row that waits for its answer."""
    return open_screening([Upload(lesion("nv"), "0" * 64)], channel="web", language="en", consented=True)


def test_pending_row_is_answered_on_the_next_visit(app: Flask, pending: tuple[int, str], rows: Rows) -> None:
    assert rows()[0].state == "pending"
    page = app.test_client().get(f"/results/{pending[1]}")
    assert page.status_code == 200
    assert rows()[0].state == "done"
    assert rows()[0].attempts == 1


def test_pending_rows_are_answered_by_a_sweep(app: Flask, pending: tuple[int, str], rows: Rows) -> None:
    result = app.test_cli_runner().invoke(args=["screenings", "sweep"])
    assert result.exit_code == 0
    assert "1 of 1 pending screenings answered" in result.output
    assert rows()[0].state == "done"


def test_many_at_once_answer_once(
    app: Flask, pending: tuple[int, str], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_screener()
    screen = Screener.screen
    calls: list[int] = []

    def count(self: Screener, photos: Sequence[NDArray[np.uint8]]) -> object:
        calls.append(len(photos))
        return screen(self, photos)

    monkeypatch.setattr(Screener, "screen", count)

    def visit(_: int) -> None:
        with app.app_context():
            answer(pending[0])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visit, range(16)))
    assert calls == [1]
    assert rows()[0].attempts == 1


def test_killed_while_answering(pending: tuple[int, str], rows: Rows, clock: Clock, config: Config,
                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Screener, "screen", die)
        with suppress(Killed):
            answer(pending[0])
    assert rows()[0].state == "pending"
    answer(pending[0])  # the claim of the dead process still stands
    assert rows()[0].state == "pending"
    clock.forward(seconds=config.claim_seconds + 1)
    answer(pending[0])
    assert rows()[0].state == "done"
    assert rows()[0].attempts == 2


@pytest.mark.parametrize("error", [RuntimeError("secret detail"), AnswerError("secret: no finite numbers")])
def test_photo_that_kills_each_time_is_given_up(pending: tuple[int, str], rows: Rows, app: Flask, error: Exception,
                                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Screener, "screen", fail)
    for _ in range(lifecycle.MAX_ATTEMPTS):
        assert rows()[0].state == "pending"
        answer(pending[0])
    page = app.test_client().get(f"/results/{pending[1]}")
    assert rows()[0].state == "failed"
    assert rows()[0].attempts == lifecycle.MAX_ATTEMPTS
    assert 'data-status="failed"' in page.text
    assert "see a clinician" in page.text
    assert "secret" not in page.text


def test_answer_after_deletion_is_dropped(pending: tuple[int, str], rows: Rows,
                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    screen = Screener.screen

    def erase_meanwhile(self: Screener, photos: Sequence[NDArray[np.uint8]]) -> object:
        erase(pending[0])
        return screen(self, photos)

    monkeypatch.setattr(Screener, "screen", erase_meanwhile)
    answer(pending[0])
    row = rows()[0]
    assert row.deleted_at is not None
    assert (row.predicted, row.status, row.probabilities) == (None, None, None)


@pytest.mark.parametrize("by", ["a sweep", "the next visit"])
def test_deletion_cut_short_is_completed(app: Flask, pending: tuple[int, str], rows: Rows, config: Config, by: str,
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def die(*_: object) -> None:
        raise Killed

    answer(pending[0])
    with monkeypatch.context() as patch:
        patch.setattr(PhotoStore, "delete", die)
        with suppress(Killed):
            erase(pending[0])
    assert rows()[0].deleted_at is not None
    assert rows()[0].probabilities is None
    assert any(path.is_file() for path in config.photos.rglob("*"))
    if by == "a sweep":
        assert "1 erased" in app.test_cli_runner().invoke(args=["screenings", "sweep"]).output
    else:
        assert app.test_client().get(f"/results/{pending[1]}").status_code == 410
    assert not any(path.is_file() for path in config.photos.rglob("*"))
    assert not rows()[0].photos


def test_lost_photo_fails_in_words(pending: tuple[int, str], rows: Rows, app: Flask) -> None:
    get_photos().delete(rows()[0].photos[0].name)
    page = app.test_client().get(f"/results/{pending[1]}")
    assert rows()[0].failure == "photo_lost"
    assert "upload it again" in page.text


def test_no_row_without_its_photo(
    context: None, rows: Rows, config: Config, lesion: Callable[..., NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = PhotoStore.keep
    kept: list[str] = []

    def full_disk(self: PhotoStore, pixels: NDArray[np.uint8]) -> str:
        if kept:
            raise OSError(28, "No space left on device")
        kept.append(keep(self, pixels))
        return kept[0]

    monkeypatch.setattr(PhotoStore, "keep", full_disk)
    with pytest.raises(OSError, match="No space"):
        open_screening([Upload(lesion("nv"), "0" * 64)] * 2, channel="web", language="en", consented=True)
    assert not rows()
    assert not any(path.is_file() for path in config.photos.rglob("*"))


def test_full_disk_is_said_in_words(app: Flask, upload: Callable[..., TestResponse], photo: Callable[..., bytes],
                                    monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PhotoStore, "keep", full_disk)
    page = upload(photo())
    assert page.status_code == 507
    assert "disk is full" in page.text


def test_without_a_model_the_photo_waits(config: Config, make_app: Callable[[Config], Flask], tmp_path: Path,
                                         lesion: Callable[..., NDArray[np.uint8]], rows: Rows) -> None:  # fmt: skip
    app = make_app(replace(config, model=str(tmp_path / "nowhere")))
    with app.app_context():
        number, token = open_screening([Upload(lesion(), "0" * 64)], channel="web", language="en", consented=True)
        with pytest.raises(BundleError):
            answer(number)
    page = app.test_client().get(f"/results/{token}")
    assert page.status_code == 503
    assert page.headers["Retry-After"]
    assert 'data-status="pending"' in page.text
    assert "nowhere" not in page.text
    # As soon as there is a model again, the same row is answered.
    assert make_app(config).test_client().get(f"/results/{token}").status_code == 200
    assert rows()[0].state == "done"


@pytest.mark.parametrize("error", [RuntimeError("secret"), PermissionError("secret"), TrainingError("secret")])
def test_whatever_goes_wrong_the_visitor_gets_the_address(
    client: FlaskClient, upload: Callable[..., TestResponse], photo: Callable[..., bytes], error: Exception,
    rows: Rows, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "get_screener", fail)
        answer = upload(photo())
        assert answer.status_code == 303
        if not isinstance(error, RuntimeError):
            page = client.get(answer.location)
            assert (page.status_code, page.headers["Retry-After"]) == (503, "10")
            assert 'data-status="pending"' in page.text
            assert "secret" not in page.text
    assert rows()[0].state == "pending"
    assert client.get(answer.location).status_code == 200
    assert rows()[0].state == "done"


def test_what_waits_can_be_deleted(
    config: Config, make_app: Callable[[Config], Flask], tmp_path: Path, lesion: Callable[..., NDArray[np.uint8]]
) -> None:
    app = make_app(replace(config, model=str(tmp_path / "nowhere")))
    with app.app_context():
        token = open_screening([Upload(lesion(), "0" * 64)], channel="web", language="en", consented=True)[1]
    client = app.test_client()
    address = f"/results/{token}"
    page = client.get(address)
    assert f'<a class="button" href="{address}">Look again</a>' in page.text
    assert 'content="10"' in page.text
    assert f'action="{address}/delete"' in page.text
    answer = client.post(f"{address}/delete", data={"csrf_token": form_token(client, address)})
    assert answer.status_code == 303
    assert client.get(address).status_code == 410
    assert not any(path.is_file() for path in config.photos.rglob("*"))


def test_waiting_for_the_processor(config: Config, make_app: Callable[[Config], Flask],
                                   lesion: Callable[..., NDArray[np.uint8]]) -> None:  # fmt: skip
    app = make_app(replace(config, wait_seconds=0))
    with app.app_context():
        token = open_screening([Upload(lesion(), "0" * 64)], channel="web", language="en", consented=True)[1]
        with get_models().turn():
            page = app.test_client().get(f"/results/{token}")
    assert page.status_code == 202
    assert 'http-equiv="refresh"' in page.text
    assert app.test_client().get(f"/results/{token}").status_code == 200


def test_retention(config: Config, make_app: Callable[[Config], Flask], lesion: Callable[..., NDArray[np.uint8]],
                   clock: Clock, rows: Rows) -> None:  # fmt: skip
    app = make_app(replace(config, photo_retention_days=30))
    with app.app_context():
        for _ in range(2):
            number = open_screening([Upload(lesion(), "0" * 64)], channel="web", language="en", consented=True)[0]
            answer(number)
            clock.forward(days=20)
    result = app.test_cli_runner().invoke(args=["screenings", "sweep"])
    assert "1 erased" in result.output
    assert [row.deleted_at is not None for row in rows()] == [True, False]


def test_clock_set_back_does_not_strand_a_row(pending: tuple[int, str], rows: Rows, clock: Clock) -> None:
    with write_transaction() as session:
        session.execute(update(ScreeningRow).values(claim="x" * 32, claimed_at=clock.time))
    clock.forward(days=-1)
    answer(pending[0])
    assert rows()[0].state == "done"
