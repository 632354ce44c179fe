"""Which pictures of a data set become the confirmed cases that a model shows beside a photo (ml.similar)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.manifest import Dataset, ImageRecord
from ml.data.reviewed import SOURCE as REVIEWED
from ml.similar import CaseRecord, fit_case_index


def confirmed(dataset: Dataset) -> tuple[ImageRecord, ...]:
    """Every training picture but augmented copies, which are no cases of their own, and photos of the application's
    users: they leave no features in a bundle, since these could not be taken out of it again."""
    own = (record for record in dataset.split("train") if not record.augmented_from)
    return tuple(record for record in own if record.source != REVIEWED)


def indexed(
    records: Sequence[ImageRecord], features: NDArray[np.float32], gate: Mapping[str, NDArray[np.float32]]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The index of these cases by name and diagnosis, from their pooled features [N, D] and the gate's tensors."""
    cases = [CaseRecord(r.path.stem, r.lesion_id, r.label, r.diagnosis_method) for r in records]
    return fit_case_index(gate, features, cases)
