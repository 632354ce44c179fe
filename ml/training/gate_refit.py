"""A new gate for a bundle that is trained already."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundle import Bundle, member_prefix
from ml.data.manifest import read_image
from ml.labels import load_taxonomy
from ml.training.cases import confirmed, indexed
from ml.training.ensemble import case_index
from ml.training.gate_fit import MAX_SIDE, bundle_features, fit_network_gate
from ml.training.model_card import limits
from ml.training.rewriting import own_data, rewritten

FRAME = ("mean", "deviation", "components")
"""What places features in the space of similar cases; it stays, or kept features would mean something else."""


def refit_gate(
    bundle: Bundle, data: Path, negatives: Path | None, folder: Path, *, seed: int = 0, network: int | None = None
) -> Bundle:
    """Write to `folder` (NAME/VERSION) the same model with its gate fitted anew (see `fit_network_gate`).

    An ensemble's gate goes by the features of one of its networks: `network` counts it from 0, the present one where
    left out. With another one the confirmed cases are placed anew among its features. Raises TrainingError where the
    bundle was not trained on the prepared data in `data`, BundleError where it has no such network.
    """
    dataset = own_data(bundle, data)
    chosen = bundle.card.gate_network if network is None else network
    seer = bundle.member(chosen) if bundle.card.members or chosen else bundle
    old = seer.gate_arrays()
    frame = {name: old[name] for name in FRAME}
    show, taxonomy = bundle_features(seer), load_taxonomy(bundle.card.label_set)
    arrays, entry = fit_network_gate(show, dataset, negatives, seed, frame, taxonomy.photos)
    told = limits(bundle.card.data, taxonomy, entry)
    card = replace(bundle.card, name=folder.parent.name, version=folder.name, gate=entry, limits=told)
    gates: dict[str, NDArray[Any]] = dict(arrays)
    if card.members:
        members = [{**own, "gate": entry} if index == chosen else own for index, own in enumerate(card.members)]
        card = replace(card, members=tuple(members), gate={**entry, "network": chosen})
        gates = {}
        for index in range(len(members)):
            own_gate = arrays if index == chosen else bundle.member(index).gate_arrays()
            gates |= {member_prefix(index) + name: np.asarray(values) for name, values in own_gate.items()}
    cases = None
    if case_index(bundle) is not None and chosen != bundle.card.gate_network:
        records = confirmed(dataset)
        cases = indexed(records, show(read_image(record, MAX_SIDE) for record in records).features, arrays)
    return rewritten(bundle, folder, card, gates=gates, cases=cases)
