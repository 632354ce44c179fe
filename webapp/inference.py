"""Which model answers now: loaded at the first use, once, and used by one request at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, current_app

from ml.errors import BundleError
from webapp.config import Config, ConfigError
from webapp.loaded_models import Loaded, LoadedModels, Reference
from webapp.metrics import STAGES
from webapp.model_names import configured, references, stated
from webapp.promotion.standing import Standing, Standings
from webapp.promotion.start import Starts
from webapp.turns import Turns

if TYPE_CHECKING:
    from ml.screen import Screener
    from webapp.models.promotion import StartModel

log = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
"""How long a promoted model that could not be loaded is left alone before it is tried again."""


class Busy(Exception):
    """The model is in use and did not become free in time."""


@dataclass(frozen=True)
class Serving:
    """The model that was found to answer a label set. `settled`: nothing is left to be written down about it, so that
    it may go on while what is to follow it cannot answer."""

    reference: str
    settled: bool


class Models:
    """The models that answer, the promoted ones loaded when they are asked for.

    For each label set the promotions say which model answers, and below them `MODEL`, where a name stands for the
    version that answered somebody first. A promoted one answers once it is loaded and found whole; until then, or where
    it is not, the one before goes on, and `problems` says why.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._names = configured(config)
        self._standings = Standings()
        self._starts = Starts(config)
        self._loaded = LoadedModels(config, self._names, self._standings)
        self._turn = Turns()
        self._serving: dict[str, Serving] = {}
        self._failed: dict[str, tuple[float, str]] = {}
        self._problems: dict[str, str] = {}

    def get(self, label_set: str | None = None) -> Screener:
        """The screener for a label set (the default model's when None), loaded when needed. Nothing is written down.

        Raises BundleError where there is no such model, its bundle is damaged or its label set is gone. A model that
        is damaged does not keep the others from answering.
        """
        return self._choose(self._key(label_set))[0].screener

    def answering(self, label_set: str | None = None) -> Screener:
        """As `get`, for whoever answers somebody: what a name in `MODEL` stands for is written down, see `Starts`."""
        key = self._key(label_set)
        loaded, serving = self._choose(key)
        if not serving.settled:
            if self.keep_start(loaded.screener.card.label_set, serving.reference, loaded.digest):
                self._serving[key] = Serving(serving.reference, settled=True)
            else:  # another process answered first, with another version: the one that it wrote down counts
                loaded, _ = self._choose(key)
        return loaded.screener

    def load(self, reference: str) -> Screener:
        """The screener of a model by its reference, loaded and verified where it is not yet. Raises BundleError."""
        return self._loaded.load(reference).screener

    def expected(self, label_set: str, reference: str) -> str | None:
        """The digest that is written down of what was promoted, or answered first under a name in `MODEL`; None for
        any other."""
        return self._expected(reference, self._standing(label_set))

    def _expected(self, reference: str, standing: Standing) -> str | None:
        if reference in standing.promoted:
            return standing.digests.get(reference)
        name, _, version = reference.rpartition("@")
        first = self._starts.pinned(name) if name in self._names else None
        return first.digest if first and first.version == version else None

    def _key(self, label_set: str | None) -> str:
        # One name for the same thing, however it was asked for: `references` must find what is noted here.
        return label_set or self.default_label_set() or ""

    def _choose(self, key: str) -> tuple[Loaded, Serving]:
        """The model that answers a label set now, loaded: the one that should, else the first of the others that is
        whole. Raises BundleError where none is."""
        standing = self._standing(key)
        # Asked before the candidates: what another process writes down in between is then looked at once more.
        name = self._name_of(key)
        settled = self._starts.is_settled(name)
        wanted, *others = self._candidates(name, key, standing)
        before = self._serving.get(key)
        if before and before.settled and before.reference != wanted:
            others.insert(0, before.reference)
            if self._loaded.loading():  # another thread loads what was promoted; this one need not wait for it
                return self._loaded.load(before.reference), before
        *tried, last = dict.fromkeys((wanted, *others))
        for reference in tried:
            if self._failed_lately(reference):
                continue
            try:
                return self._serve(key, reference, wanted, standing, settled=settled)
            except BundleError as error:
                log.error("%s cannot answer: %s", reference, error)
                self._failed[reference] = (time.monotonic() + RETRY_SECONDS, str(error))
        return self._serve(key, last, wanted, standing, settled=settled)

    def _serve(
        self, key: str, reference: str, wanted: str, standing: Standing, *, settled: bool
    ) -> tuple[Loaded, Serving]:
        """Load a model and note that it answers, and where it is not the one that should, why. Raises BundleError."""
        loaded = self._loaded.load(reference, self._expected(reference, standing))
        if reference == wanted:
            self._failed.pop(reference, None)
            self._problems.pop(key, None)
        else:
            reason = "was promoted" if wanted in standing.promoted else "is what MODEL stands for"
            _, why = self._failed.get(wanted, (0.0, ""))
            self._problems[key] = f"{wanted} {reason} and cannot answer, so {reference} goes on. {why}"
        of_name = reference.rpartition("@")[0] in self._names and reference not in standing.promoted
        self._serving[key] = Serving(reference, settled or not of_name)
        return loaded, self._serving[key]

    def _failed_lately(self, reference: str) -> bool:
        return time.monotonic() < self._failed.get(reference, (0.0, ""))[0]

    def _candidates(self, name: str, label_set: str, standing: Standing) -> tuple[str, ...]:
        """References of the models that may answer, the one that should first, and what `name` of `MODEL` stands for
        last."""
        return tuple(dict.fromkeys((*reversed(standing.promoted), *self._starts.answering(name, label_set))))

    def _standing(self, label_set: str) -> Standing:
        return self._standings.now().get(label_set, Standing())

    def keep_start(self, label_set: str, reference: str, digest: str) -> bool:
        """Write down that what `MODEL` names is `reference`, as `Starts.keep` does; nothing for a promoted one."""
        name = reference.rpartition("@")[0]
        if name not in self._names or reference in self._standing(label_set).promoted:
            return True
        return self._starts.keep(name, reference, label_set, digest)

    def references(self) -> dict[str, str]:
        """Label set -> the reference of the model that answers it now, the default one first. Nothing is loaded."""
        found = {}
        standings = self._standings.now()
        for label_set in self.label_sets():
            serving = self._serving.get(label_set) if label_set in self._problems else None
            standing = standings.get(label_set, Standing())
            found[label_set] = (
                serving.reference if serving else self._candidates(self._name_of(label_set), label_set, standing)[0]
            )
        return found

    def holder(self, label_set: str, standing: Standing) -> str:
        """NAME@VERSION of the model that should answer a label set by this standing of it; "" where `MODEL` names none
        that is there."""
        from ml.bundle import find_bundle, read_card

        if standing.promoted:
            return standing.promoted[-1]
        try:
            (start, *_) = self._starts.answering(self._name_of(label_set), label_set)
            card = read_card(find_bundle(start, self._config.models))
            return f"{card['name']}@{card['version']}"
        except (BundleError, KeyError):
            return ""

    def standings(self) -> dict[str, Standing]:
        """What was decided about each label set."""
        return self._standings.now()

    def starts(self) -> list[StartModel]:
        """What the names without a version in `MODEL` stand for, as far as somebody was answered under them."""
        return [one for name in self._names if (one := self._starts.pinned(name))]

    def problems(self) -> list[str]:
        """A sentence for each label set whose promoted model cannot answer."""
        return list(dict.fromkeys(self._problems.values()))

    def label_sets(self) -> list[str]:
        """The label sets that are answered, that of the default model first where its card can be read. No model is
        loaded for it."""
        return list(dict.fromkeys(found for name in self._names if (found := self._starts.label_set(name))))

    def default_label_set(self) -> str | None:
        """The label set of the default model, the first one that the settings name; None where its card cannot be
        read. No other model stands in for it."""
        return self._starts.label_set(self._names[0])

    def stated(self) -> list[tuple[str, str, str]]:
        """Label set, name and version of every model that answers, from the cards alone. No model is loaded for it."""
        from ml.bundle import find_bundle, stated_identity

        found = []
        for label_set, reference in self.references().items():
            with suppress(BundleError):  # it went away meanwhile
                identity = stated_identity(find_bundle(reference, self._config.models))
                if identity:
                    found.append((label_set, *identity))
        return found

    def screeners(self) -> list[Screener]:
        """The screener of every label set, the default one first; one that cannot be loaded is left out, and logged.

        Raises BundleError where the default one cannot.
        """
        found = [self.get()]
        for label_set in self.label_sets():
            if label_set == found[0].card.label_set:
                continue
            try:
                found.append(self.get(label_set))
            except BundleError as error:
                log.warning("no answers for label set '%s': %s", label_set, error)
        return found

    def _name_of(self, label_set: str) -> str:
        """What the settings name for a label set, which is "" for the default one where its card cannot be read."""
        if not label_set:
            return self._names[0]
        found = next((name for name in self._names if self._starts.label_set(name) == label_set), None)
        if found is None:
            raise BundleError(f"No model answers for label set '{label_set}'.")
        return found

    def reference(self, name: str, version: str) -> Reference | None:
        """What the bundle NAME@VERSION tells about its answers; None where it is gone or damaged."""
        return self._loaded.reference(name, version)

    def busy(self) -> bool:
        """Whether a screening is being answered right now."""
        return self._turn.locked()

    def turn_age(self) -> float:
        """For how many seconds the screening that is being answered has had its turn; 0 where none is."""
        return self._turn.age()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Exclusive use of the processor by one screening: two at once would both take twice as long.

        Raises Busy after the configured wait.
        """
        began = time.monotonic()
        if not self._turn.acquire(timeout=self._config.wait_seconds):
            raise Busy
        STAGES.labels("wait").observe(time.monotonic() - began)
        try:
            yield
        finally:
            self._turn.release()


def init_inference(app: Flask, config: Config) -> None:
    """Give the application its (still empty) set of loaded models. Raises ConfigError for two of one label set.

    A name whose versions state several label sets is left to what is written down of it, which is not read here: a
    training run that is given that name must not keep the application from starting.
    """
    answered: dict[str, str] = {}
    for name in config.model_references:
        found = {label_set for one in references(name, config) if (label_set := stated(one, config))}
        for label_set in found if len(found) == 1 else ():
            if label_set in answered:
                raise ConfigError(
                    f"MODEL names two models for the label set '{label_set}': {answered[label_set]} and {name}. "
                    "Keep one of them."
                )
            answered[label_set] = name
    app.extensions["models"] = Models(config)


def get_models() -> Models:
    """The loaded models of the current application."""
    models: Models = current_app.extensions["models"]
    return models


def get_screener(label_set: str | None = None) -> Screener:
    """The screener for whoever answers somebody about a label set. Raises BundleError where it cannot be loaded."""
    return get_models().answering(label_set)
