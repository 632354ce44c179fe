"""Everything that decides a training run, in one frozen value that is saved with its result."""

from dataclasses import asdict, dataclass, field
from typing import Any

from ml.architectures import DEFAULT_ARCHITECTURE, find_architecture
from ml.errors import TrainingError
from ml.preprocess import Preprocessing
from ml.severity_grades import LABEL_SET, check_disease
from ml.transforms.serving import VIEWS
from ml.transforms.training import Augmentation

SCHEDULES = ("plateau", "cosine")
CLASS_WEIGHTS = ("sqrt", "inverse", "none")
LOSSES = ("cross-entropy", "focal")
PRECISIONS = ("auto", "float32", "bf16")


@dataclass(frozen=True)
class OperatingPoints:
    """How the two thresholds on malignant risk are chosen on the validation split.

    `sensitivity`: the malignant threshold is the highest whose sensitivity to lesions has a lower 95 % bound of at
    least this.
    `missed`: the uncertain threshold is the highest that is expected to miss at most this share of malignant lesions
    to come. Both as in ml.calibration.fit_thresholds.
    """

    sensitivity: float = 0.90
    missed: float = 0.02

    def check(self) -> None:
        """Raises TrainingError for shares that are none: a negative one would leave no lesion uncertain."""
        if not 0 < self.sensitivity < 1 or not 0 <= self.missed < 1:
            raise TrainingError("The sensitivity asked for must lie between 0 and 1, the share missed in [0, 1).")


@dataclass(frozen=True)
class TrainingConfig:
    """One training run. Learning rates are AdamW's; `early_rate` is for the first layer, rising to `backbone_rate`.

    `serving_size` is the input side of the finished bundle, where it differs from that of training: random crops make
    lesions look larger in training than in serving, which a somewhat larger input makes up for (Touvron, Vedaldi,
    Douze, Jegou 2019, "Fixing the train-test resolution discrepancy"). `focal_gamma` counts with the focal loss alone;
    `mixup` and `cutmix` are the parameter of the beta distribution that shares are drawn from, 0 for neither. `fold` is
    the one to train on, from 1, of a data set that has folds. `hair_removed_copies` and `skin_tones` are the shares of
    training pictures that are shown without their hair and on skin of another tone, drawn anew in each epoch.
    `packed` stores the weights in a byte each (ml.packing); `compiled` adds the graph that makes answers faster
    (ml.compiled), which takes some ten seconds.
    `disease` makes it a severity model of that disease (ml.severity), whose label set is `severity`.
    """

    label_set: str = "ham10000"
    disease: str | None = None
    fold: int | None = None
    architecture: str = DEFAULT_ARCHITECTURE
    weights: str = "imagenet"
    image_size: int = 224
    serving_size: int | None = None
    epochs: int = 30
    head_epochs: int = 1
    batch_size: int = 24
    head_rate: float = 1e-3
    backbone_rate: float = 1e-3
    early_rate: float = 4e-4
    weight_decay: float = 0.02
    schedule: str = "plateau"
    warmup_epochs: float = 0.5
    plateau_patience: int = 2
    plateau_factor: float = 0.3
    patience: int = 5
    class_weights: str = "sqrt"
    balanced_sampling: bool = False
    loss: str = "cross-entropy"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.05
    mixup: float = 0.0
    cutmix: float = 0.0
    hair_removed_copies: float = 0.0
    skin_tones: float = 0.0
    dropout: float = 0.5
    average_decay: float = 0.999
    reset_batch_norm: bool = False
    batch_norm_momentum: float | None = None
    teacher: str | None = None
    distillation: float = 0.5
    distillation_temperature: float = 2.0
    test_time_views: str = "eight"
    packed: bool = False
    compiled: bool = False
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"
    threads: int = 0
    workers: int = -1
    augmentation: Augmentation = field(default_factory=Augmentation)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    operating_points: OperatingPoints = field(default_factory=OperatingPoints)

    def check(self) -> None:
        """Raises TrainingError or DatasetError, in one sentence, for values that cannot be trained with."""
        find_architecture(self.architecture)
        if self.disease is not None:
            check_disease(self.disease)
        if (self.disease is None) == (self.label_set == LABEL_SET):
            raise TrainingError(f"The label set '{LABEL_SET}' belongs to a severity model: name its disease.")
        for name, value, allowed in (
            ("schedule", self.schedule, SCHEDULES),
            ("class weights", self.class_weights, CLASS_WEIGHTS),
            ("loss", self.loss, LOSSES),
            ("precision", self.precision, PRECISIONS),
            ("set of views", self.test_time_views, tuple(VIEWS)),
        ):
            if value not in allowed:
                raise TrainingError(f"Unknown {name} '{value}'. Choose one of: {', '.join(allowed)}.")
        if self.epochs < 1 or self.batch_size < 2 or min(self.image_size, self.serving_size or 32) < 32:
            raise TrainingError("Training needs at least 1 epoch, a batch of 2 and images of 32 pixels.")
        if self.patience < 1 or not 0 <= self.distillation <= 1 or not 0 <= self.average_decay < 1:
            raise TrainingError("Patience must be at least 1, distillation in [0, 1], average decay in [0, 1).")
        if min(self.head_rate, self.backbone_rate, self.early_rate) <= 0:
            raise TrainingError("Learning rates must be above 0.")
        if min(self.mixup, self.cutmix, self.focal_gamma) < 0:
            raise TrainingError("Mixup, cutmix and the focal loss's gamma must be at least 0.")
        if not 0 <= self.hair_removed_copies <= 1 or not 0 <= self.skin_tones <= 1:
            raise TrainingError("The shares of pictures shown without hair or on another skin tone must lie in [0, 1].")
        if self.hair_removed_copies and self.preprocessing.hair_removal is not None:
            raise TrainingError(
                "Hair is taken from every picture already: leave out --hair-removal or --hair-removed-copies."
            )
        if not 0 <= self.dropout < 1 or not 0 <= self.label_smoothing < 1:
            raise TrainingError("Dropout and label smoothing must lie in [0, 1).")
        self.operating_points.check()
        if not 0 < self.augmentation.crop_min <= 1 or not 0 <= self.augmentation.hue <= 0.5:
            raise TrainingError("The smallest crop must lie in (0, 1], and the change of hue in [0, 0.5].")
        if not 1 <= self.augmentation.crop_max <= 4 or not 0 <= self.augmentation.faults <= 1:
            raise TrainingError("The largest crop must lie in [1, 4], and the chance of each fault in [0, 1].")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the card and the checkpoint."""
        return asdict(self)
