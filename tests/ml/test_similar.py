"""Similar cases: what is found, how it is kept, and how agreement is measured."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.spatial.distance import cdist

from ml.errors import BundleError
from ml.gate import project
from ml.similar import CaseIndex, CaseRecord, fit_case_index

CODES = ("nv", "mel", "bcc")
HOW = ("histo", "follow_up", "consensus", "confocal")


def clusters(count: int, seed: int, spread: float = 0.5) -> tuple[np.ndarray, list[str]]:
    """Features [N, 12] around one centre for each class, and the classes."""
    random = np.random.default_rng(seed)
    labels = [CODES[row % 3] for row in range(count)]
    centres = {code: np.eye(12)[number] * 6 for number, code in enumerate(CODES)}
    return np.stack([centres[code] + spread * random.normal(size=12) for code in labels]).astype(np.float32), labels


def gate_arrays(features: np.ndarray) -> dict[str, np.ndarray]:
    unit = (features - features.mean(axis=0)) / features.std(axis=0)
    _, _, directions = np.linalg.svd(unit, full_matrices=False)
    return {"mean": features.mean(axis=0), "deviation": features.std(axis=0), "components": directions[:5]}


FEATURES, LABELS = clusters(120, seed=1)
ARRAYS = gate_arrays(FEATURES)
# Two images of each lesion, which need not lie side by side.
RECORDS = [CaseRecord(f"ISIC_{row:07d}", f"L{row % 60}", LABELS[row], HOW[row % 4]) for row in range(120)]


@pytest.fixture
def index(tmp_path: Path) -> CaseIndex:
    tensors, metadata = fit_case_index(ARRAYS, FEATURES, RECORDS)
    save_file(tensors, tmp_path / "cases.safetensors", metadata=metadata)
    return CaseIndex.load(tmp_path / "cases.safetensors")


def test_a_file_gives_every_case_back(index: CaseIndex, tmp_path: Path) -> None:
    assert index.cases == tuple(RECORDS)
    assert index.components == 5
    tensors, metadata = fit_case_index(ARRAYS, FEATURES, RECORDS)
    assert tensors["features"].dtype == np.float16
    assert tensors["classes"].dtype == np.int8
    save_file(tensors, tmp_path / "again.safetensors", metadata=metadata)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "cases.safetensors").read_bytes()


def test_the_nearest_are_the_nearest_and_every_lesion_comes_once(index: CaseIndex) -> None:
    points = project(ARRAYS, FEATURES)
    asked = project(ARRAYS, clusters(9, seed=2)[0])
    for row, point in enumerate(asked):
        found = index.nearest(point, k=8)
        assert [n.distance for n in found] == sorted(n.distance for n in found)
        assert len({n.case.lesion for n in found}) == 8
        reference = cdist(asked[row : row + 1], points)[0]
        by_lesion = sorted(min(reference[number], reference[number + 60]) for number in range(60))
        assert [n.distance for n in found] == pytest.approx(by_lesion[:8], abs=0.02), "half precision is kept"


def test_a_known_picture_finds_itself(index: CaseIndex) -> None:
    first, second = index.nearest(project(ARRAYS, FEATURES[7:8])[0], k=2)
    assert (first.case, first.closeness) == (RECORDS[7], 1.0)
    assert first.distance == pytest.approx(0, abs=0.05)
    assert second.distance > first.distance


def test_there_are_never_more_neighbours_than_lesions(index: CaseIndex) -> None:
    assert len(index.nearest(project(ARRAYS, FEATURES[:1])[0], k=500)) == 60


def test_closeness_is_the_share_of_cases_that_lie_farther_from_their_neighbours(index: CaseIndex) -> None:
    points = project(ARRAYS, FEATURES).astype(np.float16).astype(np.float32)
    between = cdist(points, points)
    lesion = np.arange(120) % 60
    between[lesion[:, None] == lesion[None]] = np.inf
    nearest = between.min(axis=1)
    for point in project(ARRAYS, clusters(30, seed=3, spread=1.0)[0]):
        found = index.nearest(point, k=8)
        shares = [n.closeness for n in found]
        assert shares == sorted(shares, reverse=True)
        assert shares == pytest.approx([float((nearest > n.distance).mean()) for n in found], abs=0.02)
    assert index.nearest(project(ARRAYS, FEATURES[:1] + 100)[0])[0].closeness == 0


def test_agreement_is_near_one_for_parted_classes_and_at_chance_for_random_labels(index: CaseIndex) -> None:
    photos, labels = clusters(90, seed=4)
    points = project(ARRAYS, photos)
    found = index.agreement(points, labels)
    assert (found.photos, found.neighbours) == (90, 8)
    assert found.macro_recall > 0.95
    assert found.macro_recall == pytest.approx(np.mean(list(found.recalls.values())))
    assert 0.3 < found.closeness < 0.7, "drawn like the cases themselves"
    shuffled = index.agreement(points, list(np.random.default_rng(5).permutation(labels)))
    assert shuffled.macro_recall == pytest.approx(1 / 3, abs=0.2)
    assert shuffled.same_class == pytest.approx(1 / 3, abs=0.1)


def test_a_tie_goes_to_the_nearer_class() -> None:
    cases = [CaseRecord(str(n), str(n), code, "") for n, code in enumerate(("mel", "nv", "nv", "mel"))]
    features = np.array([[1.0], [2.0], [3.0], [4.0]], dtype=np.float32)
    index = CaseIndex(features, np.array([0.0, 1.0], dtype=np.float32), cases)
    found = index.agreement(np.zeros((1, 1), np.float32), ["mel"], k=4)
    assert (found.recalls, found.same_class) == ({"mel": 1.0}, 0.5)


def test_unfit_input_is_refused(index: CaseIndex) -> None:
    with pytest.raises(ValueError, match="5 components"):
        index.nearest(np.zeros(6, np.float32))
    with pytest.raises(ValueError, match="120 features for 1 cases"):
        fit_case_index(ARRAYS, FEATURES, RECORDS[:1])
    with pytest.raises(ValueError, match="for 0 labels"):
        index.agreement(np.zeros((1, 5), np.float32), [])


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cases.safetensors"
    tensors, metadata = fit_case_index(ARRAYS, FEATURES, RECORDS)
    short = {**tensors, "classes": tensors["classes"][:5]}
    beyond = {**tensors, "classes": tensors["classes"] + np.int8(9)}
    for content, words in ((tensors, {}), (short, metadata), (beyond, metadata), ({}, metadata)):
        save_file(content, path, metadata=words)
        with pytest.raises(BundleError, match="similar cases cannot be read"):
            CaseIndex.load(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="similar cases cannot be read"):
        CaseIndex.load(path)
