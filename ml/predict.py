"""`Classifier`: a bundle that answers images, without the gate and without a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby, islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.bundle import Bundle
from ml.calibration import Calibration, named_class
from ml.card import Card
from ml.compiled import open_runtime
from ml.errors import AnswerError
from ml.explain import class_activation, head_gradient
from ml.labels import Taxonomy, load_taxonomy
from ml.preprocess import Preprocessing, prepared
from ml.runtime import Answers, Runtime
from ml.threads import side_by_side, threads
from ml.transforms.serving import VIEWS, View, normalise, square, turned

HEATMAP_SIDE = 32
"""Side of a heatmap in cells: finer than any network's last feature maps, small enough to keep with every photo."""


@dataclass(frozen=True)
class Prediction:
    """Answers to B images: logits [B, C] before calibration, calibrated probabilities [B, C], the index of the class to
    name [B] (see ml.calibration.named_class), pooled features [B, D] of the picture as it is (of the network that the
    gate goes by), and where asked for, heatmaps [B, G, G] in 0..1 of what raised the named class, over the square that
    the network sees.
    """

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    predicted: NDArray[np.int64]
    features: NDArray[np.float32]
    heatmaps: NDArray[np.float32] | None = None


class _Member:
    """One network, the views it looks at, and its own calibration."""

    def __init__(self, bundle: Bundle, device: str):
        self.card = bundle.card
        self.views = VIEWS[bundle.card.test_time_views]
        self.steps = Preprocessing.from_card(bundle.card.preprocessing)
        self.runtime = open_runtime(bundle, device)
        self.head = self.runtime.head()
        self.calibration = calibration_of(bundle.card)

    def squares(self, images: Sequence[NDArray[np.uint8]]) -> dict[float, NDArray[np.uint8]]:
        """Images [H, W, 3] as the network's input size [B, S, S, 3], by the zoom of its views."""
        ready = [prepared(image, self.steps) for image in images]
        return {
            zoom: np.stack([square(image, self.card.image_size, zoom) for image in ready])
            for zoom in {view.zoom for view in self.views}
        }

    def look(self, squares: Mapping[float, NDArray[np.uint8]], views: Sequence[View], maps: bool) -> list[Answers]:
        """The network's answers to each of these views of the `squares`, in one pass."""
        seen = np.concatenate([turned(squares[view.zoom], view) for view in views])
        whole = self.runtime.run(normalise(seen, self.card.mean, self.card.std), maps=maps)
        rows = np.split(np.arange(len(seen)), len(views))
        return [
            Answers(whole.logits[row], whole.features[row], None if whole.maps is None else whole.maps[row])
            for row in rows
        ]

    def passes(self) -> list[tuple[View, ...]]:
        """Its views in their order, those that one pass takes together: of one zoom, where threads are few.

        A compiled engine gains nothing from views in one pass: each is its own, so that all threads end together.
        """
        if self.runtime.compiled:
            return [(view,) for view in self.views]
        together = [tuple(views) for _, views in groupby(self.views, key=lambda view: view.zoom)]
        return together if threads() <= 2 * len(together) else [(view,) for view in self.views]

    def heatmaps(self, answers: list[Answers], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Class activation [B, G, G] in 0..1, the mean over the views, each turned back to the picture as it is."""
        total = np.zeros((len(classes), HEATMAP_SIDE, HEATMAP_SIDE), np.float32)
        covered = np.zeros((HEATMAP_SIDE, HEATMAP_SIDE), np.float32)
        features = np.concatenate([answer.features for answer in answers])
        head, named = self.head, np.tile(classes, len(answers))
        gradients = head_gradient(features, head.weight1, head.bias1, head.weight2, named)
        for view, answer, gradient in zip(self.views, answers, np.split(gradients, len(answers)), strict=True):
            if answer.maps is None:
                raise ValueError("no feature maps were asked for")
            activation, inside = _placed(class_activation(answer.maps, gradient), view)
            total += activation
            covered += inside
        total /= np.maximum(covered, 1)
        total /= np.maximum(total.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)
        return total


class Classifier:
    """Holds one loaded model, of one network or several; safe to share between threads, since nothing in it changes.

    The logits of an ensemble are the mean over its networks of their calibrated log-probabilities, so that each
    speaks on the same scale whatever its own logits look like. Raises BundleError where weights and card do not fit,
    DatasetError where the label set is unknown.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu"):
        self.card = bundle.card
        self.taxonomy: Taxonomy = load_taxonomy(bundle.card.label_set)
        bundle.card.check_meaning(self.taxonomy)
        self._members = [_Member(network, device) for network in bundle.networks()]
        self._compiled = all(member.runtime.compiled for member in self._members)
        self._priors = np.asarray(bundle.card.class_priors)
        self._calibration = calibration_of(bundle.card)

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        """Each network as it runs, in their order."""
        return tuple(member.runtime for member in self._members)

    def predict(
        self, images: Sequence[NDArray[np.uint8]], batch_size: int = 16, *, heatmaps: bool = False
    ) -> Prediction:
        """RGB images [H, W, 3] of any sizes -> Prediction, in the same order.

        Raises AnswerError where logits or features are not finite: neither a gate nor a limit on risk says no to NaN.
        """
        parts = [self._part(images[i : i + batch_size], heatmaps) for i in range(0, len(images), batch_size)]
        return Prediction(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.predicted for part in parts]),
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.heatmaps for part in parts if part.heatmaps is not None]) if heatmaps else None,
        )

    def _part(self, images: Sequence[NDArray[np.uint8]], heatmaps: bool) -> Prediction:
        answers = self._ask(images, heatmaps)
        logits = [np.mean([view.logits for view in given], axis=0) for given in answers]
        mean = logits[0]
        if len(self._members) > 1:
            pairs = zip(self._members, logits, strict=True)
            mean = combined([member.calibration.probabilities(own.astype(np.float64)) for member, own in pairs])
        features = answers[self.card.gate_network][0].features
        if not all(np.isfinite(values).all() for values in (*logits, features)):
            raise AnswerError(f"The model '{self.card.name}' gave no finite numbers for a photo; nothing was answered.")
        probabilities = self._calibration.probabilities(mean.astype(np.float64))
        predicted = named_class(probabilities, self._priors, self.card.prior_power)
        maps = None
        if heatmaps:
            looked = zip(self._members, answers, strict=True)
            maps = np.mean([member.heatmaps(given, predicted) for member, given in looked], axis=0)
        return Prediction(mean, probabilities, predicted, features, maps)

    def _ask(self, images: Sequence[NDArray[np.uint8]], maps: bool) -> list[list[Answers]]:
        """Each network's answers to each of its views, in their order."""
        shown = [(member, member.squares(images)) for member in self._members]
        looks = [partial(member.look, squares, views, maps) for member, squares in shown for views in member.passes()]
        found = chain.from_iterable(side_by_side(looks, compiled=self._compiled))
        return [list(islice(found, len(member.views))) for member in self._members]


