"""`flask predict --contact-sheet`: a page that stands alone, in the order asked for, safe whatever files are called."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from flask import Flask
from numpy.typing import NDArray
from PIL import Image

from ml.labels import Status, load_taxonomy
from ml.screening import Gate, Screening
from webapp.cli.contact_sheet import SIDE, Entry, printable, small_picture, write_contact_sheet
from webapp.cli.predict import predict_command

HOSTILE = "<img src=x onerror=alert(1)>\"' &amp; \u202egpj.exe\n.jpg"


class Page(HTMLParser):
    """Every tag with its attributes, and the text of the cards' parts by class."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._class = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._class = dict(attrs).get("class") or tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._class, data.strip()))

    def of(self, kind: str) -> list[str]:
        return [text for found, text in self.texts if found == kind]


@pytest.fixture
def photos(tmp_path: Path, photo: Callable[..., bytes]) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, code in enumerate(("mel", "nv", "bcc")):
        (folder / f"{seed}.jpg").write_bytes(photo(code, seed=seed))
    (folder / HOSTILE).write_bytes(photo("nv", seed=9))
    (folder / "broken.jpg").write_bytes(b"not a picture")
    return folder


@pytest.fixture
def sheet(app: Flask, photos: Path, tmp_path: Path) -> Callable[..., tuple[Result, str]]:
    def write(*options: str) -> tuple[Result, str]:
        file = tmp_path / "sheet.html"
        arguments = [str(photos), "--format", "jsonl", "--contact-sheet", str(file), *options]
        result = app.test_cli_runner().invoke(predict_command, arguments)
        return result, file.read_text(encoding="utf-8")

    return write


def test_every_photo_is_there_with_its_answer(sheet: Callable[..., tuple[Result, str]], photos: Path) -> None:
    result, text = sheet()
    assert result.exit_code == 1  # one could not be read
    page = Page(text)
    assert page.of("path") == [printable(str(path)) for path in sorted(photos.iterdir())]
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 4
    assert all(source is not None and source.startswith("data:image/jpeg;base64,") for source in pictures)
    assert "The file is not an image." in page.of("name")
    assert "Research and education only" in text


def test_the_page_stands_alone_and_runs_nothing(sheet: Callable[..., tuple[Result, str]]) -> None:
    _, text = sheet("--sort", "risk")
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "a", "form"}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert "href" not in attributes
    policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "http:" not in text
    assert "https:" not in text


def test_a_hostile_file_name_is_text(sheet: Callable[..., tuple[Result, str]]) -> None:
    _, text = sheet()
    shown = next(path for path in Page(text).of("path") if "onerror" in path)
    assert shown.endswith("<img src=x onerror=alert(1)>\"' &amp; \\u202egpj.exe\\u000a.jpg")
    assert "<img src=x" not in text
    assert "\u202e" not in text


def screening(
    label_set: str, code: str | None, probabilities: dict[str, float] | None, status: Status, risk: float | None
) -> Screening:
    gate = Gate("usable") if code else Gate.refused("poor_quality", "blur", {})
    model = {"name": "m", "version": "1"}
    return Screening(label_set, code, probabilities, status, risk, None, gate, None, None, model, {})


def answered(path: str, risk: float | None, status: Status, code: str = "nv") -> Entry:
    probabilities = {each: 0.0 for each in ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")} | {code: 0.7}
    return Entry(path, screening("ham10000", code, probabilities, status, risk), None, None)


def test_by_risk_the_gravest_come_first_and_what_has_no_answer_last(tmp_path: Path) -> None:
    refused = screening("ham10000", None, None, Status.REFUSED, None)
    entries = [
        Entry("unread", None, "The file is damaged.", None),
        Entry("refused", refused, None, None),
        answered("low", 0.01, Status.BENIGN),
        answered("high", 0.9, Status.MALIGNANT, "mel"),
        answered("middle", 0.2, Status.UNCERTAIN),
    ]
    for order, expected in (
        ("risk", ["high", "middle", "low", "refused", "unread"]),
        ("given", [entry.path for entry in entries]),
    ):
        write_contact_sheet(tmp_path / "sheet.html", entries, order, load_taxonomy("ham10000"), "m@1")
        page = Page((tmp_path / "sheet.html").read_text())
        assert page.of("path") == expected
    assert "malignant risk 90.0\xa0%" in page.of("soft")
    assert {"blur", "The file is damaged."} <= set(page.of("name"))
    counts = re.findall(
        r'<li><span class="status [a-z ]+">([a-z ]+)</span> (\d+)</li>', (tmp_path / "sheet.html").read_text()
    )
    assert dict(counts) == {"malignant": "1", "uncertain": "1", "benign": "1", "refused": "1", "not read": "1"}


def test_without_malignant_classes_the_status_decides(tmp_path: Path) -> None:
    entries = [
        Entry(path, screening("msid", code, {code: certainty}, status, None), None, None)
        for path, code, certainty, status in (
            ("normal", "normal", 0.9, Status.HEALTHY),
            ("perhaps", "measles", 0.5, Status.INFECTIOUS),
            ("surely", "monkeypox", 0.99, Status.INFECTIOUS),
        )
    ]
    write_contact_sheet(tmp_path / "sheet.html", entries, "risk", load_taxonomy("msid"), "m@1")
    page = Page((tmp_path / "sheet.html").read_text())
    assert page.of("path") == ["surely", "perhaps", "normal"]
    assert not [text for text in page.of("soft") if "risk" in text]


def test_a_thousand_pictures_make_a_page_that_can_be_opened(
    tmp_path: Path, lesion: Callable[..., NDArray[np.uint8]]
) -> None:
    picture = small_picture(lesion("mel"))
    entries = [replace(answered(str(n), n / 1000, Status.BENIGN), picture=picture) for n in range(1000)]
    write_contact_sheet(tmp_path / "sheet.html", entries, "risk", load_taxonomy("ham10000"), "m@1")
    text = (tmp_path / "sheet.html").read_text()
    assert text.count('loading="lazy"') == 1000
    assert len(text) < 15e6
    assert Page(text).of("path")[0] == "999"


def test_small_pictures_are_small() -> None:
    flat = np.full((900, 1200, 3), 128, np.uint8)
    assert Image.open(io.BytesIO(small_picture(flat))).size == (SIDE, SIDE * 3 // 4)


def test_a_sheet_that_cannot_be_written_is_one_sentence(app: Flask, photos: Path) -> None:
    file = photos / "nowhere" / "sheet.html"
    result = app.test_cli_runner().invoke(predict_command, [str(photos / "0.jpg"), "--contact-sheet", str(file)])
    assert result.exit_code == 1
    assert f"Cannot write {file}: " in result.stderr
    assert "Traceback" not in result.output
