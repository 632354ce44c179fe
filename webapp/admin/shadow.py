"""Where the model in the shadow differs from the one that answers."""

from dataclasses import dataclass
from typing import Any

from flask import abort, current_app, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from ml.labels import Status, find_taxonomy
from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.extensions import db
from webapp.inference import get_models
from webapp.models.screening import ScreeningRow, State
from webapp.models.second_answer import SecondAnswer
from webapp.models.user import Role
from webapp.promotion.catalogue import find_entry
from webapp.promotion.shadow import PURPOSE

NEWEST = 5000
"""Second answers that are looked at: the newest."""
LISTED = 50
TO_BE_LOOKED_AT = (Status.MALIGNANT, Status.UNCERTAIN, Status.INFECTIOUS)


@dataclass(frozen=True)
class Case:
    """One screening with both answers: statuses, named classes, and risks (None where there is none)."""

    screening_id: int
    statuses: tuple[str, str]
    predicted: tuple[str | None, str | None]
    risks: tuple[float | None, float | None]

    @property
    def difference(self) -> float | None:
        """Risk of the challenger minus that of the model that answered."""
        before, after = self.risks
        return None if before is None or after is None else after - before

    @property
    def weight(self) -> float:
        """How far both are apart: the difference of risk, and more where only one of them answers."""
        if self.difference is not None:
            return abs(self.difference)
        return 0.0 if self.statuses[0] == self.statuses[1] else 1.0


@dataclass(frozen=True)
class Differences:
    """What the answers in the shadow amount to.

    `table` counts screenings by whether each model tells to have it looked at (answering model first); `agreement` is
    the share given the same status, with its 95 % interval; `left_out` how many screenings have no second answer.
    """

    cases: int
    table: dict[tuple[bool, bool], int]
    agreement: float
    interval: tuple[float, float]
    listed: list[Case]
    left_out: int | None


@blueprint.get("/models/<name>/<version>/shadow")
@requires(Role.VIEWER)
def shadow(name: str, version: str) -> ResponseReturnValue:
    """What this model would have answered, beside what people were told."""
    entry = find_entry(current_app.config["LENS"], name, version)
    if entry is None:
        abort(404)
    return render_template(
        "admin/shadow.html",
        entry=entry,
        taxonomy=find_taxonomy(entry.label_set) if entry.label_set else None,
        found=differences(entry.reference),
        newest=NEWEST,
    )


def differences(reference: str) -> Differences | None:
    """Both models' answers to the newest screenings that the one in the shadow has answered; None without any."""
    from ml.metrics import wilson_interval  # numerical: the web application must start without

    name, _at, version = reference.rpartition("@")
    rows = db.session.execute(
        select(
            ScreeningRow.id, ScreeningRow.status, ScreeningRow.predicted, ScreeningRow.malignant_risk,
            SecondAnswer.answer,
        )
        .join(SecondAnswer, SecondAnswer.screening_id == ScreeningRow.id)
        .where(
            SecondAnswer.purpose == PURPOSE,
            SecondAnswer.model_name == name,
            SecondAnswer.model_version == version,
            ScreeningRow.deleted_at.is_(None),
        )
        .order_by(SecondAnswer.id.desc())
        .limit(NEWEST)
    ).all()  # fmt: skip
    cases = [_case(*row) for row in rows]
    if not cases:
        return None
    table = {(before, after): 0 for before in (True, False) for after in (True, False)}
    for case in cases:
        before, after = (status in TO_BE_LOOKED_AT for status in case.statuses)
        table[before, after] += 1
    same = sum(case.statuses[0] == case.statuses[1] for case in cases)
    apart = sorted((case for case in cases if case.weight > 0), key=lambda case: -case.weight)
    return Differences(
        cases=len(cases),
        table=table,
        agreement=same / len(cases),
        interval=wilson_interval(same, len(cases)),
        listed=apart[:LISTED],
        left_out=_left_out(reference),
    )


def _case(screening_id: int, status: str, predicted: str | None, risk: float | None, answer: dict[str, Any]) -> Case:
    return Case(
        screening_id, (status, answer["status"]), (predicted, answer["predicted"]), (risk, answer["malignant_risk"])
    )


def _left_out(reference: str) -> int | None:
    """Screenings answered since the model went into the shadow that it has not answered; None where it is not there
    any more."""
    for label_set, standing in get_models().standings().items():
        if standing.shadow != reference or standing.shadow_since is None:
            continue
        name, _at, version = reference.rpartition("@")
        answered = db.session.scalar(
            select(func.count())
            .select_from(ScreeningRow)
            .where(
                ScreeningRow.created_at >= standing.shadow_since,
                ScreeningRow.label_set == label_set,
                ScreeningRow.state == State.DONE,
                ScreeningRow.deleted_at.is_(None),
            )
        )
        scored = db.session.scalar(
            select(func.count())
            .select_from(SecondAnswer)
            .where(
                SecondAnswer.purpose == PURPOSE,
                SecondAnswer.model_name == name,
                SecondAnswer.model_version == version,
                SecondAnswer.created_at >= standing.shadow_since,
            )
        )
        return max(0, (answered or 0) - (scored or 0))
    return None
