"""Uploading photos: what is accepted, what is refused and how, and what the result page says."""

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image
from werkzeug.test import TestResponse

from ml.bundle import Bundle
from ml.gate_quality import HAIR_HINT, MOSTLY_HAIR, hint, quality_scores
from ml.images import decode, dimensions
from ml.screen import MAX_PHOTOS, Screener
from tests.webapp.forms import form_token
from tests.webapp.rates import DOWN
from webapp.config import PHOTOS_PER_SCREENING, PROJECT_FOLDER, Config
from webapp.database import write_transaction
from webapp.models.screening import ScreeningRow, token_hash

Upload = Callable[..., TestResponse]
Photo = Callable[..., bytes]
Rows = Callable[[], Sequence[ScreeningRow]]


def stored(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def encoded(pixels: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def test_photo_to_result(
    client: FlaskClient, upload: Upload, photo: Photo, rows: Rows, tiny_bundle: Bundle, config: Config
) -> None:
    answer = upload(photo("mel", seed=1))
    assert answer.status_code == 303
    token = answer.location.rpartition("/")[2]
    assert len(token) >= 43  # 32 random bytes

    page = client.get(answer.location)
    row = rows()[0]
    assert page.status_code == 200
    assert row.state == "done"
    assert f'data-status="{row.status}"' in page.text
    assert f'data-predicted="{row.predicted}"' in page.text
    assert f'data-token="{token}"' in page.text
    assert "not a diagnosis" in page.text
    assert tiny_bundle.card.version in page.text
    assert row.probabilities is not None
    assert set(row.probabilities) == set(tiny_bundle.card.classes)
    for code in row.probabilities:
        assert f'data-class="{code}"' in page.text

    # The row is the screener's answer to the photo as it is kept, and holds no token.
    assert row.token_hash == token_hash(token) != token
    name = row.photos[0].name
    kept = decode((config.photos / name[:2] / name[2:4] / f"{name}.jpg").read_bytes())
    expected = Screener(tiny_bundle).screen([kept])[0]
    assert (row.predicted, row.status, row.malignant_risk) == (
        expected.predicted, expected.status, expected.malignant_risk,
    )  # fmt: skip
    assert row.probabilities == expected.probabilities
    assert row.photos[0].sha256 == hashlib.sha256(photo("mel", seed=1)).hexdigest()
    assert row.consent_at is not None
    assert (row.channel, row.language) == ("web", "en")


def test_reloading_never_predicts_again(
    client: FlaskClient, upload: Upload, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = upload(photo()).location
    first = client.get(location).text
    monkeypatch.setattr(Screener, "screen", lambda *_: pytest.fail("predicted again"))
    second = client.get(location).text
    assert TOKENS.sub("", first) == TOKENS.sub("", second)


TOKENS = re.compile(r'name="csrf_token" value="[^"]+"')


def test_three_photos_make_one_result(client: FlaskClient, upload: Upload, photo: Photo, rows: Rows) -> None:
    answer = upload(photo("nv", 0), photo("nv", 2), photo("nv", 3, "PNG"))
    assert answer.status_code == 303
    (row,) = rows()
    assert [one.position for one in row.photos] == [1, 2, 3]
    assert all(one.answer for one in row.photos)
    for position in (1, 2, 3):
        assert client.get(f"{answer.location}/photos/{position}").mimetype == "image/jpeg"
    assert client.get(f"{answer.location}/photos/4").status_code == 404


def test_only_a_photo_that_does_not_count_is_said_to_be_left_out(
    app: Flask, client: FlaskClient, upload: Upload, photo: Photo
) -> None:
    blank = encoded(np.full((300, 400, 3), 120, np.uint8), "PNG")
    location = upload(photo("mel", 1), blank).location
    assert re.findall(r"Photo (\d) was left out", client.get(location).text) == ["2"]
    with app.app_context(), write_transaction() as session:  # as ANSWER_NOT_DERMATOSCOPIC leaves it
        row = session.get_one(ScreeningRow, 1)
        caution = {"verdict": "not_dermatoscopic", "reason": "not_dermatoscopic", "tip": None}
        row.gate = {**(row.gate or {}), **caution}
        row.photos[0].answer = {**(row.photos[0].answer or {}), "gate": row.gate}
    assert re.findall(r"Photo (\d) was left out", client.get(location).text) == ["2"]


def test_much_hair_is_a_hint_with_its_share(
    app: Flask, client: FlaskClient, upload: Upload, photo: Photo, lesion: Callable[..., NDArray[np.uint8]]
) -> None:
    """What the gate says of a photo with much hair, on the page of a photo that it let pass."""
    plain = upload(photo("mel", 1)).location
    assert "data-gate-tip" not in client.get(plain).text
    hairy = lesion("mel", 1).copy()
    for x in range(4, 400, 11):
        hairy[:, x : x + 2] = (20, 16, 14)
    scores = quality_scores(hairy)
    assert HAIR_HINT < scores["hair"] < MOSTLY_HAIR
    with app.app_context(), write_transaction() as session:
        row = session.get_one(ScreeningRow, 1)
        row.gate = {**(row.gate or {}), "tip": hint(scores), "scores": {**(row.gate or {})["scores"], **scores}}
    page = client.get(plain).text
    assert 'data-gate-tip="part_the_hair"' in page
    assert f"Hair lies on {scores['hair']:.1%} of the photo; from 15.0% on" in page
    german = client.get(plain, headers={"Accept-Language": "de"}).text
    assert "Haare liegen auf" in german


def test_camera_field_counts_as_a_photo(post: Callable[..., TestResponse], photo: Photo) -> None:
    answer = post("/", camera=(io.BytesIO(photo()), "image.jpg"), consent="y")
    assert answer.status_code == 303


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_formats(upload: Upload, lesion: Callable[..., NDArray[np.uint8]], kind: str) -> None:
    assert upload(encoded(lesion("nv"), kind)).status_code == 303


def test_heic(upload: Upload, rows: Rows) -> None:
    content = (PROJECT_FOLDER / "tests" / "ml" / "fixtures" / "drawn.heic").read_bytes()
    assert upload((content, "IMG_0001.HEIC")).status_code == 303
    (kept,) = rows()[0].photos
    assert (kept.width, kept.height) == dimensions(content)


def test_number_of_photos_is_the_same_everywhere(client: FlaskClient) -> None:
    assert PHOTOS_PER_SCREENING == MAX_PHOTOS
    assert f'data-max-photos="{MAX_PHOTOS}"' in client.get("/").text


def test_refused_photo_gets_a_reason_and_no_class(client: FlaskClient, upload: Upload, rows: Rows) -> None:
    location = upload(encoded(np.full((300, 400, 3), 120, np.uint8), "PNG")).location
    page = client.get(location).text
    (row,) = rows()
    assert (row.status, row.predicted, row.probabilities, row.malignant_risk) == ("refused", None, None, None)
    assert row.gate is not None
    assert f'data-gate-reason="{row.gate["reason"]}"' in page
    assert "see a clinician" in page
    assert 'class="bars"' not in page


def bad_files(photo: bytes) -> dict[str, tuple[bytes, int, str]]:
    return {
        "empty": (b"", 400, "empty"),
        "text": (b"hello, this is no picture" * 20, 415, "not a picture"),
        "pdf": (b"%PDF-1.7\n" + b"0" * 500, 415, "format"),
        "gif": (encoded(np.zeros((60, 60, 3), np.uint8), "GIF"), 415, "format"),
        "truncated": (photo[: len(photo) // 2], 400, "ends too early"),
        "tiny": (encoded(np.zeros((4, 4, 3), np.uint8), "PNG"), 400, "too small"),
        "too many bytes": (photo + b"\0" * 1024 * 1024, 413, "larger than 1 MB"),
        "too many pixels": (encoded(np.zeros((1200, 1200, 3), np.uint8), "PNG"), 413, "too many pixels"),
    }


@pytest.mark.parametrize("case", list(bad_files(b"")))
def test_bad_files_are_refused_with_a_sentence(
    config: Config, make_app: Callable[[Config], Flask], photo: Photo, case: str
) -> None:
    content, status, words = bad_files(photo())[case]
    client = make_app(replace(config, max_upload_mb=1, max_pixels=1_000_000)).test_client()
    data = {"csrf_token": form_token(client, "/"), "consent": "y", "photos": (io.BytesIO(content), "x.jpg")}
    answer = client.post("/", data=data)
    assert answer.status_code == status
    found = re.search(r"data-error[^>]*>([^<]+)<", answer.text)
    assert found
    assert words in found.group(1)
    assert 'name="photos"' in answer.text  # the form again
    assert not stored(config.photos)


def test_other_refusals(client: FlaskClient, upload: Upload, post: Callable[..., TestResponse], photo: Photo) -> None:
    cases = (
        (upload(*[photo()] * 4), "more than three"),
        (upload(), "No photo was chosen"),
        (upload(photo(), consent=False), "agree"),
        (upload(photo(), (b"nonsense", "b.jpg")), "Photo 2:"),
    )
    for answer, words in cases:
        assert answer.status_code in (400, 415)
        assert words in answer.text


def test_body_over_the_limit(client: FlaskClient, upload: Upload, app: Flask) -> None:
    answer = upload(b"\xff\xd8\xff" + b"\0" * app.config["MAX_CONTENT_LENGTH"])
    assert answer.status_code == 413
    assert "15 MB" in answer.text


def test_without_form_token(client: FlaskClient, photo: Photo) -> None:
    answer = client.post("/", data={"photos": (io.BytesIO(photo()), "a.jpg"), "consent": "y"})
    assert answer.status_code == 400
    assert "expired" in answer.text


def test_rate_limit(config: Config, make_app: Callable[[Config], Flask]) -> None:
    client = make_app(replace(config, upload_rate="2 per minute")).test_client()
    data = {"csrf_token": form_token(client, "/")}
    answers = [client.post("/", data=data) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert "Too many requests" in answers[-1].text


def test_rates_that_cannot_be_counted_together_are_counted_by_each_process(
    config: Config, make_app: Callable[[Config], Flask], photo: Photo, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_app(replace(config, rate_storage=DOWN, upload_rate="1 per minute")).test_client()
    for status in (303, 429):
        fields = {"csrf_token": form_token(client, "/"), "consent": "y", "photos": (io.BytesIO(photo()), "a.jpg")}
        assert client.post("/", data=fields).status_code == status
    assert "falling back to in-memory storage" in caplog.text


def test_nothing_of_the_original_file_is_kept(
    client: FlaskClient, upload: Upload, lesion: Callable[..., NDArray[np.uint8]], config: Config
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Secret Camera Maker"
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
    content = encoded(lesion("nv"), "JPEG", exif=exif, comment=b"secret comment")
    location = upload((content, "../../secret name.jpg")).location
    files = stored(config.photos)
    assert len(files) == 2  # photo and thumbnail
    for path in files:
        assert re.fullmatch(r"[0-9a-f]{32}(-small)?\.jpg", path.name)
        assert path.stat().st_mode & 0o077 == 0
        assert b"ecret" not in path.read_bytes()
        with Image.open(path) as image:
            assert not image.getexif()
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    served = client.get(f"{location}/photos/1")
    assert served.headers["Cache-Control"] == "private, no-store"
    assert served.headers["X-Content-Type-Options"] == "nosniff"


def test_deleting(client: FlaskClient, upload: Upload, post: Callable[..., TestResponse], photo: Photo, rows: Rows,
                  config: Config) -> None:  # fmt: skip
    location = upload(photo()).location
    assert client.get(f"{location}/photos/1?size=small").status_code == 200
    answer = post(f"{location}/delete", page=location)
    assert answer.status_code == 303
    page = client.get(location)
    assert page.status_code == 410
    assert 'data-status="deleted"' in page.text
    assert client.get(f"{location}/photos/1").status_code == 410
    assert not stored(config.photos)
    (row,) = rows()
    assert row.deleted_at is not None
    assert (row.predicted, row.probabilities, row.status, row.malignant_risk, row.gate) == (None,) * 5
    assert not row.photos
    assert row.model_name == "tiny"
    assert row.created_at is not None


def test_deleting_wants_the_form_token(client: FlaskClient, upload: Upload, photo: Photo, rows: Rows) -> None:
    location = upload(photo()).location
    assert client.post(f"{location}/delete").status_code == 400
    assert client.get(f"{location}/delete").status_code == 405
    assert rows()[0].deleted_at is None


def test_odd_forms(post: Callable[..., TestResponse], photo: Photo) -> None:
    odd: tuple[dict[str, Any], ...] = (
        {"photos": "a text, not a file"},
        {"camera": "a text, not a file"},
        {"photos": (io.BytesIO(photo()), "")},
        {"photos": (io.BytesIO(photo()), "a.jpg"), "consent": ""},
        {f"field{number}": "x" for number in range(100)},
        {"consent": "y" * 600_000},
    )
    for fields in odd:
        answer = post("/", **{"consent": "y", **fields})
        assert answer.status_code in (400, 413), fields.keys()
        assert "data-error" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/results/x",
        "/results/" + "A" * 43,
        "/results/x/photos/1",
        "/results/%00%ff",
        "/results/x/photos/99999999999999999999",
    ],
)
def test_unknown_results(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404
