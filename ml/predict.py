"""`Classifier`: a bundle that answers images, without the gate and without a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bundle import Bundle
from ml.calibration import Calibration, named_class
from ml.labels import Taxonomy, load_taxonomy
from ml.runtime import TorchRuntime
from ml.transforms.serving import VIEWS, normalise, square, turned


@dataclass(frozen=True)
class Prediction:
    """Answers to B images: logits [B, C] before calibration, calibrated probabilities [B, C], the index of the class to
    name [B] (see ml.calibration.named_class) and pooled features [B, D] of the picture as it is."""

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    predicted: NDArray[np.int64]
    features: NDArray[np.float32]


class Classifier:
    """Holds one loaded model; safe to share between threads, since nothing in it changes after loading.

    Raises BundleError where weights and card do not fit, DatasetError where the label set is unknown.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu"):
        self.card = bundle.card
        self.taxonomy: Taxonomy = load_taxonomy(bundle.card.label_set)
        self._views = VIEWS[bundle.card.test_time_views]
        self._runtime = TorchRuntime(bundle, device)
        self._priors = np.asarray(bundle.card.class_priors)
        calibration = bundle.card.calibration
        self._calibration = Calibration(float(calibration["temperature"]), tuple(calibration["bias"]))

    def _run(self, squares: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._runtime.run(normalise(squares, self.card.mean, self.card.std))

    def predict(self, images: Sequence[NDArray[np.uint8]], batch_size: int = 16) -> Prediction:
        """RGB images [H, W, 3] of any sizes -> Prediction, in the same order."""
        logits, features = [], []
        for start in range(0, len(images), batch_size):
            part = images[start : start + batch_size]
            squares = {
                zoom: np.stack([square(image, self.card.image_size, zoom) for image in part])
                for zoom in {view.zoom for view in self._views}
            }
            answers = [self._run(turned(squares[view.zoom], view)) for view in self._views]
            logits.append(np.mean([answer[0] for answer in answers], axis=0))
            features.append(answers[0][1])
        all_logits = np.concatenate(logits)
        probabilities = self._calibration.probabilities(all_logits.astype(np.float64))
        return Prediction(
            all_logits,
            probabilities,
            named_class(probabilities, self._priors, self.card.prior_power),
            np.concatenate(features),
        )
