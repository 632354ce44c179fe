"""The gate of a trained network: fitted on most of the other pictures, measured on the rest."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.manifest import Dataset, read_image
from ml.gate import GateModel, fit_gate, is_held_out
from ml.gate_quality import quality_scores
from ml.screening import NOT_SKIN
from ml.training.loop import Run, network_answers
from ml.training.negatives import Picture, generated, read_negatives, varied, varied_copies
from ml.transforms.serving import square

Pixels = NDArray[np.uint8]

TRAINING_PICTURES = 1500
GENERATED_PICTURES = 240


def fit_run_gate(
    run: Run, dataset: Dataset, negatives: Path | None
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """The gate's arrays and its entry in the card.

    Limits come from training and validation pictures. With `negatives`, a head learns to tell dermatoscopic pictures
    from others; the files that `is_held_out` names are kept from it and give the entry's `measured`: verdicts of unseen
    pictures by kind.
    """
    random = np.random.default_rng(run.config.seed)
    records = dataset.split("train")
    chosen = [records[int(row)] for row in random.permutation(len(records))[:TRAINING_PICTURES]]
    pictures = [read_image(record, 640) for record in chosen]
    training, others, held = list(pictures), dict[str, list[Pixels]](), dict[str, list[Picture]]()
    if negatives is not None:
        # Usable pictures are handed on in the same ways as the others, so that no way of handing on tells them apart.
        training += [varied(picture, random, crop=False) for picture in pictures]
        for kind, found in read_negatives(negatives).items():
            fitted = [picture for picture in found if not is_held_out(picture.name)]
            held[kind] = [picture for picture in found if is_held_out(picture.name)]
            others[kind] = [p.pixels for p in fitted] + list(varied_copies([p.pixels for p in fitted], random))
        others[NOT_SKIN] = others.get(NOT_SKIN, []) + list(generated(random, GENERATED_PICTURES))
    arrays, entry = fit_gate(
        _features(run, training),
        network_answers(run, run.network, run.validation.images)[1],
        [quality_scores(picture) for picture in pictures],
        {kind: _features(run, found) for kind, found in others.items()},
        seed=run.config.seed,
    )
    gate = GateModel(arrays, entry["limits"])
    entry["measured"] = {kind: _verdicts(run, gate, [p.pixels for p in found]) for kind, found in held.items() if found}
    return arrays, entry


def _features(run: Run, pictures: list[Pixels]) -> NDArray[np.float32]:
    squares = np.stack([square(picture, run.validation.images.shape[1]) for picture in pictures])
    return network_answers(run, run.network, squares)[1]


def _verdicts(run: Run, gate: GateModel, pictures: list[Pixels]) -> dict[str, int]:
    """How many of the pictures got each verdict."""
    pairs = zip(pictures, _features(run, pictures), strict=True)
    return dict(Counter(gate.judge(quality_scores(picture), features).verdict for picture, features in pairs))
