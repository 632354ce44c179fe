"""Label sets are data, and a bad file is one clear error."""

from pathlib import Path

import pytest

from ml.errors import DatasetError
from ml.labels import Status, load_taxonomy, taxonomy_names


def test_ham10000_has_its_seven_classes_in_order() -> None:
    taxonomy = load_taxonomy("ham10000")
    assert taxonomy.codes == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    assert [taxonomy.codes[i] for i in taxonomy.malignant] == ["akiec", "bcc", "mel"]
    assert taxonomy.label("mel").status is Status.MALIGNANT


def test_every_shipped_label_set_can_be_read() -> None:
    for name in taxonomy_names():
        assert all(label.description for label in load_taxonomy(name).labels)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense [", "No readable label set"),
        ("title = 'x'", "at least two"),
        ("[[class]]\ncode='a'\n[[class]]\ncode='b'", "missing or not text"),
        (2 * "[[class]]\ncode='a'\nname='A'\nstatus='benign'\ndescription='d'\n", "twice"),
        (
            "[[class]]\ncode='a'\nname='A'\nstatus='uncertain'\ndescription='d'\n"
            "[[class]]\ncode='b'\nname='A'\nstatus='benign'\ndescription='d'\n",
            "is not one of",
        ),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=complaint):
        load_taxonomy(str(path))


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(DatasetError, match="'wart' is not a class"):
        load_taxonomy("ham10000").index("wart")