def combined(probabilities: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """The calibrated probabilities [B, C] of several networks -> logits [B, C]: the mean of their logarithms."""
    mean: NDArray[np.float32] = np.mean(np.log(np.maximum(probabilities, 1e-12)), axis=0).astype(np.float32)
    return mean


def calibration_of(card: Card) -> Calibration:
    """The calibration that a card tells."""
    values = card.calibration
    return Calibration(float(values["temperature"]), tuple(values["bias"]))


def _placed(activation: NDArray[np.float32], view: View) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A view's activation [B, h, w] on the grid of the picture as it is [B, G, G], and where the view looked [G, G]."""
    if view.mirror:
        activation = activation[:, :, ::-1]
    if view.quarter_turn:
        activation = np.rot90(activation, -1, axes=(1, 2))
    side = round(view.zoom * HEATMAP_SIDE)
    start = (HEATMAP_SIDE - side) // 2
    inside = slice(start, start + side)
    grid = np.zeros((len(activation), HEATMAP_SIDE, HEATMAP_SIDE), np.float32)
    covered = np.zeros((HEATMAP_SIDE, HEATMAP_SIDE), np.float32)
    covered[inside, inside] = 1
    for target, cells in zip(grid, activation, strict=True):
        image = Image.fromarray(np.ascontiguousarray(cells))
        target[inside, inside] = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    return grid, covered
