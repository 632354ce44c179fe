"""A trained bundle as the teacher of another network (distillation)."""

import torch
from torch import Tensor
from torch.nn import functional

from ml.architectures import build_model
from ml.bundle import Bundle
from ml.errors import TrainingError
from ml.networks import set_channels_last
from ml.preprocess import Preprocessing
from ml.runtime import load_state
from ml.training.normaliser import Normaliser


class Teacher:
    """Gives logits for the very views that the student sees; fixed, never trained.

    Raises TrainingError for a bundle of other classes, of several networks, or whose pictures are prepared in other
    `steps` than the student's, since it is shown those.
    """

    def __init__(self, bundle: Bundle, classes: tuple[str, ...], student: Normaliser, steps: Preprocessing):
        card = bundle.card
        if card.classes != classes:
            raise TrainingError(f"The teacher {card.name} has other classes than this run.")
        if card.members:
            raise TrainingError(f"The teacher {card.name} is an ensemble; give one network as the teacher.")
        if Preprocessing.from_card(card.preprocessing) != steps:
            raise TrainingError(
                f"The teacher {card.name} was trained on pictures prepared in another way; train with the same of "
                "--hair-removal, --noise-reduction and --colour-constancy."
            )
        self.size = card.image_size
        self.network = build_model(card.architecture, len(classes), card.image_size)
        self.network.load_state_dict(load_state(bundle), strict=True)
        self.network.eval().requires_grad_(False).to(student.device)
        set_channels_last(self.network)
        # What is normalised for the student, in the teacher's own terms: y = (x * own scale) - own offset.
        own = Normaliser(card.mean, card.std, student.device)
        self.scale = own.scale / student.scale
        self.offset = own.offset - student.offset * self.scale

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Images as normalised for the student [B, 3, S, S] -> logits [B, C]."""
        batch = images * self.scale - self.offset
        if batch.shape[-1] != self.size:
            batch = functional.interpolate(batch, size=self.size, mode="bilinear", antialias=True)
        logits: Tensor = self.network(batch.contiguous(memory_format=torch.channels_last))
        return logits.float()
