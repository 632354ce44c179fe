"""Which pictures of a data set become the confirmed cases that a model shows beside a photo (ml.similar)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.manifest import Dataset, ImageRecord
from ml.data.reviewed import of_users
from ml.errors import DatasetError
from ml.similar import CaseRecord, fit_case_index


def without_users(records: Sequence[ImageRecord]) -> tuple[ImageRecord, ...]:
    """Training pictures of which features may be kept in a bundle: all but photos of the application's users, whose
    features could not be taken out of it again. Raises DatasetError where no other is there."""
    found = tuple(record for record in records if not of_users(record))
    if not found:
        raise DatasetError(
            "All training pictures are photos of users, of whom a model keeps no features, so that it could have no "
            "gate. Prepare the data with other pictures too, and add these with --include-reviewed."
        )
    return found


def confirmed(dataset: Dataset) -> tuple[ImageRecord, ...]:
    """Every training picture but augmented copies, which are no cases of their own, and photos of users."""
    return without_users([record for record in dataset.split("train") if not record.augmented_from])


def indexed(
    records: Sequence[ImageRecord], features: NDArray[np.float32], gate: Mapping[str, NDArray[np.float32]]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The index of these cases by name and diagnosis, from their pooled features [N, D] and the gate's tensors."""
    cases = [CaseRecord(r.path.stem, r.lesion_id, r.label, r.diagnosis_method) for r in records]
    return fit_case_index(gate, features, cases)
