"""The history and a screening's page, and who may see them."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ml.gate import KINDS
from ml.gate_quality import quality_scores
from ml.screening import TIPS, VERDICTS
from webapp.admin import words
from webapp.config import Config
from webapp.database import write_transaction
from webapp.models.screening import PhotoRow, ScreeningRow, State
from webapp.photos import get_photos

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def fill(app: Flask) -> Callable[..., None]:
    """Writes rows as answers of two models leave them."""

    def write(count: int, **values: Any) -> None:
        defaults: dict[str, Any] = {
            "state": "done", "channel": "web", "language": "en", "label_set": "ham10000", "status": "benign",
            "predicted": "nv", "malignant_risk": 0.04, "model_name": "tiny", "model_version": "1",
            "thresholds": {"malignant": 0.3, "uncertain": 0.1}, "gate": {"verdict": "usable", "reason": None,
            "tip": None, "scores": {"sharpness": 1.5}}, "probabilities": {"nv": 0.96, "mel": 0.04}, "created_at": NOON,
        }  # fmt: skip
        with app.app_context(), write_transaction() as session:
            for number in range(count):
                row = {**defaults, **values}
                row["token_hash"] = f"{row['predicted']}{row['status']}{row['model_version']}{number:05d}".ljust(
                    64, "0"
                )
                session.add(ScreeningRow(**row))

    return write


def ids(page: TestResponse) -> list[int]:
    return [int(part.split('"')[0]) for part in page.text.split('data-id="')[1:]]


def test_empty_history(admin: FlaskClient) -> None:
    assert "No screenings yet" in admin.get("/admin/history").text
    assert "No screening fits" in admin.get("/admin/history?status=benign").text


def test_pages_show_every_row_once_in_order(admin: FlaskClient, fill: Callable[..., None]) -> None:
    fill(60)  # all at the same moment: the id decides
    seen, path = [], "/admin/history"
    pages = []
    while path:
        page = admin.get(path)
        pages.append(ids(page))
        seen += ids(page)
        path = link(page, "next")
    assert seen == list(range(60, 0, -1))
    assert [len(page) for page in pages] == [25, 25, 10]
    back = link(page, "prev")
    assert ids(admin.get(back)) == pages[1]
    first = admin.get(link(admin.get(back), "prev"))
    assert ids(first) == pages[0]
    assert not link(first, "prev")


def link(page: TestResponse, rel: str) -> str:
    _before, found, rest = page.text.partition(f'rel="{rel}" href="')
    return rest.partition('"')[0].replace("&amp;", "&") if found else ""


def test_filters(admin: FlaskClient, fill: Callable[..., None]) -> None:
    fill(2)
    fill(3, predicted="mel", status="malignant", malignant_risk=0.8, created_at=NOON + timedelta(days=2))
    fill(1, model_version="2", created_at=NOON + timedelta(days=1))
    fill(1, predicted=None, status=None, malignant_risk=None, state="pending", model_name=None, model_version=None)
    expected = {
        "": 7,
        "status=malignant": 3,
        "status=pending": 1,
        "status=deleted": 0,
        "predicted=mel": 3,
        "predicted=mel&status=benign": 0,
        "from=2026-03-02": 4,
        "to=2026-03-01": 3,
        "from=2026-03-02&to=2026-03-02": 1,
        "model=tiny@2": 1,
        "model=nothing": 0,
        "status=nonsense&from=nonsense&after=nonsense&before=!!": 7,
    }
    for query, count in expected.items():
        page = admin.get(f"/admin/history?{query}")
        assert page.status_code == 200
        assert len(ids(page)) == count, query
    assert "tiny@2" in admin.get("/admin/history").text


def test_filters_stay_while_paging(admin: FlaskClient, fill: Callable[..., None]) -> None:
    fill(30)
    fill(30, predicted="mel", status="malignant")
    page = admin.get("/admin/history?status=malignant")
    assert "status=malignant" in link(page, "next")
    assert len(ids(admin.get(link(page, "next")))) == 5


def test_upload_appears_in_the_history(
    admin: FlaskClient, upload: Callable[..., TestResponse], photo: Callable[..., bytes], app: Flask
) -> None:
    location = upload(photo("mel", 1), photo("mel", 1)).location
    page = admin.get("/admin/history")
    assert ids(page) == [1]
    case = admin.get("/admin/screenings/1")
    assert case.status_code == 200
    assert location.rpartition("/")[2] not in case.text  # nobody learns the token, not even an admin
    thumbnail = admin.get("/admin/photos/1?size=small")
    assert thumbnail.mimetype == "image/jpeg"
    assert len(thumbnail.data) < len(admin.get("/admin/photos/1").data)
    with app.app_context(), write_transaction() as session:
        photos = session.query(PhotoRow).all()
    assert photos[0].answer is not None
    assert photos[0].answer["predicted"] in case.text or photos[0].answer["predicted"] is None


def test_odd_queries(admin: FlaskClient, fill: Callable[..., None]) -> None:
    fill(1)
    too_early = base64.urlsafe_b64encode(b"0001-01-01T00:00:00+14:00|1").decode()
    for query in (
        f"after={too_early}",
        "after=MjAyNg",
        "from=0001-01-01&to=9999-12-31",
        "model=%00",
        "predicted=%ed%a0%80",
    ):
        assert admin.get(f"/admin/history?{query}").status_code == 200
    assert admin.get(f"/admin/screenings/{10**20}").status_code == 404
    assert admin.get(f"/admin/photos/{10**20}").status_code == 404


def test_case_of_every_kind(admin: FlaskClient, fill: Callable[..., None], app: Flask) -> None:
    fill(1)
    refused = {"verdict": "poor_quality", "reason": "blur", "tip": "hold_still", "scores": {"sharpness": 0.1}}
    fill(1, status="refused", predicted=None, probabilities=None, malignant_risk=None, gate=refused)
    fill(1, state="failed", failure="no_answer", status="x", predicted=None, probabilities=None, gate=None)
    fill(1, state="pending", status=None, predicted=None, probabilities=None, gate=None, label_set=None)
    fill(1, deleted_at=NOON, status="y", predicted=None, probabilities=None, gate=None)
    for number, word in enumerate(("Probably benign", "blurred", "Failed", "Waiting", "Deleted"), start=1):
        page = admin.get(f"/admin/screenings/{number}")
        assert page.status_code == 200
        assert word in page.text
    assert admin.get("/admin/screenings/99").status_code == 404
    assert admin.get("/admin/photos/99").status_code == 404
    assert admin.get("/admin/").location == "/admin/history"


def test_every_code_of_a_record_has_a_word() -> None:
    scores = (*quality_scores(np.zeros((120, 160, 3), np.uint8)), "novelty", *KINDS)
    for say, codes in (
        (words.verdict, VERDICTS),
        (words.reason, TIPS),
        (words.score, scores),
        (words.state, State),
        (words.failure, ("photo_lost", "no_answer")),
        (words.channel, ("web", "api")),
        (words.seconds, ("decode", "gate", "network")),
        (words.threshold, ("malignant", "uncertain")),
        (words.confirmed_by, ("histo", "follow_up", "consensus", "confocal", "")),
    ):
        assert all(say(code) != code for code in codes), say
        assert say("a code of a later version") == "a code of a later version"


def test_the_title_of_ones_own_label_set_may_hold_any_character(
    admin: FlaskClient, fill: Callable[..., None], config: Config
) -> None:
    kinds = [f'[[class]]\ncode = "{c}"\nname = "{c}"\nstatus = "benign"\ndescription = "{c}"\n' for c in ("a", "b")]
    config.label_sets.mkdir(parents=True)
    (config.label_sets / "own.toml").write_text("title = '99 % <b>\"%(x)s'\n" + "".join(kinds), encoding="utf-8")
    fill(1, label_set="own", predicted="a", probabilities={"a": 0.9, "b": 0.1})
    for path in ("/admin/history", "/admin/screenings/1"):
        assert "99 % &lt;b&gt;&#34;%(x)s" in admin.get(path).text


def test_photos_of_a_deletion_cut_short_are_not_shown(
    admin: FlaskClient, fill: Callable[..., None], app: Flask
) -> None:
    fill(1)
    with app.app_context():
        name = get_photos().keep(np.zeros((64, 64, 3), np.uint8))
        with write_transaction() as session:
            session.add(PhotoRow(screening_id=1, position=1, name=name, sha256="0" * 64, width=64, height=64))
    assert admin.get("/admin/photos/1").status_code == 200
    with app.app_context(), write_transaction() as session:
        session.get_one(ScreeningRow, 1).deleted_at = NOON
    assert admin.get("/admin/photos/1").status_code == 404


def test_case_speaks_german(admin: FlaskClient, fill: Callable[..., None]) -> None:
    scores = {"sharpness": 0.1, "short_side": 300.0, "not_skin": 0.2}
    gate = {"verdict": "poor_quality", "reason": "too_dark", "tip": "more_light", "scores": scores}
    fill(1, gate=gate, seconds={"decode": 0.1, "gate": 0.2, "network": 0.3})
    fill(1, state="failed", failure="photo_lost", status="x", predicted=None, gate=None)
    german = {"Accept-Language": "de"}
    answered = admin.get("/admin/screenings/1", headers=german).text
    for code in (*scores, "poor_quality", "too_dark", "decode", "network", ">web<", ">done<", ">en<"):
        assert code not in answered, code
    for word in ("Zu dunkel", "Schärfe", "Beantwortet", "Webseite", "English", "30,0"):
        assert word in answered, word
    failed = admin.get("/admin/screenings/2", headers=german).text
    assert "photo_lost" not in failed
    assert "nicht lesbar" in failed
