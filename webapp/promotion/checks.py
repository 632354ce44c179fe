"""Comparisons of two models on a promotion set, made once and kept. Reached by the command line alone: it takes what
evaluation takes, and minutes."""

from collections.abc import Callable
from typing import Any

from ml.challenge import challenge
from webapp import audit, clock
from webapp.database import write_transaction
from webapp.models.promotion import PromotionCheck
from webapp.promotion.decisions import RULES, Pair, kept_check


def checked(pair: Pair, margin: float, by: str, told: Callable[[int, int], None]) -> dict[str, Any]:
    """The numbers of a comparison, from the last time where it was made already. `told`: see ml.challenge.

    Raises DatasetError, BundleError or Refused where it cannot be made.
    """
    kept = kept_check(pair, margin)
    if kept is not None:
        return kept.numbers
    champion, challenger, set_digest = pair.digests
    numbers = challenge(pair.champion_bundle, pair.challenger_bundle, pair.promotion_set, margin, told=told)
    with write_transaction() as session:
        session.add(
            PromotionCheck(
                label_set=pair.label_set,
                champion=champion,
                challenger=challenger,
                set_digest=set_digest,
                rules=RULES,
                champion_name=pair.champion,
                challenger_name=pair.challenger,
                margin=margin,
                numbers=numbers,
                by=by,
                at=clock.now(),
            )
        )
        audit.record_as(
            by,
            "model.check",
            f"model:{pair.challenger}",
            label_set=pair.label_set,
            against=pair.champion,
            passes=bool(numbers["passes"]),
            reasons=list(numbers["reasons"]),
        )
    return numbers
