"""A name without a version in MODEL: it stands for the version that answered first, until another one is promoted."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from ml.bundle import WEIGHTS, Bundle
from ml.errors import BundleError
from tests.promotion import install
from webapp import clock
from webapp.config import Config, ConfigError
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.inference import get_models, get_screener
from webapp.models.audit import AuditEntry
from webapp.models.promotion import StartModel
from webapp.promotion.start import Starts


@pytest.fixture
def config(config: Config, tiny_bundle: Bundle) -> Config:
    for version in ("1", "2"):
        install(tiny_bundle, config.models, "mine", version)
    return replace(config, model="mine", promotion_data="")


def answering(app: Flask) -> str:
    with app.app_context():
        card = get_screener().card
        return f"{card.name}@{card.version}"


def damage(path: Path) -> None:
    content = (path / WEIGHTS).read_bytes()
    (path / WEIGHTS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_run_named_like_the_model_that_answers_changes_nothing(
    config: Config, make_app: Callable[[Config], Flask], tiny_bundle: Bundle, rash_bundle: Bundle
) -> None:
    app = make_app(config)
    assert answering(app) == "mine@2", "the newest, as long as nobody was answered"
    install(tiny_bundle, config.models, "mine", "3")
    install(rash_bundle, config.models, "mine", "4")
    later = make_app(config)
    assert (answering(app), answering(later)) == ("mine@2", "mine@2")
    with later.app_context():
        assert get_models().references() == {"ham10000": "mine@2"}
        row = db.session.scalars(select(StartModel)).one()
        assert (row.name, row.version, row.label_set) == ("mine", "2", "ham10000")
        entry = db.session.scalars(select(AuditEntry)).one()
        assert (entry.actor, entry.action, entry.subject) == ("start", "model.start", "model:mine@2")
    assert answering(make_app(replace(config, model="mine@3"))) == "mine@3"
    listed = later.test_cli_runner().invoke(args=["models", "list"])
    assert "'mine' in MODEL stands for mine@2 since" in listed.output


def test_another_version_answers_once_it_is_promoted_by_command(
    config: Config, app: Flask, tiny_bundle: Bundle
) -> None:
    answering(app)
    install(tiny_bundle, config.models, "mine", "3")
    runner = app.test_cli_runner()
    refused = runner.invoke(args=["models", "promote", "mine@3"])
    assert refused.exit_code == 1
    assert "There is no promotion set for label set 'ham10000'" in refused.output
    assert answering(app) == "mine@2"
    forced = runner.invoke(args=["models", "promote", "mine@3", "--force", "measured by hand"])
    assert forced.exit_code == 0, forced.output
    assert answering(app) == "mine@3"
    assert "mine@2 answers" in runner.invoke(args=["models", "rollback"]).output
    assert answering(app) == "mine@2"


def test_taking_back_leads_to_the_version_that_was_there_before(
    config: Config, app: Flask, tiny_bundle: Bundle
) -> None:
    """Also where the commands decided before anybody was answered."""
    install(tiny_bundle, config.models, "other")
    runner = app.test_cli_runner()
    assert runner.invoke(args=["models", "promote", "other", "--force", "tried"]).exit_code == 0
    install(tiny_bundle, config.models, "mine", "3")
    assert runner.invoke(args=["models", "rollback"]).exit_code == 0
    assert answering(app) == "mine@2"


def test_a_damaged_version_leaves_the_one_before_answering(
    config: Config, make_app: Callable[[Config], Flask], tiny_bundle: Bundle
) -> None:
    assert answering(make_app(config)) == "mine@2"
    install(tiny_bundle, config.models, "mine", "3")
    shutil.copytree(config.models / "mine" / "2", config.instance / "whole")
    damage(config.models / "mine" / "2")
    app = make_app(config)
    assert answering(app) == "mine@1"
    told = (app.test_client().get("/readyz").json or {})["promotion"]
    assert told.startswith("mine@2 is what MODEL stands for and cannot answer, so mine@1 goes on.")
    shutil.rmtree(config.models / "mine" / "2")
    assert answering(make_app(config)) == "mine@1"
    shutil.rmtree(config.models / "mine" / "1")
    with pytest.raises(BundleError, match="There is no model 'mine@2'"):
        answering(make_app(config))
    shutil.copytree(config.instance / "whole", config.models / "mine" / "2")
    assert answering(make_app(config)) == "mine@2"


def test_a_replaced_folder_does_not_answer(
    config: Config, make_app: Callable[[Config], Flask], tiny_bundle: Bundle
) -> None:
    assert answering(make_app(config)) == "mine@2"
    shutil.rmtree(config.models / "mine" / "2")
    install(tiny_bundle, config.models, "mine", "2", thresholds={"malignant": 1.0, "uncertain": 0.99})
    app = make_app(config)
    assert answering(app) == "mine@1"
    with app.app_context():
        assert "was replaced by another of the same name and version" in get_models().problems()[0]


def test_the_newest_being_damaged_at_first_the_one_before_answers(config: Config, app: Flask) -> None:
    damage(config.models / "mine" / "2")
    assert answering(app) == "mine@1"


def test_of_two_processes_the_first_decides(config: Config, make_app: Callable[[Config], Flask]) -> None:
    app, row = make_app(config), {"label_set": "ham10000", "version": "1"}
    with app.app_context():
        keep = get_models()._starts.keep

        def late(name: str, reference: str, label_set: str, digest: str) -> bool:
            with write_transaction() as session:
                first = get_models()._loaded.load("mine@1").digest
                session.add(StartModel(name="mine", digest=first, at=clock.now(), **row))
            get_models()._starts.keep = keep  # type: ignore[method-assign]
            return keep(name, reference, label_set, digest)

        get_models()._starts.keep = late  # type: ignore[method-assign]
        assert get_screener().card.version == "1"
        assert get_screener().card.version == "1"


def test_a_version_that_was_taken_back_goes_on_where_the_first_is_damaged(
    config: Config, app: Flask, tiny_bundle: Bundle
) -> None:
    """Its name is that of what is written down, and it is another version: asking must come to an end."""
    answering(app)
    install(tiny_bundle, config.models, "mine", "3")
    runner = app.test_cli_runner()
    assert runner.invoke(args=["models", "promote", "mine@3", "--force", "tried"]).exit_code == 0
    assert answering(app) == "mine@3"
    assert runner.invoke(args=["models", "rollback"]).exit_code == 0
    shutil.rmtree(config.models / "mine" / "2")
    assert answering(app) == "mine@3"
    with app.app_context():
        assert get_models().problems()[0].startswith("mine@2 is what MODEL stands for and cannot answer")


@pytest.mark.parametrize("unreadable", [1, 2, 4, 5])
def test_what_was_written_down_counts_as_soon_as_it_can_be_read(
    config: Config, make_app: Callable[[Config], Flask], tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch,
    unreadable: int,
) -> None:  # fmt: skip
    answering(make_app(config))
    install(tiny_bundle, config.models, "mine", "3")
    app = make_app(config)
    pinned, asked = Starts.pinned, []

    def unread(self: Starts, name: str) -> StartModel | None:
        asked.append(name)
        return None if len(asked) <= unreadable else pinned(self, name)

    monkeypatch.setattr(Starts, "pinned", unread)
    assert answering(app) == "mine@2"
    assert len(asked) > unreadable


def test_looking_which_model_answers_writes_nothing_down(
    config: Config, make_app: Callable[[Config], Flask], tiny_bundle: Bundle
) -> None:
    app = make_app(config)
    for address in ("/readyz", "/api/v1/models", "/api/v1/label-sets", "/model"):
        assert app.test_client().get(address).status_code == 200
    with app.app_context():
        assert get_models().starts() == []
        assert db.session.scalars(select(AuditEntry)).all() == []
    install(tiny_bundle, config.models, "mine", "3")
    assert answering(make_app(config)) == "mine@3"
    assert answering(app) == "mine@3"


def test_a_run_for_another_label_set_does_not_keep_the_application_from_starting(
    config: Config, make_app: Callable[[Config], Flask], rash_bundle: Bundle
) -> None:
    both = replace(config, model=f"mine,{rash_bundle.path}")
    assert answering(make_app(both)) == "mine@2"
    install(rash_bundle, config.models, "mine", "3")
    app = make_app(both)
    assert answering(app) == "mine@2"
    with app.app_context():
        assert get_models().label_sets() == ["ham10000", "msid"]
    for model in (f"mine@3,{rash_bundle.path}", "mine@1,mine@2"):
        with pytest.raises(ConfigError, match="MODEL names two models for the label set"):
            make_app(replace(config, model=model))


@pytest.mark.parametrize("by_path", [False, True])
def test_finding_the_model_for_an_answer_is_one_read_of_the_database(
    config: Config, make_app: Callable[[Config], Flask], tiny_bundle: Bundle, by_path: bool
) -> None:
    app = make_app(replace(config, model=str(tiny_bundle.path)) if by_path else config)
    for _ in range(2):  # what was written down at the first is read once more, and then known
        answering(app)
    asked: list[str] = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
        get_screener()
    (statement,) = [statement for statement in asked if statement.startswith("SELECT")]
    assert "promotions" in statement


def test_the_page_says_which_version_a_name_stands_for(admin: FlaskClient, app: Flask) -> None:
    assert 'data-start="mine@2"' not in admin.get("/admin/models").text
    answering(app)
    page = admin.get("/admin/models").text
    assert 'data-start="mine@2"' in page
    assert "stands for its version 2" in page
