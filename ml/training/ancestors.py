"""The bundles that a run starts from or learns of, and whether they have met what it is to be tested on."""

import logging
from pathlib import Path

from ml.bundle import Bundle, is_bundle, load_bundle
from ml.data.manifest import PROMOTION, Dataset
from ml.errors import TrainingError
from ml.provenance import met
from ml.training.config import TrainingConfig

log = logging.getLogger("lesion_lens.train")


def ancestors(config: TrainingConfig) -> list[Path]:
    """The bundles of a warm start and of the teacher. A file out of a bundle's folder stands for that bundle."""
    named = [Path(config.weights), Path(config.teacher or "")]
    return [path if is_bundle(path) else path.parent for path in named if is_bundle(path) or _is_part(path)]


def _is_part(path: Path) -> bool:
    return path.is_file() and is_bundle(path.parent)


def check_ancestors(config: TrainingConfig, dataset: Dataset) -> None:
    """Before a run on a fold: raises TrainingError unless every ancestor's list of images has none that the fold tests,
    or its card says that it is of this very fold. Elsewhere a test that is spoilt so is worth a warning: the evaluation
    says it again.
    """
    held = [record.sha256 for name in ("test", PROMOTION) for record in dataset.split(name)]
    fold = dataset.summary.get("fold")
    for path in ancestors(config):
        bundle = load_bundle(path)
        name = f"{bundle.card.name}@{bundle.card.version}"
        known = met(bundle, held)
        if known:
            found = f"{name} learnt from or was tuned on {known} of the {len(held)} images that are held out here."
            if fold is not None:
                raise TrainingError(f"{found} Fold {fold} cannot start from it; take weights of other data.")
            log.warning("%s No figure on them counts.", found)
        elif known is None and fold is not None and not _same_split(bundle, dataset):
            raise TrainingError(
                f"{name} keeps no list of the images that it learnt from, so it may have met what fold {fold} tests; "
                "take weights that have such a list, or those of no bundle."
            )


def _same_split(bundle: Bundle, dataset: Dataset) -> bool:
    """Whether everything of the bundle was trained on exactly this split, as far as its cards tell."""
    members = [entry for member in bundle.card.members for entry in (member, *member.get("lineage", ()))]
    parts = [bundle.card.data, *(entry["data"] for entry in (*bundle.card.lineage, *members))]
    own = dataset.fingerprint()["split_digests"]
    return all(data.get("split_digests") == own for data in parts)
