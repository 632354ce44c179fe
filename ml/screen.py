"""`Screener`: photos of a lesion in, gate first, then class, risk and status."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.bundle import Bundle
from ml.calibration import named_class
from ml.errors import BundleError
from ml.gate import GateModel, refused_at_sight
from ml.gate_quality import fault, quality_scores
from ml.labels import Status
from ml.predict import Classifier, Prediction
from ml.screening import NOT_DERMATOSCOPIC, NOT_SKIN, USABLE, Evidence, Gate, Screening, decide_status
from ml.severity import SeverityStage, may_be_graded

MAX_PHOTOS = 3
PERHAPS_NO_SKIN = 0.1
"""Probability of being no skin over which an ordinary photo is refused, whatever the setting for ordinary photos."""
WORST_LAST = (Status.HEALTHY, Status.BENIGN, Status.UNCERTAIN, Status.INFECTIOUS, Status.MALIGNANT)
"""Statuses from the least to the most severe."""


class Screener:
    """One bundle, ready to answer; safe to share between threads.

    With `answer_not_dermatoscopic` such photos are answered all the same, unless their quality is poor too or they
    may show no skin; their gate still says what they are, for whoever shows the answer to say so. With `severity`, an
    answer that names a disease with a second stage has its grade too.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = "cpu",
        *,
        answer_not_dermatoscopic: bool = False,
        severity: SeverityStage | None = None,
    ):
        self._severity = severity
        self.classifier = Classifier(bundle, device)
        self.card = bundle.card
        self._answered = {USABLE, NOT_DERMATOSCOPIC} if answer_not_dermatoscopic else {USABLE}
        try:
            self._gate = GateModel.from_card(bundle.gate_arrays(), bundle.card.gate)
        except KeyError as error:
            raise BundleError(f"The gate of '{bundle.card.name}' cannot be used; fetch or train it again.") from error

    def screen(
        self, photos: Sequence[NDArray[np.uint8]]
    ) -> tuple[Screening, tuple[Screening, ...], tuple[Evidence, ...]]:
        """One to three photos [H, W, 3] of one lesion -> (the lesion's Screening, one for each photo, their Evidence).

        The probabilities of the usable photos are averaged. The lesion's status is the most severe that the average
        or any single usable photo supports; without a usable photo it is refused, for the first photo's reason.
        Photos that are answered with a caution count only where no photo is usable without one.
        Raises ValueError for no photo or too many.
        """
        if not 1 <= len(photos) <= MAX_PHOTOS:
            raise ValueError(f"one to {MAX_PHOTOS} photos, not {len(photos)}")
        pairs = self._screened(photos, heatmaps=True)
        views, evidence = tuple(view for view, _ in pairs), tuple(found for _, found in pairs)
        answered = [view for view in views if view.predicted is not None]
        usable = [view for view in answered if view.gate.verdict == USABLE] or answered
        seconds = {name: round(sum(view.seconds[name] for view in views), 4) for name in views[0].seconds}
        if len(usable) < 2:
            graded = tuple(self._graded(view, [photo]) for view, photo in zip(views, photos, strict=True))
            lesion = graded[views.index(usable[0])] if usable else views[0]
            return replace(lesion, seconds=seconds), graded, evidence
        rows = [[view.probabilities[code] for code in self.card.classes] for view in usable if view.probabilities]
        mean = np.mean(rows, axis=0)
        lesion = self._answer(mean, usable[0].gate)
        worst = max([lesion.status, *(view.status for view in usable)], key=WORST_LAST.index)
        lesion = replace(lesion, status=worst, seconds=seconds)
        graded = tuple(self._graded(view, [photo]) for view, photo in zip(views, photos, strict=True))
        shown = [photo for view, photo in zip(views, photos, strict=True) if view.gate.verdict == USABLE]
        return self._graded(lesion, shown), graded, evidence

    def screen_batch(self, photos: Sequence[NDArray[np.uint8]]) -> list[Screening]:
        """Independent photos -> one Screening each, in order. `decode` in seconds is 0: the caller decoded them."""
        if not photos:
            return []
        views = [view for view, _ in self._screened(photos, heatmaps=False)]
        return [self._graded(view, [photo]) for view, photo in zip(views, photos, strict=True)]

    def judge(
        self,
        photos: Sequence[NDArray[np.uint8]],
        prediction: Prediction,
        qualities: Sequence[Mapping[str, float]] | None = None,
    ) -> list[Screening]:
        """What a person is told of each of B photos, from the networks' answers to the same photos.

        `qualities` are their `quality_scores`, where they have been measured already. Of its `seconds`, `gate` alone is
        measured.
        """
        started = time.perf_counter()
        known = [None] * len(photos) if qualities is None else qualities
        gates = [self._gate.judge(p, f, q) for p, f, q in zip(photos, prediction.features, known, strict=True)]
        seconds = round((time.perf_counter() - started) / len(photos), 4)
        return [
            _timed(self._answer(p, verdict), gate=seconds)
            for p, verdict in zip(prediction.probabilities, gates, strict=True)
        ]

    def _screened(self, photos: Sequence[NDArray[np.uint8]], *, heatmaps: bool) -> list[tuple[Screening, Evidence]]:
        """Each photo's answer. No network looks at one that its pixels alone refuse."""
        started = time.perf_counter()
        qualities = [quality_scores(photo) for photo in photos]
        glance = (time.perf_counter() - started) / len(photos)
        hopeless = [refused_at_sight(quality) for quality in qualities]
        found = {
            row: (_timed(self._unanswered(gate), gate=glance), Evidence()) for row, gate in enumerate(hopeless) if gate
        }
        rest = [row for row, gate in enumerate(hopeless) if gate is None]
        if rest:
            seen = [photos[row] for row in rest]
            started = time.perf_counter()
            prediction = self.classifier.predict(seen, heatmaps=heatmaps)
            network = (time.perf_counter() - started) / len(seen)
            views = self.judge(seen, prediction, [qualities[row] for row in rest])
            for number, (row, view) in enumerate(zip(rest, views, strict=True)):
                timed = _timed(view, gate=glance + view.seconds["gate"], network=network)
                found[row] = (timed, self._evidence(view, prediction, number))
        return [found[row] for row in range(len(photos))]

    def _graded(self, answer: Screening, photos: Sequence[NDArray[np.uint8]]) -> Screening:
        """The answer with its severity, where it may have one and there is a model for it."""
        if self._severity is None or answer.predicted is None or not may_be_graded(answer, self.classifier.taxonomy):
            return answer
        return replace(answer, severity=self._severity.grade(answer.predicted, photos))

    def _evidence(self, view: Screening, prediction: Prediction, row: int) -> Evidence:
        if view.predicted is None:
            return Evidence()
        heatmap = None
        if prediction.heatmaps is not None:
            heatmap = np.round(255 * prediction.heatmaps[row]).astype(np.uint8)
        return Evidence(heatmap, self._gate.components(prediction.features[row]))

    def _unanswered(self, gate: Gate) -> Screening:
        card = self.card
        return Screening(
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

    def _answer(self, probabilities: NDArray[np.float64], gate: Gate) -> Screening:
        card, taxonomy, empty = self.card, self.classifier.taxonomy, self._unanswered(gate)
        # An ordinary photo is named as such before its quality is spoken of, so that has to be asked for here.
        # What may be no skin at all is not answered either: that setting is about photos of skin.
        if gate.verdict not in self._answered or (
            gate.verdict != USABLE
            and (fault(gate.scores, self._gate.limits) or gate.scores.get(NOT_SKIN, 0.0) > PERHAPS_NO_SKIN)
        ):
            return empty
        index = int(named_class(probabilities[None], np.asarray(card.class_priors), card.prior_power)[0])
        risk = float(probabilities[list(taxonomy.malignant)].sum()) if taxonomy.malignant else None
        return replace(
            empty,
            predicted=card.classes[index],
            probabilities={code: round(float(p), 6) for code, p in zip(card.classes, probabilities, strict=True)},
            status=decide_status(taxonomy, index, probabilities, card.thresholds),
            malignant_risk=None if risk is None else round(risk, 6),
        )


def _timed(view: Screening, **seconds: float) -> Screening:
    return replace(view, seconds={**view.seconds, **{name: round(value, 4) for name, value in seconds.items()}})
