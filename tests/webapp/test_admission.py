"""The queue has an end: whoever finds no place is told when to come back, in a page and in the API."""

import io
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from webapp.admission import Admission, QueueFull, get_admission
from webapp.config import Config
from webapp.models.screening import ScreeningRow
from webapp.turns import Turns


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, queue_length=1)


def test_a_page_says_when_to_come_back(app: Flask, upload: Callable[..., TestResponse], photo: Callable[..., bytes],
                                       rows: Callable[[], Sequence[ScreeningRow]]) -> None:  # fmt: skip
    with app.app_context(), get_admission().place():
        refused = upload(photo("mel"))
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "data-queue" in refused.text
    assert "nothing was stored" in refused.text
    assert rows() == []
    assert upload(photo("mel")).status_code == 303


def test_the_api_says_when_to_come_back(app: Flask, client: FlaskClient, photo: Callable[..., bytes]) -> None:
    def send() -> TestResponse:
        return client.post(
            "/api/v1/screenings", data={"consent": "true", "photos": [(io.BytesIO(photo("mel")), "a.jpg")]}
        )

    with app.app_context(), get_admission().place():
        refused = send()
    assert (refused.status_code, refused.mimetype) == (503, "application/problem+json")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert send().status_code == 201


def test_who_has_a_row_waits_without_a_place(app: Flask, client: FlaskClient, upload: Callable[..., TestResponse],
                                             photo: Callable[..., bytes],
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr("webapp.screening.views.answer", lambda screening_id: None)  # as where the process ends before it
        place = upload(photo("mel")).headers["Location"]
    with app.app_context(), get_admission().place():
        assert client.get(place).status_code == 202
    assert client.get(place).status_code == 200


def test_places_are_given_back_and_times_measured() -> None:
    admission = Admission(2)
    with admission.place(), admission.place(), pytest.raises(QueueFull) as refused, admission.place():
        pass
    assert refused.value.seconds == 1
    with pytest.raises(ZeroDivisionError), admission.place():
        raise ZeroDivisionError
    with admission.place(), admission.place():
        pass


def test_turns_come_in_the_order_of_asking() -> None:
    turns, order = Turns(), list[int]()
    assert turns.acquire(0)
    assert not turns.acquire(0.01)

    def wait(number: int) -> None:
        assert turns.acquire(30)
        order.append(number)
        turns.release()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(turns._waiting) <= number:
            time.sleep(0.001)
    turns.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert not turns.locked()
