"""The status of an answer: a decision about risk, and about contagious classes together."""

import numpy as np

from ml.labels import Label, Status, Taxonomy
from ml.screening import decide_status


def test_an_infectious_class_at_low_risk_is_not_called_benign() -> None:
    kinds = ((Status.MALIGNANT, "mel"), (Status.INFECTIOUS, "mpox"), (Status.BENIGN, "nv"), (Status.HEALTHY, "skin"))
    taxonomy = Taxonomy("mixed", "Mixed", tuple(Label(code, code, status, code) for status, code in kinds))
    levels = {"malignant": 0.6, "uncertain": 0.2}
    low = np.array([0.1, 0.2, 0.4, 0.3])
    told = [decide_status(taxonomy, named, low, levels) for named in range(4)]
    assert told == [Status.UNCERTAIN, Status.INFECTIOUS, Status.BENIGN, Status.BENIGN]
    assert decide_status(taxonomy, 2, np.array([0.1, 0.5, 0.4, 0.0]), levels) is Status.INFECTIOUS
    assert decide_status(taxonomy, 1, np.array([0.3, 0.5, 0.2, 0.0]), levels) is Status.UNCERTAIN
    assert decide_status(taxonomy, 2, low, None) is Status.UNCERTAIN, "without limits nothing is harmless"
    assert decide_status(taxonomy, 2, np.full(4, np.nan), levels) is Status.UNCERTAIN


def test_contagious_classes_count_together_where_none_is_malignant() -> None:
    kinds = ((Status.INFECTIOUS, "a"), (Status.INFECTIOUS, "b"), (Status.HEALTHY, "skin"), (Status.BENIGN, "eczema"))
    taxonomy = Taxonomy("rash", "Rash", tuple(Label(code, code, status, code) for status, code in kinds))

    def told(named: int, *shares: float) -> Status:
        return decide_status(taxonomy, named, np.array(shares), None)

    assert told(2, 0.33, 0.32, 0.35, 0.0) is Status.INFECTIOUS, "the most probable class is not the likeliest status"
    assert told(2, 0.25, 0.25, 0.5, 0.0) is Status.INFECTIOUS
    assert told(0, 0.4, 0.0, 0.6, 0.0) is Status.INFECTIOUS, "a class named contagious is never called healthy"
    assert told(2, 0.2, 0.2, 0.6, 0.0) is Status.HEALTHY
    assert told(3, 0.2, 0.1, 0.1, 0.6) is Status.BENIGN
    assert told(2, 0.2, 0.2, 0.35, 0.25) is Status.UNCERTAIN
    assert told(2, *[np.nan] * 4) is Status.UNCERTAIN
