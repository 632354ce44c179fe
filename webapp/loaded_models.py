"""The one place that holds loaded models and, of those whose answers are looked at, the cards and confirmed cases."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import BundleError, DatasetError
from webapp.config import Config
from webapp.promotion.standing import Standings

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


@dataclass(frozen=True)
class Loaded:
    """A model in memory, and the SHA-256 of the SHA256SUMS that it was verified against."""

    screener: Screener
    digest: str


@dataclass(frozen=True)
class Reference:
    """What a model's bundle tells about its answers: its card and, where it keeps them, its confirmed cases."""

    bundle: Bundle
    cases: CaseIndex | None


class LoadedModels:
    """Loaded models by the folder of their bundle, each loaded once whoever asks for it first. Safe for threads."""

    def __init__(self, config: Config, names: Sequence[str], standings: Standings) -> None:
        """`names` are the models that the settings name, the default one first."""
        self._config = config
        self._names = names
        self._standings = standings
        self._severity: SeverityStage | None = None
        self._loading = threading.Lock()
        self._holding = threading.Lock()
        self._screeners: dict[Path, Loaded] = {}
        self._references: dict[tuple[str, str], Reference] = {}

    def load(self, reference: str, digest: str | None = None) -> Loaded:
        """The model of a reference, loaded and verified where it is not yet.

        `digest` is what the SHA-256 of its SHA256SUMS must be. Raises BundleError, also where it is another.
        """
        # Imported here: the web application must start without loading a deep-learning library.
        from ml.bundle import find_bundle

        path = find_bundle(reference, self._config.models)
        found = self._held(path, digest)
        if found is None:
            with self._loading:
                found = self._held(path, digest) or self._read(path, digest)
                with self._holding:
                    self._screeners[path] = found
                    beside = sum(standing.shadow is not None for standing in self._standings.known.values())
                    for old in list(self._screeners)[: -len(self._names) - SPARE_LOADED - beside]:
                        del self._screeners[old]
        return found

    def loading(self) -> bool:
        """Whether a thread loads something right now."""
        return self._loading.locked()

    def _held(self, path: Path, digest: str | None) -> Loaded | None:
        with self._holding:
            found = self._screeners.pop(path, None)
            if found is not None and digest in (None, found.digest):
                self._screeners[path] = found  # the last of the dictionary is the one used last
                return found
            return None

    def _read(self, path: Path, digest: str | None) -> Loaded:
        from ml.bundle import digest_of, load_bundle, naming
        from ml.screen import Screener

        self._severity = self._severity or severity_stage(self._config)
        bundle = load_bundle(path)
        found = digest_of(path)
        if digest not in (None, found):
            raise BundleError(f"The model '{bundle.card.name}' was replaced by another of the same name and version.")
        naming(bundle)
        try:
            screener = Screener(
                bundle,
                answer_not_dermatoscopic=self._config.answer_not_dermatoscopic,
                severity=self._severity,
            )
        except DatasetError as error:
            raise BundleError(f"The model's label set cannot be read. {error}") from error
        return Loaded(screener, found)

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
