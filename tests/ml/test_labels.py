"""Label sets are data, and a bad file is one clear error."""

from pathlib import Path

import pytest

from ml.errors import DatasetError
from ml.labels import Status, load_taxonomy, readable_taxonomies, taxonomy_names, use_own_label_sets

TWO = "".join(f"[[class]]\ncode='{code}'\nname='{code.upper()}'\nstatus='benign'\ndescription='d'\n" for code in "ab")


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
        ("title = 'x'\nnonsense [", r"No readable label set in own\.toml: .*line 2, column"),
        ("title = 'x'", "at least two"),
        ("[[class]]\ncode='a'\n[[class]]\ncode='b'", "missing or not text"),
        (2 * "[[class]]\ncode='a'\nname='A'\nstatus='benign'\ndescription='d'\n", "twice"),
        (
            "[[class]]\ncode='a'\nname='A'\nstatus='uncertain'\ndescription='d'\n"
            "[[class]]\ncode='b'\nname='A'\nstatus='benign'\ndescription='d'\n",
            "is not one of",
        ),
        (TWO.replace("name='A'", "names='A'"), r"class 1: unknown field names; the fields are code, name"),
        (TWO.replace("name='A'", "name=''"), r"class 1: missing or not text: name\. Write"),
        (TWO.replace("name='A'", "name='b'"), "'b' is named twice, in class 1 and class 2"),
        (TWO.replace("name='B'", "name='B'\nalso='A'"), "class 2: also is not a list"),
        (TWO.replace("code='a'", "code='a/b'"), "may have letters, digits"),
        ("kind = 'rash'\n" + TWO, "unknown field kind"),
        ("title = 7\n" + TWO, "title is not text"),
        ("question = 7\n" + TWO, "question is"),
        ("question = ' '\n" + TWO, "question is"),
        ("photos = 'x-ray'\n" + TWO, "photos is not one of dermatoscopic, clinical"),
        (TWO + "[derived_from]\nmpox='a'\n", "write derived_from as tables"),
        (TWO + "[derived_from.pox]\nmpox='a'\n", "there is no label set 'pox'"),
        (TWO + "[derived_from.mpox]\npox='a'\n", "pox is not a class of mpox"),
        (TWO + "[derived_from.mpox]\nmpox='c'\n", "c is not a class of this label set"),
        (TWO + "[derived_from.mpox]\nmpox='a'\n[derived_from.msid]\nmonkeypox='b'\n", "stands for another class"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=complaint):
        load_taxonomy(str(path))


def test_what_a_label_set_is_asked_for_follows_from_its_classes_unless_it_says(tmp_path: Path) -> None:
    assert {load_taxonomy(name).question for name in ("ham10000", "melanoma-nevus")} == {"spot"}
    for name in ("msid", "mpox", "mpox-binary"):
        assert (load_taxonomy(name).question, load_taxonomy(name).photos) == ("rash", "clinical")
    path = tmp_path / "own.toml"
    path.write_text("question = 'A nail'\nphotos = 'clinical'\n" + TWO)
    assert (load_taxonomy(str(path)).question, load_taxonomy(str(path)).photos) == ("A nail", "clinical")


def test_the_shipped_label_sets() -> None:
    expected = {
        "melanoma-nevus": ["Melanoma", "Melanocytic naevus"],
        "mpox": ["Mpox", "Chickenpox", "Measles", "Cowpox", "Hand-foot-mouth disease", "Healthy"],
        "msid": ["Monkeypox", "Chickenpox", "Measles", "Normal"],
        "mpox-binary": ["Mpox", "Other"],
    }
    assert set(expected) < set(taxonomy_names())
    for name, names in expected.items():
        assert [label.name for label in load_taxonomy(name).labels] == names
    assert load_taxonomy("melanoma-nevus").malignant == (0,)
    for name in ("mpox", "msid", "mpox-binary"):
        taxonomy = load_taxonomy(name)
        assert taxonomy.malignant == ()
        assert {label.status for label in taxonomy.labels} <= {Status.INFECTIOUS, Status.HEALTHY}
    assert load_taxonomy("mpox").label("healthy").status is Status.HEALTHY


def test_classes_are_found_by_any_of_their_names() -> None:
    mpox, binary = load_taxonomy("mpox"), load_taxonomy("mpox-binary")
    assert [mpox.find(name) for name in ("Monkeypox", "MPOX", "hand-foot-mouth DISEASE", "HFMD", "wart")] == [
        "mpox", "mpox", "hfmd", "hfmd", None,
    ]  # fmt: skip
    assert mpox.find("wart", " Measles ") == "measles"
    for base in ("mpox", "msid"):
        found = {label.code: binary.find(label.code, label.name) for label in load_taxonomy(base).labels}
        assert found.pop("mpox" if base == "mpox" else "monkeypox") == "mpox"
        assert set(found.values()) == {"other"}


def test_a_folder_of_own_label_sets_is_searched_by_name(tmp_path: Path) -> None:
    (tmp_path / "warts.toml").write_text(TWO)
    (tmp_path / "msid.toml").write_text(TWO)
    with pytest.raises(DatasetError, match=r"No readable label set 'warts'\. Known ones: ham10000"):
        load_taxonomy("warts")
    use_own_label_sets(tmp_path)
    try:
        assert load_taxonomy("warts").codes == ("a", "b")
        assert load_taxonomy("msid").codes[0] == "monkeypox", "a shipped name keeps its meaning"
        assert "warts" in taxonomy_names()
    finally:
        use_own_label_sets(None)


def test_what_cannot_be_read_is_left_out_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "warts.toml").write_text(TWO)
    (tmp_path / "broken.toml").write_text("[[class")
    use_own_label_sets(tmp_path)
    try:
        assert set(readable_taxonomies()) == set(taxonomy_names()) - {"broken", "severity"}
    finally:
        use_own_label_sets(None)
    assert "broken.toml" in caplog.text


def test_label_sets_may_be_derived_from_each_other(tmp_path: Path) -> None:
    for name, other in (("one", "other"), ("other", "one")):
        (tmp_path / f"{name}.toml").write_text(f'{TWO}\n[derived_from.{other}]\na = "b"\n')
    use_own_label_sets(tmp_path)
    try:
        assert load_taxonomy("one").find("a") == "a"
    finally:
        use_own_label_sets(None)


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(DatasetError, match="'wart' is not a class"):
        load_taxonomy("ham10000").index("wart")
