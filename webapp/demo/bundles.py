"""The demonstration's models: tiny, really trained on drawn lesions, and no better than that."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ml.data.drawn import write_drawn_dataset
from ml.data.prepare import prepare

CHAMPION, CHALLENGER = "demo-champion", "demo-challenger"
VERSION = "1"


@dataclass(frozen=True)
class Recipe:
    """How one of them is trained: its name, pictures of each class and epochs."""

    name: str
    per_class: int
    epochs: int


RECIPES = (Recipe(CHAMPION, 8, 4), Recipe(CHALLENGER, 12, 8))
"""The champion has seen less and for a shorter time than its challenger."""


def train_bundle(recipe: Recipe, models: Path) -> Path:
    """Train one into the folder of models; returns the bundle's folder. Takes some seconds."""
    from ml.train import train
    from ml.training.config import TrainingConfig

    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = write_drawn_dataset(folder / "source", per_class=recipe.per_class, size=(120, 160))
        prepare(source, "ham10000", folder / "prepared")
        config = TrainingConfig(
            architecture="lenet", weights="none", image_size=32, epochs=recipe.epochs, head_epochs=0, batch_size=8,
            average_decay=0.9, test_time_views="one", device="cpu", threads=1, workers=0, patience=recipe.epochs,
        )  # fmt: skip
        place = models / recipe.name / VERSION
        train(config, folder / "prepared", folder / "run", place, progress_bar=False)
    return place
