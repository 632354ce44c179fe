"""How a severity model agrees with the grades that it was taught: the proxy's, or a clinician's."""

from typing import Any

from ml import metrics
from ml.bootstrap import bootstrap
from ml.card import Card
from ml.metrics import Floats
from ml.predictions import Predictions
from ml.severity_grades import PROXY, PROXY_NOTE, STAGE


def severity_figures(card: Card, predictions: Predictions, *, resamples: int, seed: int) -> dict[str, Any] | None:
    """Quadratically weighted kappa and accuracy against the grades of the data, with 95 % intervals over lesions.

    None for a model that is no severity model.
    """
    if card.stage.get("name") != STAGE:
        return None

    def figures(weights: Floats) -> dict[str, Floats]:
        matrix = metrics.confusion_matrix(predictions.labels, predictions.predicted, len(card.classes), weights)
        return {"quadratic_kappa": metrics.quadratic_kappa(matrix), "accuracy": metrics.accuracy(matrix)}

    found = bootstrap(figures, predictions.lesions, resamples=resamples, seed=seed)
    return {
        "disease": card.stage["disease"],
        "source": card.stage["source"],
        "note": PROXY_NOTE if card.stage["source"] == PROXY else "grades given by people",
        **{name: interval.number() for name, interval in found.items()},
        "intervals": {name: interval.bounds() for name, interval in found.items()},
    }
