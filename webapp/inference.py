"""The one place that holds loaded models: loaded at the first use, once, and used by one request at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, current_app

from ml.errors import BundleError, DatasetError
from webapp.config import Config

if TYPE_CHECKING:
    from ml.bundle import Bundle
    from ml.screen import Screener
    from ml.similar import CaseIndex

log = logging.getLogger(__name__)

KEPT_LOADED = 2
"""Models held in memory: the one that answers, and the one before it or another one that was asked for."""


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
        self._loading = threading.Lock()
        self._turn = threading.Lock()
        self._screeners: dict[Path, Screener] = {}
        self._references: dict[tuple[str, str], Reference] = {}

    def get(self, label_set: str | None = None, version: str | None = None) -> Screener:
        """The screener for a label set (the configured model's when None), loaded when needed.

        Raises BundleError where there is no such model its bundle is damaged or its label set is gone.
        """
        # Imported here: the web application must start without loading a deep-learning library.
        from ml.bundle import DEFAULT_MODEL, find_bundle, load_bundle
        from ml.screen import Screener

        reference = self._config.model or str(DEFAULT_MODEL)
        if version:
            reference = f"{Path(reference).name.partition('@')[0]}@{version}"
        path = find_bundle(reference, self._config.models)
        with self._loading:
            screener = self._screeners.get(path)
            if screener is None:
                bundle = load_bundle(path)
                answer_all = self._config.answer_not_dermatoscopic
                try:
                    screener = self._screeners[path] = Screener(bundle, answer_not_dermatoscopic=answer_all)
                except DatasetError as error:
                    raise BundleError(f"The model's label set cannot be read. {error}") from error
                for old in list(self._screeners)[:-KEPT_LOADED]:
                    del self._screeners[old]
        if label_set not in (None, screener.card.label_set):
            raise BundleError(f"No model answers for label set '{label_set}'.")
        return screener

    def reference(self, name: str, version: str) -> Reference | None:
        """What the bundle NAME@VERSION, which need not be the one that answers now, tells about its answers.

        None where it is gone or damaged: an old answer stays readable without its model. What was found is kept; what
        was not is looked for again, since it may have been put back.
        """
        key = (name, version)
        with self._loading:
            if key not in self._references:
                found = self._read_reference(name, version)
                if found is None:
                    return None
                self._references[key] = found
                for old in list(self._references)[:-KEPT_LOADED]:
                    del self._references[old]
            return self._references[key]

    def _read_reference(self, name: str, version: str) -> Reference | None:
        from ml.bundle import CASES, DEFAULT_MODEL, find_bundle, load_bundle
        from ml.similar import CaseIndex

        for place in (f"{name}@{version}", self._config.model or str(DEFAULT_MODEL)):
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
        if not self._turn.acquire(timeout=self._config.wait_seconds):
            raise Busy
        try:
            yield
        finally:
            self._turn.release()


def init_inference(app: Flask, config: Config) -> None:
    """Give the application its (still empty) set of loaded models."""
    app.extensions["models"] = Models(config)


def get_models() -> Models:
    """The loaded models of the current application."""
    models: Models = current_app.extensions["models"]
    return models


def get_screener(label_set: str | None = None, version: str | None = None) -> Screener:
    """The screener that answers for a label set. Raises BundleError where it cannot be loaded."""
    return get_models().get(label_set, version)
