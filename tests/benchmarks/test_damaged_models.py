"""Whatever happens to a model's files, it is refused with one sentence and never answers."""

from benchmarks.damaged_models import measure, ways
from ml.bundle import Bundle


def test_every_damaged_model_is_refused(tiny_bundle: Bundle) -> None:
    found = measure(tiny_bundle.path, damages=100, seed=0)
    assert found["others"] == []
    assert found["refused"] == 100
    assert len(found["by_kind"]) == len(ways())
