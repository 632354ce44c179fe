"""The second stage: how pronounced a lesion is, by a model of the disease that the first stage has named."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundle import load_bundle
from ml.errors import AnswerError, BundleError, DatasetError
from ml.labels import Status, Taxonomy
from ml.predict import Classifier
from ml.screening import USABLE, Screening
from ml.severity_grades import DISEASES, LABEL_SET, STAGE, bundle_name, note_of

log = logging.getLogger(__name__)


def may_be_graded(screening: Screening, taxonomy: Taxonomy) -> bool:
    """Whether a grade may stand beside this answer.

    It must name one of `DISEASES` in a usable photo. Where a harmless disease is named but the status is more worrying,
    a grade would only soothe, so there is none.
    """
    if screening.predicted not in DISEASES or screening.gate.verdict != USABLE:
        return False
    return taxonomy.label(screening.predicted).status is Status.MALIGNANT or screening.status is Status.BENIGN


class SeverityStage:
    """Severity models by disease, each loaded at its first need; safe to share between threads.

    `find` gives the folder of the bundle with a name, None where there is none: then there is no grade. So it is where
    a bundle is damaged or another kind of model, which the log says: the answer of the first stage stands by itself.
    """

    def __init__(self, find: Callable[[str], Path | None]):
        self._find = find
        self._loading = threading.Lock()
        self._classifiers: dict[str, tuple[Path, Classifier]] = {}

    def grade(self, disease: str, photos: Sequence[NDArray[np.uint8]]) -> dict[str, Any] | None:
        """Photos [H, W, 3] of one lesion of a disease -> its `grade`, the `probabilities` of all grades (the mean over
        the photos), the `source` of the grades that were learnt (`proxy` or `clinical`), the `note` that says what such
        a grade is worth, and the `model`."""
        classifier = self._classifier(disease)
        if classifier is None:
            return None
        card = classifier.card
        source = str(card.stage["source"])
        try:
            mean = classifier.predict(photos).probabilities.mean(axis=0)
        except AnswerError as error:
            log.warning("no severity of '%s': %s", disease, error)
            return None
        return {
            "grade": card.classes[int(mean.argmax())],
            "probabilities": {code: round(float(p), 6) for code, p in zip(card.classes, mean, strict=True)},
            "source": source,
            "note": note_of({"source": source}),
            "model": {"name": card.name, "version": card.version},
        }

    def _classifier(self, disease: str) -> Classifier | None:
        path = self._find(bundle_name(disease))
        if path is None:
            return None
        with self._loading:
            held = self._classifiers.get(disease)
            if held is None or held[0] != path:
                try:
                    held = path, _load(path, disease)
                except (BundleError, DatasetError) as error:
                    log.warning("no severity of '%s': %s", disease, error)
                    return None
                self._classifiers[disease] = held  # an earlier version is let go
            return held[1]


def _load(path: Path, disease: str) -> Classifier:
    bundle = load_bundle(path)
    stage = bundle.card.stage
    if bundle.card.label_set != LABEL_SET or (stage.get("name"), stage.get("disease")) != (STAGE, disease):
        raise BundleError(f"The model '{bundle.card.name}' is no severity model of '{disease}'.")
    return Classifier(bundle)
