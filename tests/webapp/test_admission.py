"""The queue has an end: whoever finds no place is told when to come back, in a page and in the API."""

import io
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from webapp.admission import REMEMBERED, Admission, QueueFull, get_admission
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


def test_places_are_given_back() -> None:
    admission = Admission(2, 10, lambda: 0.0)
    with admission.place(), admission.place(), pytest.raises(QueueFull) as refused, admission.place():
        pass
    assert refused.value.seconds == 2  # two of them, a second each as long as nothing has been measured
    with pytest.raises(ZeroDivisionError), admission.place():
        raise ZeroDivisionError
    with admission.place(), admission.place():
        pass


def places(admission: Admission) -> int:
    """How many it takes at one time."""
    with ExitStack() as held:
        for taken in range(100):
            try:
                held.enter_context(admission.place())
            except QueueFull:
                return taken
    raise AssertionError("there is no end")


def test_as_many_are_taken_as_can_be_answered_in_time() -> None:
    age = 0.0
    admission = Admission(16, 10, lambda: age)
    for seconds, number in ((0.5, 16), (0.1, 16), (0.94, 10), (4.7, 2), (60, 1)):
        for _ in range(REMEMBERED):
            admission.served(seconds)
        assert places(admission) == number, seconds
    for _ in range(REMEMBERED):
        admission.served(0.5)
    age = 7.0  # the turn stands still, and no answer has told so yet
    assert places(admission) == 6
    age = 30.0
    assert places(admission) == 1


def test_whoever_is_taken_is_answered_in_time_however_slow_the_model() -> None:
    """Real waiting for a real turn: sixty come within a second, again and again, and each answer takes 0.4 s."""
    promised, service = 4.0, 0.4
    turns = Turns()
    admission = Admission(16, promised, turns.age)
    answered, refused, noting = list[float](), list[int](), threading.Lock()

    def come() -> None:
        began = time.monotonic()
        try:
            with admission.place():
                assert turns.acquire(60)
                time.sleep(service)
                admission.served(turns.age())
                turns.release()
        except QueueFull as full:
            with noting:
                refused.append(full.seconds)
            return
        with noting:
            answered.append(time.monotonic() - began)

    admission.served(service)
    threads = [threading.Thread(target=come) for _ in range(60)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(60)
    assert len(answered) + len(refused) == 60
    assert len(answered) >= 8
    assert max(answered) <= promised
    assert all(1 <= seconds <= promised for seconds in refused)


def test_what_is_beside_the_turns_counts_too() -> None:
    """Here for 0.2 s with nobody ahead, the turn itself a tenth of that, so that others are done each 0.11 s, or
    sooner: 1.1 s are enough for ten."""
    admission = Admission(16, 1.1, lambda: 0.0)
    for _ in range(REMEMBERED):
        with admission.place():
            time.sleep(0.2)
            admission.served(0.02)
    assert 7 <= places(admission) <= 10
    for _ in range(REMEMBERED):
        with admission.place():  # a file that is no picture tells nothing
            pass
    assert 7 <= places(admission) <= 10


def test_reading_and_storing_count_once() -> None:
    """Sixteen at one time were answered each 0.3 s, the turn itself 0.2 s of it: sixteen are answered within 5 s, and
    no half second more is kept for what was beside it."""
    admission = Admission(16, 5.0, lambda: 0.0)
    for _ in range(REMEMBERED):
        admission.served(0.2)
        admission._paces.append(0.3)
    assert places(admission) == 16
    admission._paces.extend([0.4] * REMEMBERED)
    assert places(admission) == 12


def test_an_upload_tells_how_long_its_answer_took(app: Flask, upload: Callable[..., TestResponse],
                                                  photo: Callable[..., bytes]) -> None:  # fmt: skip
    with app.app_context():
        told = get_admission()._served
    assert upload(b"no picture").status_code == 415
    assert not told
    assert upload(photo("mel")).status_code == 303
    assert len(told) == 1
    assert 0 < told[0] < 60


def test_a_turn_tells_its_age() -> None:
    turns = Turns()
    assert turns.age() == 0
    assert turns.acquire(0)
    time.sleep(0.05)
    assert turns.age() >= 0.05
    turns.release()
    assert turns.age() == 0


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
