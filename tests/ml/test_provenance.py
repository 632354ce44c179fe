"""A bundle tells which images it learnt from, and one made from it tells them too."""

from dataclasses import replace
from pathlib import Path

from ml.bundle import HISTORY, LEARNT, Bundle, load_bundle
from ml.data.manifest import load_dataset
from ml.provenance import DIGITS, learnt_from, listed, met
from tests.ml.tiny import TINY, run


def digests(data: Path, *splits: str) -> set[str]:
    dataset = load_dataset(data)
    return {record.sha256 for name in splits for record in dataset.split(name)}


def test_training_lists_what_it_learnt_from_and_was_tuned_on(tiny_bundle: Bundle, drawn_data: Path) -> None:
    used = digests(drawn_data, "train", "val")
    assert set(learnt_from(tiny_bundle) or ()) == {digest[:DIGITS] for digest in used}
    assert met(tiny_bundle, used) == len(used)
    assert met(tiny_bundle, digests(drawn_data, "test")) == 0
    sums = (tiny_bundle.path / "SHA256SUMS").read_text()
    assert LEARNT in sums
    assert HISTORY in sums
    assert (tiny_bundle.path / HISTORY).read_text().startswith("epoch,")


def test_a_warm_start_hands_its_list_on(tiny_bundle: Bundle, drawn_data: Path, tmp_path: Path) -> None:
    config = replace(TINY, epochs=1, head_epochs=0, weights=str(tiny_bundle.path))
    warm = run(config, drawn_data, tmp_path)
    assert (learnt_from(warm) or frozenset()) >= (learnt_from(tiny_bundle) or frozenset({"none"}))
    more = listed(["f" * 64], [tiny_bundle])
    assert more is not None
    assert set(more.split()) == {"f" * DIGITS, *(learnt_from(tiny_bundle) or ())}


def test_an_old_bundle_without_a_list_says_that_nobody_knows() -> None:
    from ml.bundle import DEFAULT_MODEL

    old = load_bundle(DEFAULT_MODEL)
    assert learnt_from(old) is None
    assert met(old, ["0" * 64]) is None
    assert listed(["0" * 64], [old]) is None
