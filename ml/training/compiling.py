"""A bundle that was made without compiled graphs, with them."""

from dataclasses import replace
from pathlib import Path

from safetensors.numpy import load_file

from ml.bundle import GATE, HISTORY, LEARNT, WEIGHTS, Bundle, save_bundle
from ml.compiled import compile_bundle
from ml.training.ensemble import case_index


def compile_model(bundle: Bundle, folder: Path) -> Bundle:
    """Write to `folder` (NAME/VERSION) the same model with the graph of each of its networks (see ml.compiled).

    Weights, choices, gate and cases stay what they are. Raises BundleError where a graph answers otherwise than its
    network, or the bundle is damaged.
    """
    card = replace(bundle.card, name=folder.parent.name, version=folder.name)
    kept = {name: path.read_text() if (path := bundle.path / name).is_file() else None for name in (LEARNT, HISTORY)}
    weights, gates = load_file(bundle.path / WEIGHTS), load_file(bundle.path / GATE)
    return save_bundle(folder, card, weights, gates, case_index(bundle), kept, compile_bundle(bundle))
