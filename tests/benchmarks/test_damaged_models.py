"""Whatever happens to a model's files, it is refused with one sentence and never answers."""

from benchmarks.damaged_models import measure, ways
from ml.bundle import CARD, CASES, CHECKSUMS, GATE, HISTORY, LEARNT, WEIGHTS, Bundle


def test_every_damaged_model_is_refused(tiny_bundle: Bundle) -> None:
    found = measure(tiny_bundle.path, damages=100, seed=0)
    assert found["others"] == []
    assert found["refused"] == 100
    damaged = {name for _way, name in ways(tiny_bundle.path)}
    assert damaged == {CARD, CASES, CHECKSUMS, GATE, HISTORY, LEARNT, WEIGHTS}, "of the graph: test_compiled.py"
    assert len(found["by_kind"]) == len(ways(tiny_bundle.path))
