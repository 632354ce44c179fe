"""A new gate for a bundle that is trained already."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from ml.bundle import HISTORY, LEARNT, WEIGHTS, Bundle, member_prefix, save_bundle
from ml.data.manifest import load_dataset
from ml.errors import TrainingError
from ml.labels import load_taxonomy
from ml.training.ensemble import case_index
from ml.training.gate_fit import bundle_features, fit_network_gate

FRAME = ("mean", "deviation", "components")
"""What places features in the space of similar cases; it stays, or kept features would mean something else."""


def refit_gate(bundle: Bundle, data: Path, negatives: Path | None, folder: Path, *, seed: int = 0) -> Bundle:
    """Write to `folder` (NAME/VERSION) the same model with its gate fitted anew (see `fit_network_gate`).

    An ensemble's gate looks at the features of its first network, so that one's is fitted. Raises TrainingError where
    the bundle was not trained on the prepared data in `data`.
    """
    dataset = load_dataset(data, bundle.card.data.get("fold"))
    if bundle.card.data.get("split_digests") != dataset.fingerprint()["split_digests"]:
        raise TrainingError(f"The model {bundle.card.name} was trained on other data, or on another split of it.")
    old = bundle.gate_arrays()
    frame = {name: old[name] for name in FRAME}
    photos = load_taxonomy(bundle.card.label_set).photos
    arrays, entry = fit_network_gate(bundle_features(bundle), dataset, negatives, seed, frame, photos)
    card = replace(bundle.card, name=folder.parent.name, version=folder.name, gate=entry)
    gates: dict[str, NDArray[Any]] = dict(arrays)
    if card.members:
        card = replace(card, members=({**card.members[0], "gate": entry}, *card.members[1:]))
        gates = {member_prefix(0) + name: values for name, values in arrays.items()}
        for index in range(1, len(card.members)):
            own = bundle.member(index).gate_arrays()
            gates |= {member_prefix(index) + name: np.asarray(values) for name, values in own.items()}
    kept = {name: path.read_text() if (path := bundle.path / name).is_file() else None for name in (LEARNT, HISTORY)}
    return save_bundle(folder, card, load_file(bundle.path / WEIGHTS), gates, case_index(bundle), kept)
