"""Fill an empty database with a history of screenings, reviews and notes, as large as asked, for measuring.

    INSTANCE=/tmp/history flask db upgrade
    INSTANCE=/tmp/history python benchmarks/seed_history.py --rows 1000000

The same seed gives the same history. Photos have rows but no files; nobody can log in as the reviewers.
"""

import argparse
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert, text

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

BATCH = 20_000
END = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 730
SHARES: dict[str, dict[str, float]] = {
    "ham10000": {"nv": 0.66, "mel": 0.11, "bkl": 0.11, "bcc": 0.055, "akiec": 0.035, "vasc": 0.017, "df": 0.013},
    "msid": {"normal": 0.35, "mpox": 0.3, "chickenpox": 0.2, "measles": 0.15},
}
MALIGNANT = {"mel", "bcc", "akiec"}
MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ham10000": ("ham10000-ensemble", ("20241102T080000000Z", "20250611T080000000Z", "20260402T080000000Z")),
    "msid": ("msid-mobilenet-v2", ("20241102T080000000Z", "20260115T080000000Z")),
}
CHANNELS, LANGUAGES = {"web": 0.7, "telegram": 0.25, "api": 0.05}, {"en": 0.55, "de": 0.45}
OUTCOMES = {"answered": 0.889, "refused": 0.08, "failed": 0.001, "deleted": 0.0298, "pending": 0.0002}
VERDICTS = {"poor_quality": 0.6, "not_skin": 0.2, "not_dermatoscopic": 0.17, "not_clinical": 0.03}
REVIEWS = {"pending": 0.76, "submitted": 0.21, "discarded": 0.018, "disputed": 0.007, "draft": 0.005}
NOTES = (
    "Regular network, symmetric.", "Asymmetric, blue-white veil.", "Follow up in three months.",
    "Photo slightly out of focus, still usable.", "Agree with the model.", "Second opinion wanted.",
    "Arborising vessels.", "Milia-like cysts.", "Scale marker in the picture.", "Hair over the border.",
    "Regression structures in the lower third.", "Irregular streaks at the edge.",
)  # fmt: skip
RARE_NOTE = "Rainbow pattern under polarised light."
RARE_SHARE, NOTED_SHARE = 0.00005, 0.4
AGREEING, NO_CLASS = 0.85, 0.98
"""Below the one a reviewer says what the model says, from the other on none of the classes; between, any class."""
NONE_OF_THEM = ("_other", "_no_lesion", "_cannot_tell")
REVIEWERS = 4


def pick(rng: np.random.Generator, shares: dict[str, float], size: int) -> list[str]:
    """`size` draws from names with their shares, which are scaled to 1."""
    weights = np.array(list(shares.values()))
    return [str(name) for name in rng.choice(list(shares), size, p=weights / weights.sum())]


def probabilities(rng: np.random.Generator, classes: list[str], named: list[str]) -> np.ndarray:
    """Float [N, K] that sum to 1, the named class the largest mostly."""
    strength = np.full((len(named), len(classes)), 0.25)
    strength[np.arange(len(named)), [classes.index(code) for code in named]] = rng.choice([1.5, 4, 12], len(named))
    drawn = rng.gamma(strength) + 1e-6
    shares: np.ndarray = drawn / drawn.sum(axis=1, keepdims=True)
    return shares


