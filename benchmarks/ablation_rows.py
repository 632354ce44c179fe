"""What is compared: one baseline, and one row for each single change to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ml.preprocess import chosen_steps
from ml.training.config import TrainingConfig
from ml.transforms.training import STRENGTHS, Augmentation

BASELINE = "baseline"


@dataclass(frozen=True)
class Row:
    """One line of the table. `change` replaces settings of the baseline; `times_epochs` makes its training longer.

    With `views` or `ensemble` nothing is trained: the baseline's own networks answer over more views, or together.
    """

    name: str
    title: str
    change: Mapping[str, Any] = field(default_factory=dict)
    times_epochs: int = 1
    views: int | None = None
    ensemble: bool = False
    needs_teacher: bool = False

    @property
    def trained(self) -> bool:
        """Whether the row needs networks of its own."""
        return self.views is None and not self.ensemble


# The order is that of the runs: what would change the recipe most comes first.
ROWS = (
    Row(BASELINE, "Baseline"),
    Row("views-four", "Answer averaged over four views", views=4),
    Row("views-eight", "Answer averaged over eight views", views=8),
    Row("ensemble", "All seeds' networks averaged", ensemble=True),
    Row("size-128", "128 pixels", {"image_size": 128}),
    Row("size-64", "64 pixels", {"image_size": 64}),
    Row("augmentation-basic", "Basic augmentation (mirror images alone)", {"augmentation": STRENGTHS["basic"]}),
    Row("augmentation-none", "No augmentation", {"augmentation": STRENGTHS["none"]}),
    Row("faults", "Faults of phone photos as augmentation", {"augmentation": Augmentation(faults=0.1)}),
    Row(
        "faults-smaller",
        "Faults of phone photos and smaller lesions as augmentation",
        {"augmentation": Augmentation(faults=0.1, crop_max=1.5)},
    ),
    Row("augmentation-strong", "Strong augmentation", {"augmentation": STRENGTHS["strong"]}),
    Row("weights-none", "No class weights", {"class_weights": "none"}),
    Row("weights-inverse", "Class weights by inverse frequency", {"class_weights": "inverse"}),
    Row(
        "balanced-sampling",
        "Balanced sampling, no class weights",
        {"class_weights": "none", "balanced_sampling": True},
    ),
    Row("focal", "Focal loss (gamma 2), no label smoothing", {"loss": "focal", "label_smoothing": 0.0}),
    Row("mixup", "Mixup (0.2)", {"mixup": 0.2}),
    Row("cutmix", "Cutmix (1.0)", {"cutmix": 1.0}),
    Row("longer", "Twice as many epochs", times_epochs=2),
    Row("hair-removal", "Hair removal", {"preprocessing": chosen_steps(("hair_removal",))}),
    Row("colour-constancy", "Colour constancy", {"preprocessing": chosen_steps(("colour_constancy",))}),
    Row("noise-reduction", "Noise reduction", {"preprocessing": chosen_steps(("noise_reduction",))}),
    Row("hair-copies", "Every second training picture without its hair", {"hair_removed_copies": 0.5}),
    Row("skin-tones", "Every second training picture on another skin tone", {"skin_tones": 0.5}),
    Row("no-average", "No moving average of the weights", {"average_decay": 0.0}),
    Row("one-rate", "One learning rate for the whole backbone", {"early_rate": 1e-3}),
    Row("no-smoothing", "Cross-entropy without label smoothing", {"label_smoothing": 0.0}),
    Row("smoothing-0.1", "Label smoothing of 0.1", {"label_smoothing": 0.1}),
    Row("distillation", "Distillation from a teacher", needs_teacher=True),
)
BY_NAME = {row.name: row for row in ROWS}


@dataclass(frozen=True)
class Protocol:
    """What all rows share. `largest_class` limits the training images of the most frequent class; `weights` and
    `teacher` are as in TrainingConfig."""

    architecture: str = "mobilenet-v2"
    weights: str = "imagenet"
    image_size: int = 96
    epochs: int = 4
    batch_size: int = 32
    largest_class: int = 1000
    teacher: str | None = None

    def config(self, row: Row, seed: int) -> TrainingConfig:
        """The complete settings of one run: a cosine to the end, so that the last weights are the ones to measure."""
        baseline = TrainingConfig(
            architecture=self.architecture,
            weights=self.weights,
            image_size=self.image_size,
            epochs=self.epochs * row.times_epochs,
            batch_size=self.batch_size,
            schedule="cosine",
            patience=self.epochs * row.times_epochs,
            test_time_views="one",
            device="cpu",
            precision="float32",
            threads=1,
            workers=0,
            seed=seed,
            teacher=self.teacher if row.needs_teacher else None,
        )
        return replace(baseline, **row.change)
