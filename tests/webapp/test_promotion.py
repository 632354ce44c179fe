"""Which model answers: refusal, promotion, rollback, two decisions at once, and what happens when files are damaged."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import select, text

from ml.bundle import LEARNT, WEIGHTS, Bundle
from ml.provenance import learnt_from
from tests.promotion import MARGIN, install, with_three_models
from webapp import clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.inference import get_models, get_screener
from webapp.models.audit import AuditEntry
from webapp.models.promotion import Promotion, PromotionCheck
from webapp.promotion import decisions
from webapp.promotion.decisions import Refused, decide, make_pair


@pytest.fixture
def config(
    config: Config, tiny_bundle: Bundle, weak_bundle: Bundle, promotion_set: Path, believable: dict[str, Any]
) -> Config:
    return with_three_models(config, tiny_bundle, weak_bundle, promotion_set, believable)


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


def answering(app: Flask) -> str:
    with app.app_context():
        card = get_screener().card
        return f"{card.name}@{card.version}"


def rows(app: Flask) -> list[Promotion]:
    with app.app_context():
        return list(db.session.scalars(select(Promotion).order_by(Promotion.id)))


def actions(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def test_a_worse_model_is_refused_with_the_numbers(app: Flask, runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["models", "promote", "weak"])
    assert result.exit_code == 1, result.output
    assert "Not promoted. good@1 goes on answering." in result.output
    assert "may be lower: the difference is -" in result.output
    (row,) = rows(app)
    assert (row.action, row.number, row.name, row.by) == ("refuse", None, "weak", "cli")
    assert row.numbers is not None
    assert "sensitivity_lower" in row.numbers["reasons"]
    sensitivity = row.numbers["figures"]["sensitivity"]
    assert sensitivity["challenger"] < sensitivity["champion"] - MARGIN
    assert sensitivity["lost"] > sensitivity["gained"]
    assert answering(app) == "good@1"
    assert actions(app) == ["model.check", "model.refuse"]


def test_a_better_model_is_promoted_and_taken_back(
    config: Config, make_app: Callable[[Config], Flask], weak_bundle: Bundle
) -> None:
    app = make_app(replace(config, model="weak@1"))
    runner, before = app.test_cli_runner(), answering(app)
    assert before == "weak@1"
    result = runner.invoke(args=["models", "promote", "good"])
    assert result.exit_code == 0, result.output
    assert "good@1 answers 'ham10000' now, instead of weak@1." in result.output
    assert answering(app) == "good@1"
    listed = runner.invoke(args=["models", "list"]).output
    assert "good@1\tanswers" in listed
    again = runner.invoke(args=["models", "promote", "good"])
    assert "answers already" in again.output
    other = make_app(replace(config, model="weak@1"))
    assert answering(other) == "good@1", "a process that starts later follows the promotions, not MODEL"
    assert "weak@1 answers" in runner.invoke(args=["models", "rollback"]).output
    assert (answering(app), answering(other)) == ("weak@1", "weak@1")
    assert "Nothing to take back" in runner.invoke(args=["models", "rollback"]).output
    assert actions(app) == ["model.check", "model.promote", "model.rollback"]
    assert [(row.action, row.number) for row in rows(app)] == [("promote", 1), ("rollback", 2)]
    assert answering(app) == "weak@1"
    assert weak_bundle.card.thresholds is not None


def test_a_comparison_is_made_once(app: Flask, runner: FlaskCliRunner, config: Config) -> None:
    runner.invoke(args=["models", "check", "twin"])
    with app.app_context():
        first = db.session.scalars(select(PromotionCheck)).one()
        assert first.numbers["passes"], first.numbers
    assert runner.invoke(args=["models", "check", "twin"]).exit_code == 0
    assert runner.invoke(args=["models", "promote", "twin"]).exit_code == 0
    with app.app_context():
        assert db.session.scalars(select(PromotionCheck)).one().id == first.id
    assert rows(app)[0].numbers == first.numbers
    assert actions(app) == ["model.check", "model.promote"]


def test_a_comparison_by_other_rules_counts_no_more(
    app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        pair = make_pair(config, "twin")
        champion, challenger, set_digest = pair.digests
        with write_transaction() as session:
            session.add(
                PromotionCheck(
                    label_set="ham10000", champion=champion, challenger=challenger, set_digest=set_digest,
                    rules=decisions.RULES, champion_name="good@1", challenger_name="twin@1", margin=MARGIN,
                    numbers={}, by="anna", at=clock.now(),
                )
            )  # fmt: skip
        assert decisions.kept_check(pair, MARGIN) is not None
        monkeypatch.setattr(decisions, "RULES", "changed")
        assert decisions.kept_check(pair, MARGIN) is None


def test_a_folder_that_was_put_in_the_place_of_the_promoted_one_does_not_answer(
    config: Config, make_app: Callable[[Config], Flask], tiny_bundle: Bundle
) -> None:
    app = make_app(config)
    with app.app_context():
        assert decide(make_pair(config, "twin"), {"passes": True, "reasons": [], "notes": []}, "anna")
    assert answering(app) == "twin@1"
    shutil.rmtree(config.models / "twin")
    install(tiny_bundle, config.models, "twin", thresholds={"malignant": 1.0, "uncertain": 0.99})
    assert answering(app) == "twin@1", "the one in memory is still what was promoted"
    later = make_app(config)
    assert answering(later) == "good@1"
    with later.app_context():
        (problem,) = get_models().problems()
        assert "was replaced by another of the same name and version" in problem
    with make_app(config).app_context(), pytest.raises(Refused, match="twin@1 was replaced by another model"):
        make_pair(config, "weak")


def test_broken_calibration_is_refused(
    app: Flask, runner: FlaskCliRunner, config: Config, tiny_bundle: Bundle, believable: dict[str, Any]
) -> None:
    calibration = believable["calibration"]
    broken = calibration | {"temperature": 8 * calibration["temperature"]}
    install(tiny_bundle, config.models, "unsure", **(believable | {"calibration": broken}))
    result = runner.invoke(args=["models", "promote", "unsure"])
    assert result.exit_code == 1
    assert "Its percentages cannot be believed" in result.output
    assert answering(app) == "good@1"


def test_models_that_cannot_be_compared_are_refused(
    app: Flask, runner: FlaskCliRunner, config: Config, tiny_bundle: Bundle, promotion_set: Path, rash_bundle: Bundle
) -> None:
    from ml.data.manifest import load_dataset

    met = install(tiny_bundle, config.models, "met")
    digests = [record.sha256[:16] for record in load_dataset(promotion_set).records[:3]]
    (met / LEARNT).write_text("\n".join([*sorted(learnt_from(tiny_bundle) or ()), *digests]) + "\n")
    sums = (met / "SHA256SUMS").read_text().splitlines()
    from ml.files import sha256_file

    fresh = [f"{sha256_file(met / LEARNT)}  {LEARNT}" if line.endswith(LEARNT) else line for line in sums]
    (met / "SHA256SUMS").write_text("\n".join(fresh) + "\n")
    refused = runner.invoke(args=["models", "promote", "met"])
    assert "The challenger learnt from some of these photos" in refused.output
    install(rash_bundle, config.models, "rash")
    assert "No model answers for label set 'msid'" in runner.invoke(args=["models", "promote", "rash"]).output
    assert "There is no model 'gone'" in runner.invoke(args=["models", "promote", "gone"]).output
    path = str(tiny_bundle.path)
    assert "is not in the models folder" in runner.invoke(args=["models", "promote", path]).output
    assert answering(app) == "good@1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"accepts": "dermatoscopic"}, {"accepts": "skin"}),
        ({"accepts": "dermatoscopic"}, {}),
        ({"accepts": "skin", "measured": {"not_skin": {"not_skin": 3}}}, {"accepts": "skin", "measured": {}}),
    ],
)
def test_a_model_that_answers_what_the_other_refuses_is_refused(
    app: Flask,
    runner: FlaskCliRunner,
    config: Config,
    tiny_bundle: Bundle,
    believable: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    """The promotion set cannot tell: it has no ordinary photos."""
    shutil.rmtree(config.models / "good")
    limits = {"limits": tiny_bundle.card.gate["limits"]}
    install(tiny_bundle, config.models, "good", **(believable | {"gate": before | limits}))
    install(tiny_bundle, config.models, "open", **(believable | {"gate": after | limits}))
    result = runner.invoke(args=["models", "promote", "open"])
    assert result.exit_code == 1
    assert "It answers photos that the model in its place refuses" in result.output
    assert answering(app) == "good@1"
    assert [row.action for row in rows(app)] == ["refuse"]


def test_too_small_a_set_says_how_many_lesions_are_needed(config: Config, make_app: Callable[[Config], Flask]) -> None:
    runner = make_app(replace(config, promotion_margin=0.02)).test_cli_runner()
    result = runner.invoke(args=["models", "promote", "twin"])
    assert result.exit_code == 1
    assert "Too few to tell" in result.output
    assert "at least 183 are needed" in result.output
    bare = make_app(replace(config, promotion_data="", instance=config.instance)).test_cli_runner()
    assert (
        "There is no promotion set for label set 'ham10000'" in bare.invoke(args=["models", "promote", "twin"]).output
    )


def test_force_needs_a_reason_and_is_recorded(app: Flask, runner: FlaskCliRunner) -> None:
    assert runner.invoke(args=["models", "promote", "weak", "--force", " "]).exit_code == 2
    assert runner.invoke(args=["models", "promote", "weak", "--force", "A drill"]).exit_code == 0
    (row,) = rows(app)
    assert (row.action, row.reason) == ("promote", "A drill")
    assert row.numbers is not None
    assert not row.numbers["passes"]
    assert answering(app) == "weak@1"


def test_of_two_promotions_at_once_one_is_told_of_the_other(app: Flask, config: Config, tiny_bundle: Bundle) -> None:
    install(tiny_bundle, config.models, "third", limits=("Another.",))
    start, outcomes = threading.Barrier(2), list[str]()
    numbers: dict[str, Any] = {"passes": True, "reasons": [], "notes": []}
    with app.app_context():
        pairs = [make_pair(config, name) for name in ("twin", "third")]

    def promote(place: int) -> None:
        with app.app_context():
            start.wait()
            try:
                decide(pairs[place], numbers, "anna")
                outcomes.append("promoted")
            except Refused as refused:
                outcomes.append(str(refused))

    threads = [threading.Thread(target=promote, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome[:8] for outcome in outcomes) == ["Another ", "promoted"]
    assert len(rows(app)) == 1
    assert answering(app) in ("twin@1", "third@1")


def test_a_promoted_model_that_is_damaged_leaves_the_one_before_answering(
    app: Flask, runner: FlaskCliRunner, client: FlaskClient, config: Config
) -> None:
    assert answering(app) == "good@1"
    assert runner.invoke(args=["models", "promote", "twin"]).exit_code == 0
    weights = config.models / "twin" / "1" / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert answering(app) == "good@1"
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json is not None
    assert "twin@1 was promoted and cannot answer, so good@1 goes on." in ready.json["promotion"]
    assert "damaged" in ready.json["promotion"]
    listed = runner.invoke(args=["models", "list"]).output
    assert "twin@1" in listed
    assert "is damaged" in listed
    weights.write_bytes(whole)
    with app.app_context():
        get_models()._failed.clear()  # as after the pause before the next attempt
    assert answering(app) == "twin@1"
    assert "promotion" not in (client.get("/readyz").json or {})


def test_without_the_database_the_last_known_model_goes_on(app: Flask, runner: FlaskCliRunner) -> None:
    runner.invoke(args=["models", "promote", "twin"])
    assert answering(app) == "twin@1"
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE promotions RENAME TO away"))
    assert answering(app) == "twin@1"
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO promotions"))
    assert answering(app) == "twin@1"


def test_a_request_finishes_with_the_model_it_began_with(app: Flask, runner: FlaskCliRunner) -> None:
    with app.app_context():
        begun = get_screener()
    runner.invoke(args=["models", "promote", "twin"])
    with app.app_context():
        assert get_screener().card.name == "twin"
    assert begun.card.name == "good"