def batch(rng: np.random.Generator, first: int, size: int, total: int) -> tuple[list[dict[str, Any]], ...]:
    """Rows of screenings, photos and reviews with the ids from `first`; time goes with the id."""
    from ml.screening import disagreement, uncertainty
    from webapp.models.screening import token_hash

    screenings, photos, reviews = [], [], []
    label_sets = pick(rng, {"ham10000": 0.85, "msid": 0.15}, size)
    named = {name: pick(rng, SHARES[name], size) for name in SHARES}
    answers = {name: probabilities(rng, list(SHARES[name]), named[name]) for name in SHARES}
    mixed = rng.uniform(0, 1, (size, 1)) ** 2
    looks = {
        name: (1 - mixed) * answers[name] + mixed * rng.dirichlet(np.ones(len(SHARES[name])), size) for name in SHARES
    }
    outcomes, verdicts = pick(rng, OUTCOMES, size), pick(rng, VERDICTS, size)
    channels, languages, states = pick(rng, CHANNELS, size), pick(rng, LANGUAGES, size), pick(rng, REVIEWS, size)
    numbers = rng.uniform(0, 1, (size, 6))
    for at in range(size):
        number, label_set = first + at, label_sets[at]
        progress = (number / total) ** 0.6  # there are more every month
        created = END - timedelta(days=DAYS * (1 - progress)) + timedelta(seconds=float(numbers[at, 0]))
        outcome = outcomes[at] if outcomes[at] != "pending" or progress > 0.9 else "answered"
        name, versions = MODELS[label_set]
        done = outcome in ("answered", "refused", "deleted")
        row: dict[str, Any] = {
            "id": number, "token_hash": token_hash(token(number)), "channel": channels[at], "language": languages[at],
            "state": "done" if done else outcome, "created_at": created, "consent_at": created, "attempts": 1,
            "finished_at": None if outcome == "pending" else created + timedelta(seconds=0.4),
            "deleted_at": created + timedelta(days=1) if outcome == "deleted" else None,
            "failure": "no_answer" if outcome == "failed" else None, "asked_label_set": label_set,
            "label_set": label_set if done else None, "model_name": name if done else None,
            "model_version": versions[min(len(versions) - 1, int(progress * len(versions)))] if done else None,
        }  # fmt: skip
        row |= dict.fromkeys(
            ("predicted", "probabilities", "status", "malignant_risk", "thresholds", "gate", "first_look", "seconds",
             "uncertainty", "disagreement", "gate_verdict", "reviewed_class")
        )  # fmt: skip
        row["review_status"] = "pending"
        if outcome == "refused":
            reason = {"verdict": verdicts[at], "reason": "blur", "tip": "hold_still", "limit": 0.4}
            row |= {"status": "refused", "gate": {**reason, "scores": {"sharpness": 0.2}}, "gate_verdict": verdicts[at]}
        if outcome == "answered":
            classes: list[str] = list(SHARES[label_set])
            told: dict[str, float] = dict(zip(classes, answers[label_set][at].round(4).tolist(), strict=True))
            looked = dict(zip(classes, looks[label_set][at].round(4).tolist(), strict=True))
            predicted = classes[int(answers[label_set][at].argmax())]
            risk = round(sum(told[code] for code in MALIGNANT), 4) if label_set == "ham10000" else None
            row |= {
                "predicted": predicted, "probabilities": told, "malignant_risk": risk, "gate_verdict": "usable",
                "thresholds": {"malignant": 0.35, "uncertain": 0.12} if risk is not None else None,
                "status": status(predicted, risk), "uncertainty": uncertainty(told),
                "disagreement": disagreement(told, looked),
                "first_look": {"predicted": classes[int(looks[label_set][at].argmax())], "probabilities": looked},
                "gate": {"verdict": "usable", "reason": None, "tip": None, "limit": None,
                         "scores": {"sharpness": round(1 + float(numbers[at, 1]), 3), "usable": 0.98}},
                "seconds": {"decode": 0.001, "gate": 0.015, "network": 0.37},
            }  # fmt: skip
            state = states[at] if progress < 0.97 else "pending"
            row["review_status"] = state
            if state != "pending":
                reviewed = predicted if numbers[at, 2] < AGREEING else classes[int(numbers[at, 3] * len(classes))]
                if numbers[at, 2] >= NO_CLASS:
                    reviewed = NONE_OF_THEM[int(numbers[at, 3] * len(NONE_OF_THEM))]
                row["reviewed_class"] = reviewed if state == "submitted" else None
                reviews.append(review(number, state, reviewed, created, numbers[at]))
                if state == "disputed":
                    other = next(code for code in classes if code != reviewed)
                    reviews.append(review(number, state, other, created, numbers[at], second=True))
        screenings.append(row)
        if outcome != "deleted":
            sha, side = f"{number * 2654435761 % 2**256:064x}", {"width": 600, "height": 450}
            photos.append({"screening_id": number, "position": 1, "name": f"{number:032x}", "sha256": sha, **side})
    return screenings, photos, reviews


