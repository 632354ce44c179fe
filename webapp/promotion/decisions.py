"""Decisions about which model answers: promotion by the numbers of a kept comparison, rollback, and the shadow."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ml.bundle import Bundle, digest_of, find_bundle, load_bundle
from ml.errors import BundleError
from ml.files import sha256_file
from webapp import audit, clock
from webapp.config import Config
from webapp.database import write_transaction
from webapp.extensions import db
from webapp.inference import get_models
from webapp.models.promotion import Action, Promotion, PromotionCheck
from webapp.promotion.standing import Standing, read_standings

MANIFEST = "manifest.csv"
RULES = "1"
"""The version of the rules by which models are compared: raise it with each change of ml.promotion or ml.challenge by
which the same models could get other numbers or another verdict. Comparisons that were kept are made anew then."""


class Refused(Exception):
    """The decision cannot be carried out; the message says why and what to do."""


@dataclass(frozen=True)
class Pair:
    """The model that answers a label set and the one that may take its place, both verified, and the set to judge by.

    `champion` and `challenger` are references that every process finds them by. `folder` is None where there is no set
    to judge by.
    """

    label_set: str
    champion: str
    challenger: str
    champion_bundle: Bundle
    challenger_bundle: Bundle
    folder: Path | None

    @property
    def digests(self) -> tuple[str, str, str]:
        """What a comparison is kept under: a digest of each bundle, and of the set's manifest. Raises Refused where
        there is no set."""
        champion, challenger = bundle_digest(self.champion_bundle), bundle_digest(self.challenger_bundle)
        return champion, challenger, set_digest(self.promotion_set)

    @property
    def promotion_set(self) -> Path:
        """The folder of the set to judge by. Raises Refused where there is none."""
        if self.folder is None:
            raise Refused(
                f"There is no promotion set for label set '{self.label_set}'. Make one with 'flask data promotion-set' "
                "and name its folder in PROMOTION_DATA."
            )
        return self.folder


def make_pair(config: Config, name: str) -> Pair:
    """The model NAME or NAME@VERSION and the one whose place it would take.

    Raises Refused or BundleError where it cannot be promoted: it answers already, is no bundle of this installation, or
    no model answers its label set. Whether there is a set to judge by is asked when it is compared.
    """
    bundle, reference = installed(config, name)
    label_set = bundle.card.label_set
    champion = get_models().references().get(label_set)
    if champion is None:
        raise Refused(f"No model answers for label set '{label_set}'; name one in MODEL first.")
    holder = load_bundle(find_bundle(champion, config.models))
    if bundle_digest(holder) == bundle_digest(bundle):
        raise Refused(f"{reference} is the model that answers already.")
    if get_models().expected(label_set, champion) not in (None, bundle_digest(holder)):
        raise Refused(
            f"{champion} was replaced by another model of the same name and version, so nothing can be compared with "
            "it. Put it back, or take its promotion back."
        )
    folder = promotion_folder(config, label_set)
    return Pair(label_set, f"{holder.card.name}@{holder.card.version}", reference, holder, bundle, folder)


def installed(config: Config, name: str) -> tuple[Bundle, str]:
    """A bundle of this installation, verified, and its reference NAME@VERSION, which finds it in every process.

    Raises BundleError where it is missing or damaged, Refused where it has another place or only grades.
    """
    path = find_bundle(name, config.models)
    bundle = load_bundle(path)
    reference = f"{bundle.card.name}@{bundle.card.version}"
    try:
        found = find_bundle(reference, config.models)
    except BundleError:
        found = None
    if found is None or found.resolve() != path.resolve():
        raise Refused(f"{name} is not in the models folder as {reference}; put it there first.")
    if bundle.card.stage:
        raise Refused(f"{reference} grades a disease and names none, so it cannot answer by itself.")
    return bundle, reference


def promotion_folder(config: Config, label_set: str) -> Path | None:
    """The folder of the promotion set for a label set; None where there is none."""
    named = [Path(part.strip()) for part in config.promotion_data.split(",") if part.strip()]
    for folder in (*named, config.instance / "promotion" / label_set):
        try:
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            if summary["label_set"] == label_set and summary["splits"]["promotion"]["images"]:
                return folder
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def kept_check(pair: Pair, margin: float) -> PromotionCheck | None:
    """The comparison of exactly these files at this margin, by the rules of today, where it was made already."""
    champion, challenger, set_digest = pair.digests
    return db.session.scalar(
        select(PromotionCheck)
        .where(
            PromotionCheck.champion == champion,
            PromotionCheck.challenger == challenger,
            PromotionCheck.set_digest == set_digest,
            PromotionCheck.rules == RULES,
            PromotionCheck.margin == margin,
        )
        .order_by(PromotionCheck.id.desc())
        .limit(1)
    )


def decide(pair: Pair, numbers: dict[str, Any], by: str, *, force: str | None = None) -> bool:
    """Promote the challenger where the numbers allow it, or refuse; either is recorded. Returns whether it answers now.

    `force` is the reason why it is promoted whatever the numbers say. Raises Refused where another model has been
    promoted since the comparison.
    """
    # Taking the promotion back must lead to the model that was there before it, whatever is trained meanwhile.
    get_models().keep_start(pair.label_set, pair.champion, bundle_digest(pair.champion_bundle))
    challenger = bundle_digest(pair.challenger_bundle)
    name, _, version = pair.challenger.rpartition("@")
    passes = bool(numbers["passes"])
    action = Action.PROMOTE if passes or force else Action.REFUSE
    try:
        with write_transaction() as session:
            standing = read_standings().get(pair.label_set, Standing())
            if get_models().holder(pair.label_set, standing) != pair.champion:
                raise Refused("Another model has been promoted meanwhile. Compare with that one, and decide again.")
            session.add(
                Promotion(
                    label_set=pair.label_set,
                    number=standing.number if action is Action.PROMOTE else None,
                    action=action,
                    name=name,
                    version=version,
                    by=by,
                    digest=challenger if action is Action.PROMOTE else None,
                    reason=force,
                    numbers=numbers,
                    at=clock.now(),
                )
            )
            audit.record(
                "model.promote" if action is Action.PROMOTE else "model.refuse",
                f"model:{pair.challenger}",
                label_set=pair.label_set,
                instead_of=pair.champion,
                passes=passes,
                reasons=list(numbers["reasons"]),
                **({"forced": force} if force else {}),
            )
    except IntegrityError as error:
        raise Refused(
            "Another model was promoted at the same moment. Look which one answers, and decide again."
        ) from error
    return action is Action.PROMOTE


def rollback(label_set: str, by: str, expected: str | None = None) -> str:
    """Let the model before the last promotion answer again; returns its reference, or "" for what `MODEL` names.

    `expected` is the model that whoever decides saw answering. Raises Refused where there is nothing to take back, or
    another one answers by now.
    """
    try:
        with write_transaction() as session:
            standing = read_standings().get(label_set, Standing())
            if not standing.promoted:
                raise Refused("Nothing to take back: the model that MODEL names is the one that answers.")
            if expected is not None and standing.promoted[-1] != expected:
                raise Refused("Another model answers by now. Look which one, and decide again.")
            before = standing.promoted[-2] if len(standing.promoted) > 1 else ""
            name, _, version = before.rpartition("@")
            session.add(
                Promotion(
                    label_set=label_set,
                    number=standing.number,
                    action=Action.ROLLBACK,
                    name=name or None,
                    version=version or None,
                    by=by,
                    at=clock.now(),
                )
            )
            audit.record(
                "model.rollback", f"model:{standing.promoted[-1]}", label_set=label_set, to=before or "start value"
            )
    except IntegrityError as error:
        raise Refused("Another decision was made at the same moment. Look which model answers.") from error
    return before


def set_shadow(label_set: str, by: str, reference: str | None) -> None:
    """Have a model answer new uploads too, in the shadow; None ends that. Raises Refused for the one that answers."""
    name, _, version = (reference or "").rpartition("@")
    with write_transaction() as session:
        if reference and get_models().holder(label_set, read_standings().get(label_set, Standing())) == reference:
            raise Refused(f"{reference} is the model that answers already; the shadow is for another one.")
        session.add(
            Promotion(
                label_set=label_set,
                action=Action.SHADOW if reference else Action.SHADOW_OFF,
                name=name or None,
                version=version or None,
                by=by,
                at=clock.now(),
            )
        )
        audit.record("model.shadow", f"model:{reference or 'none'}", label_set=label_set)


def bundle_digest(bundle: Bundle) -> str:
    """A digest that stands for every byte of a bundle. Raises Refused where it cannot be read."""
    try:
        return digest_of(bundle.path)
    except OSError as error:
        raise Refused(f"The model {bundle.card.name} cannot be read.") from error


def set_digest(folder: Path) -> str:
    """A digest that stands for a promotion set: that of its manifest. Raises Refused where it cannot be read."""
    try:
        return sha256_file(folder / MANIFEST)
    except OSError as error:
        raise Refused(f"{MANIFEST} of the promotion set cannot be read.") from error
