"""Several trained bundles as one: their answers averaged, and every choice fixed anew on the validation split."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from tqdm import tqdm

from ml.bundle import CASES, LEARNT, WEIGHTS, Bundle, member_prefix, save_bundle
from ml.data.manifest import Dataset, load_dataset, read_image
from ml.errors import TrainingError
from ml.labels import load_taxonomy
from ml.packing import pack, unpack
from ml.predict import Classifier, combined
from ml.provenance import listed
from ml.training.choices import fix_choices
from ml.training.config import OperatingPoints
from ml.training.model_card import licence

log = logging.getLogger("lesion_lens.train")

BATCH_SIZE = 16
MAX_SIDE = 2400  # pixels; larger pictures are shrunk, as those that people upload are


def make_ensemble(
    members: Sequence[Bundle], data: Path, folder: Path, points: OperatingPoints, *, progress: bool = True
) -> Bundle:
    """Write the ensemble of `members` to `folder` (NAME/VERSION): a bundle like any other.

    Its logits are the mean of the members' calibrated log-probabilities (Lakshminarayanan, Pritzel, Blundell 2017,
    "Simple and scalable predictive uncertainty estimation using deep ensembles", average networks in this way).
    Calibration, thresholds and naming power are fitted on the validation split of the prepared data in `data`, which
    must be the one that all members were trained with, or one member would be judged on pictures that it learnt from.
    The gate, the features and the confirmed cases are those of the first member. Weights are packed (ml.packing).
    Raises TrainingError where the members do not belong together or to that data.
    """
    points.check()
    dataset = load_dataset(data, members[0].card.data.get("fold") if members else None)
    _check(members, dataset)
    first = members[0].card
    taxonomy, records = load_taxonomy(first.label_set), dataset.split("val")
    labels = np.array([taxonomy.index(record.label) for record in records], np.int64)
    card = replace(
        first,
        name=folder.parent.name,
        version=folder.name,
        members=tuple(asdict(member.card) for member in members),
        training={
            "members": [f"{member.card.name}@{member.card.version}" for member in members],
            "operating_points": asdict(points),
        },
        lineage=(),
        licence=licence(first.data, _learnt_before(members)),
    )
    weights, gate = dict[str, NDArray[Any]](), dict[str, NDArray[Any]]()
    for index, member in enumerate(members):
        own = pack(unpack(load_file(member.path / WEIGHTS)))
        weights |= {member_prefix(index) + name: value for name, value in own.items()}
        gate |= {member_prefix(index) + name: value for name, value in member.gate_arrays().items()}
    with tempfile.TemporaryDirectory() as draft:  # choices are fitted on the weights as they will be served, packed
        packed = save_bundle(Path(draft) / card.name / card.version, card, weights, gate)
        logits = _logits(packed.networks(), dataset, progress)
    chosen = fix_choices(
        logits, labels, [r.lesion_id for r in records], np.asarray(first.class_priors), taxonomy, points
    )
    card = replace(
        card,
        calibration=chosen.calibration,
        thresholds=chosen.thresholds,
        prior_power=chosen.prior_power,
        validation=chosen.validation,
    )
    log.info("Validation: %s", card.validation)
    graphs = {
        member_prefix(index) + name: graph
        for index, member in enumerate(members)
        for name, graph in member.graphs().items()
    }
    texts = {LEARNT: listed((), members)}
    return save_bundle(folder, card, weights, gate, case_index(members[0]), texts, graphs)


def _learnt_before(members: Sequence[Bundle]) -> list[Mapping[str, Any]]:
    """The data of each member, and of what it started from or learnt of."""
    cards = [member.card for member in members]
    return [data for card in cards for data in (card.data, *(entry["data"] for entry in card.lineage))]


def case_index(bundle: Bundle) -> tuple[dict[str, NDArray[Any]], dict[str, str]] | None:
    """Tensors and metadata of the bundle's index of confirmed cases; None where it has none."""
    path = bundle.path / CASES
    if not path.is_file():
        return None
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _logits(members: Sequence[Bundle], dataset: Dataset, progress: bool) -> NDArray[np.float64]:
    """The ensemble's logits [N, C] of the validation pictures, as serving computes them."""
    classifiers, records = [Classifier(member) for member in members], dataset.split("val")
    found = []
    for start in tqdm(range(0, len(records), BATCH_SIZE), desc="validation", disable=not progress):
        photos = [read_image(record, MAX_SIDE) for record in records[start : start + BATCH_SIZE]]
        found.append(combined([classifier.predict(photos).probabilities for classifier in classifiers]))
    return np.concatenate(found).astype(np.float64)


def _check(members: Sequence[Bundle], dataset: Dataset) -> None:
    if len(members) < 2:
        raise TrainingError("An ensemble needs at least two models.")
    if any(member.card.members for member in members):
        raise TrainingError("A member of an ensemble cannot be an ensemble; name its networks one by one.")
    digests = dataset.fingerprint()["split_digests"]
    for member in members:
        if member.card.classes != dataset.classes:
            raise TrainingError(f"The model {member.card.name} has other classes than the data.")
        if member.card.data.get("split_digests") != digests:
            raise TrainingError(f"The model {member.card.name} was trained on other data, or on another split of it.")
