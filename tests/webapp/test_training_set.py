"""What reviewers agree on, for training: only with consent, kept in groups, and never in what is frozen."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select, update

from ml.data.manifest import Dataset, load_dataset
from ml.data.reviewed import with_reviewed
from ml.data.sources import read_source
from ml.errors import DatasetError
from ml.files import write_bytes
from ml.labels import load_taxonomy
from tests.webapp.api import send as send_to_api
from tests.webapp.forms import form_token
from webapp import clock
from webapp.cli.reviewed import export_reviewed
from webapp.cli.train import reviewed_folder
from webapp.config import Config
from webapp.extensions import db
from webapp.models.audit import AuditEntry
from webapp.models.review import ReviewStatus
from webapp.models.screening import ScreeningRow
from webapp.models.user import User
from webapp.reviews.training_set import Wanted, training_set
from webapp.reviews.writing import Draft, add_review
from webapp.screening.erasing import erase

Rows = Callable[[], Sequence[ScreeningRow]]
Say = Callable[..., None]


@pytest.fixture
def ben(add_user: Callable[..., User]) -> User:
    return add_user("ben")


@pytest.fixture
def say(app: Flask) -> Say:
    """Adds a review: `say(row, user, "mel", blind=True)`."""

    def add(row: ScreeningRow, user: User, label: str, *, seen: int = 0, blind: bool = False) -> None:
        with app.app_context():
            draft = Draft(ReviewStatus.SUBMITTED, label, "a note", blind=blind)
            add_review(row.id, db.session.merge(user), draft, seen=seen)

    return add


@pytest.fixture
def taken(client: FlaskClient, photo: Callable[..., bytes], rows: Rows) -> Callable[..., ScreeningRow]:
    """Uploads a drawn lesion, with consent to training unless told otherwise, and returns its row."""

    def upload(code: str, seed: int, *, training: str | None = "true") -> ScreeningRow:
        assert send_to_api(client, photo(code, seed), training_consent=training).status_code == 201
        return rows()[-1]

    return upload


def names(app: Flask, **wanted: object) -> list[str]:
    with app.app_context():
        return [name for name, _ in training_set(Wanted(**wanted)) if name.endswith(".jpg")]  # type: ignore[arg-type]


def test_only_what_is_agreed_on_and_allowed(
    app: Flask, taken: Callable[..., ScreeningRow], say: Say, ben: User, add_user: Callable[..., User]
) -> None:
    cara = add_user("cara")
    agreed, alone, disputed, other, refused, unreviewed = (
        taken("mel", 1), taken("nv", 2), taken("bkl", 3), taken("df", 4), taken("nv", 5, training=None), taken("nv", 6)
    )  # fmt: skip
    say(agreed, ben, "mel", blind=True)
    say(agreed, cara, "mel", seen=1)
    say(alone, ben, "nv", blind=True)
    say(disputed, ben, "bkl")
    say(disputed, cara, "nv", seen=4)
    say(other, ben, "_other")
    say(refused, ben, "nv")
    assert unreviewed.review_status == "pending"
    first, second = f"ham10000/mel/screening-{agreed.id}-1.jpg", f"ham10000/nv/screening-{alone.id}-1.jpg"
    assert names(app) == [first, second]
    assert names(app, min_reviewers=2) == [first]
    assert names(app, blind_only=True) == [first, second]
    assert names(app, blind_only=True, min_reviewers=2) == []
    assert names(app, label_set="msid") == []


@pytest.fixture
def exported(app: Flask, taken: Callable[..., ScreeningRow], say: Say, ben: User, tmp_path: Path) -> Path:
    """The export of two reviewed cases: a melanoma and a naevus."""
    say(taken("mel", 101), ben, "mel")
    say(taken("nv", 102), ben, "nv")
    folder = tmp_path / "export"
    result = app.test_cli_runner().invoke(args=["data", "export-reviewed", str(folder)])
    assert result.exit_code == 0, result.output
    assert "2 photos of 2 screenings" in result.output
    again = app.test_cli_runner().invoke(args=["data", "export-reviewed", str(folder)])
    assert again.exit_code == 1
    assert "not empty" in again.output
    return folder


def test_the_folder_is_a_source_of_flask_data_prepare(exported: Path) -> None:
    source = read_source(exported / "ham10000", "folders", load_taxonomy("ham10000"))
    assert sorted(image.label for image in source.images) == ["mel", "nv"]
    assert all(image.lesion_id.startswith("screening-") for image in source.images)
    assert {image.source for image in source.images} == {"reviewed"}
    for place in ("mel", "nv"):  # under other names they are known by the card above them
        file = next((exported / "ham10000" / place).iterdir())
        file.rename(file.with_name(f"{place}.jpg"))
    (exported / "ham10000" / "manifest.csv").unlink()  # which names none of them any more
    renamed = read_source(exported / "ham10000", "folders", load_taxonomy("ham10000"))
    assert {image.source for image in renamed.images} == {"reviewed"}
    card = json.loads((exported / "reviewed.json").read_text())
    assert card["images_per_class"] == {"ham10000": {"mel": 1, "nv": 1}}
    for path in exported.rglob("*.jpg"):
        assert not Image.open(path).getexif()
    assert "a note" not in "".join(path.read_text() for path in exported.rglob("*.[cjm][sd]*"))


def test_what_no_table_of_an_export_names_is_passed_over(exported: Path) -> None:
    """It was taken back while the export was on its way, too late to be kept out of it."""
    home = exported / "ham10000"
    table = (home / "manifest.csv").read_text().splitlines(keepends=True)
    (home / "manifest.csv").write_text("".join(line for line in table if "mel" not in line.split(",")))
    source = read_source(home, "folders", load_taxonomy("ham10000"))
    assert [image.label for image in source.images] == ["nv"]
    assert [(one.item.split("/")[0], one.reason) for one in source.left_out] == [
        ("mel", "not in the table of the export")
    ]
    (home / "manifest.csv").write_text(table[0])  # all of it was
    with pytest.raises(DatasetError, match="not in the table of the export"):
        read_source(home, "folders", load_taxonomy("ham10000"))


def test_an_admin_streams_the_same_as_a_zip(exported: Path, admin: FlaskClient) -> None:
    assert "2 screenings are reviewed" in admin.get("/admin/training-set").text
    fields = {"csrf_token": form_token(admin, "/"), "min_reviewers": "1"}
    answer = admin.post("/admin/training-set.zip", data=fields)
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        files = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
        assert set(archive.namelist()) == files


def test_the_page_counts_what_the_filters_of_the_history_leave(exported: Path, admin: FlaskClient) -> None:
    link = "/admin/training-set?filters=reviewed%3Dnv"
    assert f'href="{link}"' in admin.get("/admin/history?reviewed=nv").text
    page = admin.get(link).text
    assert "1 screening is reviewed" in page
    assert "of 1 of them the person allows training" in page
    fields = {"csrf_token": form_token(admin, "/"), "filters": "reviewed=nv"}
    with zipfile.ZipFile(io.BytesIO(admin.post("/admin/training-set.zip", data=fields).data)) as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".jpg")]
    assert [name.split("/")[1] for name in pictures] == ["nv"]
    for nothing in ("review=disputed", "status=deleted", "reviewed=_other"):
        assert "nothing to export" in admin.get("/admin/training-set", query_string={"filters": nothing}).text


def test_what_was_searched_for_stays_out_of_log_and_card(
    exported: Path, admin: FlaskClient, app: Flask, tmp_path: Path
) -> None:
    """It may be the address of a result, or words of a note."""
    secret, words = "s" * 43, "scar on the left"
    for number, query in enumerate((f"q={secret}&channel=api&password=x", f"q={words}")):
        fields = {"csrf_token": form_token(admin, "/"), "filters": query}
        assert admin.post("/admin/training-set.zip", data=fields).status_code == 200
        arguments = ["data", "export-reviewed", str(tmp_path / f"searched-{number}"), "--filters", query]
        assert app.test_cli_runner().invoke(args=arguments).exit_code == 0
    folder = tmp_path / "searched-0"
    card = json.loads((folder / "reviewed.json").read_text())
    assert (card["filters"], card["searched"]) == ("channel=api", True)
    assert "Filters: channel=api; and only what a search found." in (folder / "README.md").read_text()
    with app.app_context():
        told = list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == "export.training_set")))
        assert [entry.details["searched"] for entry in told] == [False, True, True, True, True]
        assert told[1].details["filters"] == {"channel": "api"}
        everything = " ".join(str(entry.details) for entry in told)
    everything += "".join(path.read_text() for path in tmp_path.glob("searched-*/*.*"))
    assert not [found for found in (secret, words, "password") if found in everything]


def test_an_export_that_is_cut_short_is_in_the_log(
    app: Flask, taken: Callable[..., ScreeningRow], say: Say, ben: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(taken("mel", 1), ben, "mel")

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("webapp.cli.reviewed.write_bytes", full)
    result = app.test_cli_runner().invoke(args=["data", "export-reviewed", str(tmp_path / "export")])
    assert "No space left" in result.output
    with app.app_context():
        assert "export.training_set" in list(db.session.scalars(select(AuditEntry.action)))


def test_added_to_the_training_split_alone(exported: Path, drawn_data: Path) -> None:
    dataset, taxonomy = load_dataset(drawn_data), load_taxonomy("ham10000")
    both = with_reviewed(dataset, exported, taxonomy)
    assert both.summary["reviewed"] | {"images_per_class": {}} == {
        "images": 2, "lesions": 2, "images_per_class": {}, "left_out": {},
    }  # fmt: skip
    assert len(both.split("train")) == len(dataset.split("train")) + 2
    for split in ("val", "test"):
        assert both.split(split) == dataset.split(split)
    assert both.fingerprint()["reviewed"]["images"] == 2


@pytest.mark.parametrize("split", ["val", "test", "promotion"])
@pytest.mark.parametrize("how", ["same file", "same upload", "near-duplicate"])
def test_what_is_frozen_stays_free_of_it(exported: Path, drawn_data: Path, split: str, how: str) -> None:
    mole = next((exported / "ham10000" / "nv").iterdir())
    dataset, taxonomy = load_dataset(drawn_data), load_taxonomy("ham10000")
    frozen = _frozen(dataset, exported.parent / "frozen.jpg", mole, split, how)
    table = exported / "ham10000" / "manifest.csv"
    if how == "same upload":
        row = next(line for line in table.read_text().splitlines() if mole.name in line).split(",")
        frozen = replace(frozen, records=(*frozen.records[:-1], replace(frozen.records[-1], sha256=row[6])))
    told = with_reviewed(frozen, exported, taxonomy).summary["reviewed"]
    assert told["images"] == 1
    assert told["images_per_class"]["nv"] == 0
    (reason,) = told["left_out"]
    assert split in reason
    assert ("near-duplicate" in reason) is (how == "near-duplicate")


def _frozen(dataset: Dataset, place: Path, picture: Path, split: str, how: str) -> Dataset:
    """The data set with one more record, in a frozen split: the picture itself, or one that is much like it."""
    if how == "near-duplicate":
        with Image.open(picture) as image:
            image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(place, quality=70)
    else:
        shutil.copy(picture, place)
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    if how == "same upload":
        Image.new("RGB", (60, 40), "teal").save(place)
    record = replace(dataset.records[0], path=place, split=split, sha256=digest, lesion_id="frozen", group="frozen")
    return replace(dataset, records=(*dataset.records, record))


def test_an_export_without_the_label_set_says_so(tmp_path: Path, drawn_data: Path) -> None:
    with pytest.raises(DatasetError, match="no reviewed cases"):
        with_reviewed(load_dataset(drawn_data), tmp_path, load_taxonomy("ham10000"))


def test_training_with_nothing_reviewed_ends_before_it_begins(app: Flask, drawn_data: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(drawn_data), "--include-reviewed", "--run", str(tmp_path / "run")]
    result = app.test_cli_runner().invoke(args=arguments, env={"GLIBC_TUNABLES": ""})
    assert result.exit_code == 1
    assert "no reviewed cases to include" in result.output


@pytest.mark.parametrize("how", ["deleted", "consent taken back"])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_what_is_taken_back_during_an_export_is_not_left_in_it(
    app: Flask, taken: Callable[..., ScreeningRow], say: Say, ben: User, how: str, when: str
) -> None:
    first, second = taken("mel", 101), taken("nv", 102)
    say(first, ben, "mel")
    say(second, ben, "nv")
    gone: list[str] = []
    files: dict[str, bytes] = {}
    after = f"screening-{first.id if when == 'at once' else second.id}-1.jpg"
    with app.app_context():
        for name, content in training_set(Wanted(), gone.append):
            files[name] = content
            if name.endswith(after):
                with db.engine.begin() as another:
                    values = {"deleted_at": clock.now()} if how == "deleted" else {"training_consent_at": None}
                    another.execute(update(ScreeningRow).where(ScreeningRow.id == first.id).values(**values))
    assert gone == [f"ham10000/mel/screening-{first.id}-1.jpg"]
    assert "mel" not in files["ham10000/manifest.csv"].decode()
    card = json.loads(files["reviewed.json"])
    assert (card["lesions"], card["images"]) == (1, 1)
    assert card["left_out"] == {"lesions": {"deleted, or consent taken back, during the export": 1}, "photos": {}}


def test_the_folder_of_an_export_loses_it_too(
    app: Flask, taken: Callable[..., ScreeningRow], say: Say, ben: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = taken("mel", 101)
    say(first, ben, "mel")

    def slow(path: Path, content: bytes) -> None:
        write_bytes(path, content)
        with db.engine.begin() as another:
            another.execute(update(ScreeningRow).values(deleted_at=clock.now()))

    monkeypatch.setattr("webapp.cli.reviewed.write_bytes", slow)
    result = app.test_cli_runner().invoke(args=["data", "export-reviewed", str(tmp_path / "export")])
    assert result.exit_code == 0, result.output
    assert not list((tmp_path / "export").rglob("*.jpg"))


def test_a_run_of_the_command_line_keeps_its_copies_where_a_deletion_finds_them(
    app: Flask, taken: Callable[..., ScreeningRow], say: Say, ben: User, tmp_path: Path, config: Config
) -> None:
    row = taken("mel", 101)
    say(row, ben, "mel")
    with app.app_context():
        assert reviewed_folder(config.runs / "7") == config.runs.resolve() / "7" / "reviewed"
        folder = reviewed_folder(tmp_path / "elsewhere" / "mine")
        export_reviewed(folder, Wanted())
        assert list(folder.rglob("screening-*.jpg"))
        erase(row.id)
    assert not folder.exists()
