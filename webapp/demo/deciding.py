"""The demonstration's runs, comparisons and decisions about its two models, told as if made over its months.

In the end the model that `MODEL` names answers again, so that new photos get its answers and not those of a tiny one.
"""

import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ml.bundle import load_bundle
from ml.run_folder import HISTORY, read_history
from webapp.config import Config
from webapp.demo.bundles import ARCHITECTURE, IMAGE_SIZE, LABEL_SET, VERSION, Compared, Trained
from webapp.demo.history import DAYS, SHADOW_DAYS, SWITCHED_DAYS
from webapp.models.promotion import Action, Promotion, PromotionCheck
from webapp.models.training_run import RunState, TrainingRun
from webapp.promotion.decisions import RULES, bundle_digest
from webapp.training.commands import run_folder

REFUSED_DAYS = 30
"""So many days ago the champion of before was proposed again, and refused."""
DATA_NAME = "drawn lesions"
REASON = "Demonstration: promoted against the numbers, so that there is a promotion to be seen."


def training_runs(trained: Sequence[Trained], by: str, now: datetime) -> list[TrainingRun]:
    """One run a model, done some days before the model is first seen, with its real seconds and metrics."""
    found = []
    for one, back in zip(trained, (DAYS + 2, SHADOW_DAYS + 2), strict=True):
        queued = now - timedelta(days=back)
        rows = read_history(one.folder)
        found.append(
            TrainingRun(
                state=RunState.DONE,
                label_set=LABEL_SET,
                name=one.recipe.name,
                options={
                    "architecture": ARCHITECTURE, "weights": "none", "image_size": IMAGE_SIZE,
                    "epochs": one.recipe.epochs, "images": one.images, "data_name": DATA_NAME,
                },
                requested_by=by,
                created_at=queued,
                started_at=queued + timedelta(seconds=4),
                finished_at=queued + timedelta(seconds=4 + one.seconds),
                attempts=1,
                epoch=len(rows),
                epochs=one.recipe.epochs,
                metrics=rows[-1] if rows else None,
                bundle=one.reference,
            )
        )  # fmt: skip
    return found


def keep_curves(runs: Sequence[TrainingRun], trained: Sequence[Trained], config: Config) -> None:
    """Give each run the folder that its page reads the curves from."""
    for run, one in zip(runs, trained, strict=True):
        folder = run_folder(config, run.id)
        folder.mkdir(parents=True)
        shutil.copy(one.folder / HISTORY, folder / HISTORY)


def decisions(compared: Compared, trained: Sequence[Trained], by: str, now: datetime) -> list[Promotion]:
    """The challenger in the shadow, promoted; the former champion refused; and a rollback today."""
    champion, challenger = (one.recipe.name for one in trained)
    passes = bool(compared.forward["passes"])
    told: list[tuple[float, Action, str | None, dict[str, Any]]] = [
        (SHADOW_DAYS, Action.SHADOW, challenger, {}),
        (SWITCHED_DAYS, Action.PROMOTE, challenger,
         {"number": 1, "numbers": compared.forward, "reason": None if passes else REASON}),
        *([] if compared.back["passes"] else [(REFUSED_DAYS, Action.REFUSE, champion, {"numbers": compared.back})]),
        (0, Action.ROLLBACK, None, {"number": 2}),
    ]  # fmt: skip
    return [
        Promotion(
            label_set=LABEL_SET,
            action=action,
            name=name,
            version=VERSION if name else None,
            by=by,
            at=now - timedelta(days=back),
            **more,
        )
        for back, action, name, more in told
    ]


def checks(compared: Compared, trained: Sequence[Trained], by: str, now: datetime) -> list[PromotionCheck]:
    """The two comparisons, as they are kept."""
    digests = {one.reference: bundle_digest(load_bundle(one.folder)) for one in trained}
    before, after = digests
    return [
        PromotionCheck(
            label_set=LABEL_SET,
            champion=digests[champion],
            challenger=digests[challenger],
            set_digest=compared.set_digest,
            rules=RULES,
            champion_name=champion,
            challenger_name=challenger,
            margin=numbers["margin"],
            numbers=numbers,
            by=by,
            at=now - timedelta(days=back, minutes=5),
        )
        for champion, challenger, numbers, back in (
            (before, after, compared.forward, SWITCHED_DAYS),
            (after, before, compared.back, REFUSED_DAYS),
        )
    ]