def status(predicted: str, risk: float | None) -> str:
    """The status that goes with the row's thresholds."""
    if risk is None:
        return "healthy" if predicted == "normal" else "infectious"
    return "malignant" if risk >= 0.35 else "uncertain" if risk >= 0.12 or predicted in MALIGNANT else "benign"


def token(number: int) -> str:
    """The token of a screening's result page."""
    return f"{number:043d}"


def review(
    number: int, state: str, label: str, created: datetime, drawn: np.ndarray, *, second: bool = False
) -> dict[str, Any]:
    """One review of a screening; `drawn` are numbers in 0..1 that decide. The `second` one is another reviewer's."""
    note = NOTES[int(drawn[4] * len(NOTES))] if drawn[5] < NOTED_SHARE else None
    reviewer = 1 + (int(drawn[3] * REVIEWERS) + second) % REVIEWERS
    return {
        "screening_id": number, "reviewer_id": reviewer, "label": None if state == "discarded" else label,
        "status": state if state in ("draft", "discarded") else "submitted", "blind": False, "adjudicates": False,
        "note": RARE_NOTE if drawn[4] < RARE_SHARE else note, "created_at": created + timedelta(days=float(drawn[1])),
    }  # fmt: skip


def batches(rows: int, seed: int) -> Iterator[tuple[list[dict[str, Any]], ...]]:
    """The whole history, a batch at a time; each has a random stream of its own."""
    for first in range(1, rows + 1, BATCH):
        yield batch(np.random.default_rng([seed, first]), first, min(BATCH, rows + 1 - first), rows)


def fill(rows: int, seed: int = 1) -> None:
    """Write the history into the database of the current application, which must hold no screening yet."""
    from webapp import clock
    from webapp.database import write_transaction
    from webapp.extensions import db
    from webapp.models.review import Review
    from webapp.models.screening import PhotoRow, ScreeningRow
    from webapp.models.user import Role, User

    if db.session.query(ScreeningRow.id).first():
        raise SystemExit("This database has screenings already. Name a new folder in INSTANCE.")
    indexes = [index for model in (ScreeningRow, PhotoRow, Review) for index in model.metadata.tables[
        str(model.__tablename__)].indexes]  # fmt: skip
    with write_transaction() as session:
        accounts = [
            {"name": f"reviewer {number} {secrets.token_hex(4)}", "password_hash": "!", "role": Role.REVIEWER,
             "active": False, "created_at": clock.now()}
            for number in range(1, REVIEWERS + 1)
        ]  # fmt: skip
        reviewers = list(session.scalars(insert(User).returning(User.id), accounts))
        for index in indexes:  # built at the end, at once: that is many times faster
            index.drop(session.connection())
    started = time.perf_counter()
    for screenings, photos, reviews in batches(rows, seed):
        with write_transaction() as session:
            session.execute(insert(ScreeningRow), screenings)
            session.execute(insert(PhotoRow), photos)
            if reviews:
                session.execute(
                    insert(Review), [one | {"reviewer_id": reviewers[one["reviewer_id"] - 1]} for one in reviews]
                )
        print(f"{screenings[-1]['id']:,} of {rows:,} rows, {time.perf_counter() - started:.0f} s", flush=True)
    with write_transaction() as session:
        for index in indexes:
            index.create(session.connection())
        session.execute(text("ANALYZE"))
    print(f"Done after {time.perf_counter() - started:.0f} s, indexes included.")


def main(arguments: Sequence[str]) -> int:
    """Fill the database that the environment names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    from webapp import create_app

    with create_app().app_context():
        fill(options.rows, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
