"""The one place that holds loaded models: loaded at the first use, once, and used by one request at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, current_app

from ml.errors import BundleError, DatasetError
from webapp.config import Config, ConfigError
from webapp.metrics import STAGES

if TYPE_CHECKING:
    from ml.bundle import Bundle
    from ml.screen import Screener
    from ml.severity import SeverityStage
    from ml.similar import CaseIndex

log = logging.getLogger(__name__)

SPARE_LOADED = 1
"""Models held in memory beyond one for each model that answers: the one before a promotion. Those used last stay."""
KEPT_REFERENCES = 4
"""Models whose cards and confirmed cases are held in memory for looking at old answers."""


class Busy(Exception):
    """The model is in use and did not become free in time."""


@dataclass(frozen=True)
class Reference:
    """What a model's bundle tells about its answers: its card and, where it keeps them, its confirmed cases."""

    bundle: Bundle
    cases: CaseIndex | None


class Models:
    """Loaded models by the folder of their bundle, so that a newly promoted bundle is loaded when it is asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._names = configured(config)
        self._severity: SeverityStage | None = None
        self._loading = threading.Lock()
        self._turn = threading.Lock()
        self._screeners: dict[Path, Screener] = {}
        self._references: dict[tuple[str, str], Reference] = {}

    def get(self, label_set: str | None = None, version: str | None = None) -> Screener:
        """The screener for a label set (the default model's when None), loaded when needed.

        Raises BundleError where there is no such model, its bundle is damaged or its label set is gone. A model that
        is damaged does not keep the others from answering.
        """
        # Imported here: the web application must start without loading a deep-learning library.
        from ml.bundle import find_bundle, load_bundle
        from ml.screen import Screener

        name = self._names[0] if label_set is None else self._name_of(label_set)
        if version:
            name = f"{Path(name).name.partition('@')[0]}@{version}"
        path = find_bundle(name, self._config.models)
        with self._loading:
            screener = self._screeners.pop(path, None)
            if screener is None:
                self._severity = self._severity or severity_stage(self._config)
                bundle = load_bundle(path)
                if bundle.card.stage:
                    raise BundleError(f"The model '{bundle.card.name}' only grades; SEVERITY=on has it do so.")
                try:
                    screener = Screener(
                        bundle,
                        answer_not_dermatoscopic=self._config.answer_not_dermatoscopic,
                        severity=self._severity,
                    )
                except DatasetError as error:
                    raise BundleError(f"The model's label set cannot be read. {error}") from error
            self._screeners[path] = screener  # the last of the dictionary is the one used last
            for old in list(self._screeners)[: -len(self._names) - SPARE_LOADED]:
                del self._screeners[old]
        return screener

    def label_sets(self) -> list[str]:
        """The label sets that are answered, the default model's first. No model is loaded for it."""
        return list(stated_label_sets(self._names, self._config))

    def stated(self) -> list[tuple[str, str, str]]:
        """Label set, name and version of every model that answers, from the cards alone. No model is loaded for it."""
        from ml.bundle import find_bundle, stated_identity

        found = stated_label_sets(self._names, self._config)
        known = {code: stated_identity(find_bundle(name, self._config.models)) for code, name in found.items()}
        return [(code, *identity) for code, identity in known.items() if identity]

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
        found = stated_label_sets(self._names, self._config).get(label_set)
        if found is None:
            raise BundleError(f"No model answers for label set '{label_set}'.")
        return found

    def reference(self, name: str, version: str) -> Reference | None:
        """What the bundle NAME@VERSION, which need not be the one that answers now, tells about its answers.

        None where it is gone or damaged: an old answer stays readable without its model. What was found is kept; what
        was not is looked for again, since it may have been put back.
        """
        key = (name, version)
        with self._loading:
            found = self._references.pop(key, None) or self._read_reference(name, version)
            if found is not None:
                self._references[key] = found
                for old in list(self._references)[:-KEPT_REFERENCES]:
                    del self._references[old]
            return found

    def _read_reference(self, name: str, version: str) -> Reference | None:
        from ml.bundle import CASES, find_bundle, load_bundle
        from ml.similar import CaseIndex

        for place in (f"{name}@{version}", *self._names):
            try:
                bundle = load_bundle(find_bundle(place, self._config.models))
                if (bundle.card.name, bundle.card.version) == (name, version):
                    cases = bundle.path / CASES
                    return Reference(bundle, CaseIndex.load(cases) if cases.exists() else None)
            except BundleError as error:
                log.info("%s@%s: %s", name, version, error)
        return None

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


def configured(config: Config) -> tuple[str, ...]:
    """The references of the models that answer, as `find_bundle` takes them, the default one first."""
    from ml.bundle import DEFAULT_MODELS, is_bundle

    default, *others = DEFAULT_MODELS
    return config.model_references or (str(default), *(str(path) for path in others if is_bundle(path)))


def severity_stage(config: Config) -> SeverityStage | None:
    """The second stage, which loads its models when they are needed; None where it is not switched on."""
    from ml.bundle import find_bundle
    from ml.severity import SeverityStage

    def find(name: str) -> Path | None:
        try:
            return find_bundle(name, config.models)
        except BundleError:
            return None

    return SeverityStage(find) if config.severity else None


def stated_label_sets(names: Sequence[str], config: Config) -> dict[str, str]:
    """Label set -> the reference of the model that answers with it, in their order, from the cards alone.

    A model that is not there, or has no readable card, is left out; of two for one label set the first counts.
    """
    from ml.bundle import find_bundle, stated_label_set

    found: dict[str, str] = {}
    for name in names:
        try:
            label_set = stated_label_set(find_bundle(name, config.models))
        except BundleError as error:
            log.warning("left out: %s", error)
            continue
        if label_set is not None:
            found.setdefault(label_set, name)
    return found


def init_inference(app: Flask, config: Config) -> None:
    """Give the application its (still empty) set of loaded models. Raises ConfigError for two of one label set."""
    answered: dict[str, str] = {}
    for name in config.model_references:
        for label_set in stated_label_sets([name], config):
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


def get_screener(label_set: str | None = None, version: str | None = None) -> Screener:
    """The screener that answers for a label set. Raises BundleError where it cannot be loaded."""
    return get_models().get(label_set, version)
