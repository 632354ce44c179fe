"""The demonstration's models: tiny, really trained on drawn lesions and really compared, and no better than that."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ml.data.drawn import write_drawn_dataset
from ml.data.prepare import prepare
from webapp.demo.sizes import Recipe

VERSION = "1"
ARCHITECTURE, IMAGE_SIZE, LABEL_SET = "lenet", 32, "ham10000"
WIDE_MARGIN = 0.4
"""The loss of sensitivity that as few lesions as these can rule out."""
COMPARED_SEED = 77
"""The pictures that the two are compared on are none that they learnt from."""


@dataclass(frozen=True)
class Trained:
    """A bundle in the folder of models, the seconds its training took, and from how many pictures."""

    recipe: Recipe
    folder: Path
    seconds: float
    images: int

    @property
    def reference(self) -> str:
        """NAME@VERSION."""
        return f"{self.recipe.name}@{VERSION}"


def train_bundle(recipe: Recipe, models: Path) -> Trained:
    """Train one into the folder of models. Takes some seconds."""
    from ml.train import train
    from ml.training.config import TrainingConfig

    started = time.monotonic()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = write_drawn_dataset(folder / "source", per_class=recipe.per_class, size=(120, 160))
        dataset = prepare(source, LABEL_SET, folder / "prepared")
        config = TrainingConfig(
            architecture=ARCHITECTURE, weights="none", image_size=IMAGE_SIZE, epochs=recipe.epochs, head_epochs=0,
            batch_size=8, average_decay=0.9, test_time_views="one", device="cpu", threads=1, workers=0,
            patience=recipe.epochs,
        )  # fmt: skip
        place = models / recipe.name / VERSION
        train(config, folder / "prepared", folder / "run", place, progress_bar=False)
    return Trained(recipe, place, time.monotonic() - started, len(dataset.split("train")))


@dataclass(frozen=True)
class Compared:
    """What `ml.challenge` says of the challenger in the champion's place, and of the champion in the challenger's; and
    a digest of the pictures' manifest."""

    forward: dict[str, Any]
    back: dict[str, Any]
    set_digest: str


def compare_bundles(champion: Path, challenger: Path, per_class: int) -> Compared:
    """Compare the two on drawn lesions, `per_class` of each class."""
    from ml.bundle import load_bundle
    from ml.challenge import challenge_both_ways
    from ml.data.promotion_set import add_promotion_set
    from ml.data.sources import SourceFolder
    from webapp.promotion.decisions import set_digest

    before, after = load_bundle(champion), load_bundle(challenger)
    with TemporaryDirectory() as scratch:
        source = write_drawn_dataset(Path(scratch) / "source", per_class, seed=COMPARED_SEED, size=(120, 160))
        folder = Path(scratch) / "set"
        add_promotion_set(folder, SourceFolder(source, LABEL_SET), label_set=LABEL_SET)
        return Compared(*challenge_both_ways(before, after, folder, WIDE_MARGIN), set_digest(folder))
