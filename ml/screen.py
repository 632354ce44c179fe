"""`Screener`: photos of a lesion in, gate first, then class, risk and status."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ml.bundle import GATE, Bundle
from ml.calibration import named_class
from ml.errors import BundleError
from ml.gate import GateModel, quality_scores
from ml.labels import Status
from ml.predict import Classifier
from ml.screening import NOT_DERMATOSCOPIC, USABLE, Gate, Screening

MAX_PHOTOS = 3
SEVERITY = (Status.HEALTHY, Status.BENIGN, Status.UNCERTAIN, Status.INFECTIOUS, Status.MALIGNANT)
"""Statuses from the least to the most severe."""


class Screener:
    """One bundle, ready to answer; safe to share between threads.

    With `answer_not_dermatoscopic` such photos are answered all the same; their gate still says what they are, for
    whoever shows the answer to say so.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu", *, answer_not_dermatoscopic: bool = False):
        self.classifier = Classifier(bundle, device)
        self.card = bundle.card
        self._answered = {USABLE, NOT_DERMATOSCOPIC} if answer_not_dermatoscopic else {USABLE}
        try:
            self._gate = GateModel(load_file(bundle.path / GATE), bundle.card.gate["limits"])
        except (OSError, SafetensorError, KeyError) as error:
            raise BundleError(f"The gate of '{bundle.card.name}' cannot be used; fetch or train it again.") from error

    def screen(self, photos: Sequence[NDArray[np.uint8]]) -> tuple[Screening, tuple[Screening, ...]]:
        """One to three photos [H, W, 3] of one lesion -> (the lesion's Screening, one for each photo).

        The probabilities of the usable photos are averaged. The lesion's status is the most severe that the average
        or any single usable photo supports; without a usable photo it is refused, for the first photo's reason.
        Raises ValueError for no photo or too many.
        """
        if not 1 <= len(photos) <= MAX_PHOTOS:
            raise ValueError(f"one to {MAX_PHOTOS} photos, not {len(photos)}")
        views = tuple(self.screen_batch(photos))
        usable = [view for view in views if view.gate.verdict in self._answered]
        seconds = {name: round(sum(view.seconds[name] for view in views), 4) for name in views[0].seconds}
        if len(usable) < 2:
            lesion = usable[0] if usable else views[0]
            return replace(lesion, seconds=seconds), views
        rows = [[view.probabilities[code] for code in self.card.classes] for view in usable if view.probabilities]
        mean = np.mean(rows, axis=0)
        lesion = self._answer(mean, usable[0].gate)
        worst = max([lesion.status, *(view.status for view in usable)], key=SEVERITY.index)
        return replace(lesion, status=worst, seconds=seconds), views

    def screen_batch(self, photos: Sequence[NDArray[np.uint8]]) -> list[Screening]:
        """Independent photos -> one Screening each, in order. `decode` in seconds is 0: the caller decoded them."""
        if not photos:
            return []
        started = time.perf_counter()
        scores = [quality_scores(photo) for photo in photos]
        judged = time.perf_counter()
        prediction = self.classifier.predict(photos)
        network = time.perf_counter() - judged
        started_gate = time.perf_counter()
        gates = [self._gate.judge(s, f) for s, f in zip(scores, prediction.features, strict=True)]
        gate = judged - started + time.perf_counter() - started_gate
        share = {"decode": 0.0, "gate": round(gate / len(photos), 4), "network": round(network / len(photos), 4)}
        return [
            replace(self._answer(p, verdict), seconds=share)
            for p, verdict in zip(prediction.probabilities, gates, strict=True)
        ]

    def _answer(self, probabilities: NDArray[np.float64], gate: Gate) -> Screening:
        card, taxonomy = self.card, self.classifier.taxonomy
        empty = Screening(
            label_set=card.label_set,
            predicted=None,
            probabilities=None,
            status=Status.REFUSED,
            malignant_risk=None,
            thresholds=card.thresholds,
            gate=gate,
            first_look=None,
            severity=None,
            model={"name": card.name, "version": card.version},
            seconds={"decode": 0.0, "gate": 0.0, "network": 0.0},
        )
        if gate.verdict not in self._answered:
            return empty
        index = int(named_class(probabilities[None], np.asarray(card.class_priors), card.prior_power)[0])
        risk = float(probabilities[list(taxonomy.malignant)].sum()) if taxonomy.malignant else None
        return replace(
            empty,
            predicted=card.classes[index],
            probabilities={code: round(float(p), 6) for code, p in zip(card.classes, probabilities, strict=True)},
            status=self._status(index, risk),
            malignant_risk=None if risk is None else round(risk, 6),
        )

    def _status(self, index: int, risk: float | None) -> Status:
        thresholds = self.card.thresholds
        if risk is None or thresholds is None:
            return self.classifier.taxonomy.labels[index].status
        if risk >= thresholds["malignant"]:
            return Status.MALIGNANT
        # A class named malignant is never called benign, however low its probability.
        low = risk < thresholds["uncertain"] and index not in self.classifier.taxonomy.malignant
        return Status.BENIGN if low else Status.UNCERTAIN
