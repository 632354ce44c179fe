"""The ISIC challenges as people download them: which diagnosis becomes which class, and what is set aside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ml.data.listing import Source
from ml.data.manifest import SPLITS
from ml.data.prepare import prepare
from ml.data.sources import SourceFolder, read_source, read_sources
from ml.errors import DatasetError
from ml.labels import load_taxonomy
from tests.ml.data.layouts import write_picture, write_table

HAM = load_taxonomy("ham10000")
CLASSES_2019 = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")


def one_hot(name: str, *classes: str) -> dict[str, str]:
    return {"image": name, **{column: "1.0" if column in classes else "0.0" for column in CLASSES_2019}}


def write_2019(folder: Path, diagnoses: Mapping[str, tuple[str, ...]], lesions: Mapping[str, str]) -> Path:
    write_table(folder / "ISIC_2019_Training_GroundTruth.csv", [one_hot(n, *d) for n, d in diagnoses.items()])
    facts = [
        {"image": name, "age_approx": "55.0", "anatom_site_general": "anterior torso",
         "lesion_id": lesions.get(name, ""), "sex": "female"}
        for name in diagnoses
    ]  # fmt: skip
    write_table(folder / "ISIC_2019_Training_Metadata.csv", facts)
    for number, name in enumerate(diagnoses):
        write_picture(folder / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input" / f"{name}.jpg", "nv", number)
    return folder


def told(source: Source) -> dict[str, str]:
    return {entry.item: entry.reason for entry in source.left_out}


def labels(source: Source) -> dict[str, str]:
    return {image.name: image.label for image in source.images}


def test_2019_maps_its_columns(tmp_path: Path) -> None:
    names: dict[str, tuple[str, ...]] = {f"ISIC_{n:07d}": (column,) for n, column in enumerate(CLASSES_2019)}
    names |= {"ISIC_0000020_downsampled": ("NV",), "ISIC_0000021": ("NV", "MEL"), "ISIC_0000022": ()}
    write_2019(tmp_path, names, {"ISIC_0000000": "BCN_0000001"})
    source = read_source(tmp_path, "isic2019", HAM)
    assert list(labels(source).values()) == ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc", "nv"]
    assert told(source) == {
        "ISIC_0000007": "'scc' is no class of ham10000",
        "ISIC_0000008": "'unknown diagnosis' is no class of ham10000",
        "ISIC_0000021": "no diagnosis, or several",
        "ISIC_0000022": "no diagnosis, or several",
    }
    first, second = source.images[:2]
    assert (first.lesion_id, second.lesion_id) == ("BCN_0000001", "ISIC_0000001")
    assert (first.age, first.sex, first.localization) == (55.0, "female", "anterior torso")
    assert set(source.tables) == {"ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Training_Metadata.csv"}
    two = read_source(tmp_path, "isic2019", load_taxonomy("melanoma-nevus"))
    assert set(labels(two).values()) == {"mel", "nv"}
    assert told(two)["ISIC_0000002"] == "'bcc' is no class of melanoma-nevus"


def test_a_label_set_with_a_class_of_that_name_takes_what_ham10000_has_no_class_for(tmp_path: Path) -> None:
    write_2019(tmp_path / "source", {"ISIC_1": ("SCC",), "ISIC_2": ("NV",)}, {})
    (tmp_path / "own.toml").write_text(
        "[[class]]\ncode='scc'\nname='Squamous cell carcinoma'\nstatus='malignant'\ndescription='d'\n"
        "[[class]]\ncode='nv'\nname='Naevus'\nstatus='benign'\ndescription='d'\n"
    )
    source = read_source(tmp_path / "source", "isic2019", load_taxonomy(str(tmp_path / "own.toml")))
    assert labels(source) == {"ISIC_1": "scc", "ISIC_2": "nv"}


def row_2020(name: str, diagnosis: str, told: str = "benign", **more: str) -> dict[str, Any]:
    facts = {"image_name": name, "patient_id": "IP_1", "sex": "male", "age_approx": "45",
             "anatom_site_general_challenge": "head/neck", "diagnosis": diagnosis, "benign_malignant": told,
             "target": str(int(told == "malignant"))}  # fmt: skip
    return facts | more


@pytest.mark.parametrize("table", ["train.csv", "ISIC_2020_Training_GroundTruth_v2.csv"])
def test_2020_maps_diagnoses_and_drops_listed_duplicates(tmp_path: Path, table: str) -> None:
    rows = [
        row_2020("ISIC_1", "nevus"), row_2020("ISIC_2", "melanoma", "malignant", patient_id="IP_2"),
        row_2020("ISIC_3", "unknown"), row_2020("ISIC_4", "seborrheic keratosis"),
        row_2020("ISIC_5", "lentigo NOS"), row_2020("ISIC_6", "nevus"), row_2020("ISIC_7", "melanoma"),
        row_2020("ISIC_8", "unknown", "malignant"), row_2020("ISIC_9", "nevus"),
    ]  # fmt: skip
    if table != "train.csv":
        rows = [row | {"lesion_id": f"IL_{number}"} for number, row in enumerate(rows)]
    write_table(tmp_path / table, rows)
    pairs = [{"image_name_1": "ISIC_1", "image_name_2": "ISIC_6"}, {"image_name_1": "ISIC_0", "image_name_2": "ISIC_9"}]
    write_table(tmp_path / "ISIC_2020_Training_Duplicates.csv", pairs)
    for number in range(1, 10):
        write_picture(tmp_path / "jpeg" / "train" / f"ISIC_{number}.jpg", "nv", number)
    write_picture(tmp_path / "jpeg" / "test" / "ISIC_77.jpg", "nv", 77)
    source = read_source(tmp_path, "isic2020", HAM)
    assert labels(source) == {"ISIC_1": "nv", "ISIC_2": "mel", "ISIC_4": "bkl", "ISIC_8": "mel", "ISIC_9": "nv"}
    assert told(source) == {
        "ISIC_3": "no diagnosis, or several",
        "ISIC_5": "'lentigo nos' is no class of ham10000",
        "ISIC_6": "second of a pair in the challenge's list of duplicates",
        "ISIC_7": "its diagnosis and its benign or malignant column contradict each other",
        "ISIC_77.jpg": "not in the metadata",
    }
    assert [image.patient_id for image in source.images] == ["IP_1", "IP_2", "IP_1", "IP_1", "IP_1"]
    assert source.images[0].lesion_id == ("ISIC_1" if table == "train.csv" else "IL_0")


FULL_2024 = {
    "ISIC_0000001": ("0", "Benign"),
    "ISIC_0000002": ("0", "Benign::Benign melanocytic proliferations::Nevus::Nevus, NOS, Dermal"),
    "ISIC_0000003": (
        "1", "Malignant::Malignant melanocytic proliferations (Melanoma)::Melanoma Invasive::"
        "Melanoma Invasive, Superficial spreading",
    ),
    "ISIC_0000004": (
        "1", "Malignant::Malignant adnexal epithelial proliferations - Follicular::Basal cell carcinoma::"
        "Basal cell carcinoma, Nodular",
    ),
    "ISIC_0000005": ("0", "Indeterminate::Indeterminate epidermal proliferations::Solar or actinic keratosis"),
    "ISIC_0000006": (
        "1", "Malignant::Malignant epidermal proliferations::Squamous cell carcinoma in situ::"
        "Squamous cell carcinoma in situ, Bowens disease",
    ),
    "ISIC_0000007": ("1", "Malignant::Malignant epidermal proliferations::Squamous cell carcinoma, Invasive"),
    "ISIC_0000008": ("0", "Benign::Benign soft tissue proliferations - Vascular"),
    "ISIC_0000009": ("0", "Benign::Benign epidermal proliferations::Seborrheic keratosis"),
    "ISIC_0000010": ("1", "Malignant::Malignant melanocytic proliferations (Melanoma)::Melanoma metastasis"),
    "ISIC_0000011": ("0", "Benign::Benign soft tissue proliferations - Fibro-histiocytic::Dermatofibroma"),
}  # fmt: skip


def write_2024(folder: Path) -> Path:
    rows = [
        {"isic_id": name, "target": target, "patient_id": f"IP_{number % 3}", "age_approx": "60.0", "sex": "male",
         "anatom_site_general": "posterior torso", "image_type": "TBP tile: close-up",
         "lesion_id": f"IL_{number}" if target == "1" else "", "iddx_full": full, "iddx_1": full.split("::")[0]}
        for number, (name, (target, full)) in enumerate(FULL_2024.items())
    ]  # fmt: skip
    write_table(folder / "train-metadata.csv", rows)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_2024_maps_the_tree_of_diagnoses_from_files_or_one_hdf5(tmp_path: Path, packed: bool) -> None:
    folder = write_2024(tmp_path)
    pictures = [
        write_picture(folder / "train-image" / "image" / f"{name}.jpg", "nv", number)
        for number, name in enumerate(FULL_2024)
    ]
    if packed:
        (folder / "unpacked" / "here").mkdir(parents=True)
        with h5py.File(folder / "unpacked" / "here" / "train-image.hdf5", "w") as container:
            for picture in pictures:
                container.create_dataset(picture.stem, data=np.void(picture.read_bytes()))
                picture.unlink()
    source = read_source(folder, "isic2024", HAM)
    assert list(labels(source).values()) == ["nv", "mel", "bcc", "akiec", "akiec", "vasc", "bkl", "df"]
    assert told(source) == {
        "ISIC_0000001": "'benign' is no class of ham10000",
        "ISIC_0000007": "'squamous cell carcinoma, invasive' is no class of ham10000",
        "ISIC_0000010": "'melanoma metastasis' is no class of ham10000",
    }
    assert all(bool(image.container) is packed for image in source.images)


def test_pictures_inside_hdf5_become_files_of_the_prepared_dataset(tmp_path: Path) -> None:
    rows = []
    with h5py.File(tmp_path / "train-image.hdf5", "w") as container:
        for number in range(16):
            name, code = f"ISIC_{number:07d}", "mel" if number % 2 else "nv"
            picture = write_picture(tmp_path / "one.jpg", code, number)
            container.create_dataset(name, data=np.void(picture.read_bytes()))
            full = "Malignant::x::Melanoma in situ" if number % 2 else "Benign::x::Nevus"
            rows.append({"isic_id": name, "target": number % 2, "patient_id": f"IP_{number // 2}", "iddx_full": full})
    (tmp_path / "one.jpg").unlink()
    write_table(tmp_path / "train-metadata.csv", rows)
    dataset = prepare(tmp_path, "isic2024", tmp_path / "out", label_set="melanoma-nevus")
    assert len(dataset.records) == 16
    assert all(record.path.parent == tmp_path / "out" / "images" for record in dataset.records)
    assert all(record.path.is_file() for record in dataset.records)
    homes: dict[int, set[str]] = {}
    for record in dataset.records:
        homes.setdefault(int(record.path.stem[-7:]) // 2, set()).add(record.split)
    assert all(len(splits) == 1 for splits in homes.values()), "one patient's pictures stay on one side"


def test_broken_sources_are_one_clear_error(tmp_path: Path) -> None:
    for kind, words in (
        ("isic2019", r"no ISIC_2019_Training_GroundTruth\.csv"),
        ("isic2020", r"no ISIC_2020_Training_GroundTruth_v2\.csv or .* or train\.csv"),
        ("isic2024", r"no train-metadata\.csv"),
    ):
        with pytest.raises(DatasetError, match=words):
            read_source(tmp_path, kind, HAM)
    (tmp_path / "train-image.hdf5").write_text("no HDF5")
    with pytest.raises(DatasetError, match="cannot be read as HDF5"):
        read_source(write_2024(tmp_path), "isic2024", HAM)


def test_several_sources_become_one_and_what_they_share_stays_together(tmp_path: Path) -> None:
    old = write_2019(
        tmp_path / "a",
        {f"ISIC_{number:07d}": ("MEL" if number % 2 else "NV",) for number in range(12)},
        {"ISIC_0000000": "IL_shared"},
    )
    rows = [row_2020("ISIC_0000000", "nevus"), row_2020("ISIC_0000100", "nevus", lesion_id="IL_shared")]
    rows += [row_2020(f"ISIC_{number:07d}", "nevus", patient_id=f"IP_{number}") for number in (101, 102)]
    new = tmp_path / "b"
    write_table(new / "ISIC_2020_Training_GroundTruth_v2.csv", [{"lesion_id": "", **row} for row in rows])
    for number in (0, 100, 102):
        write_picture(new / "train" / f"ISIC_{number:07d}.jpg", "nv", 500 + number)
    # The same photo as one of the other source's, under a name of its own.
    first = next(old.glob("*/*/ISIC_0000002.jpg"))
    (new / "train" / "ISIC_0000101.jpg").write_bytes(first.read_bytes())
    both = (SourceFolder(old, "isic2019"), SourceFolder(new, "isic2020"))
    taxonomy = load_taxonomy("melanoma-nevus")
    assert told(read_sources(both, taxonomy))["2/ISIC_0000000"] == "listed by an earlier source already"
    dataset = prepare(old, "isic2019", tmp_path / "out", more_sources=[both[1]], label_set="melanoma-nevus", folds=None)
    groups = {record.path.stem: record.group for record in dataset.records}
    assert len(groups) == 15
    assert groups["ISIC_0000000"] == groups["ISIC_0000100"], "one lesion id"
    assert groups["ISIC_0000002"] == groups["ISIC_0000101"], "the same photo"
    assert {record.source for record in dataset.records} == {"isic2019", "isic2020"}
    assert dataset.summary["source_format"] == "isic2019+isic2020"
    assert "2/ISIC_2020_Training_GroundTruth_v2.csv" in dataset.summary["source_hashes"]["tables"]
    assert all(dataset.split(name) for name in SPLITS)


def test_names_of_folders_mean_nothing_across_sources(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(2):
            write_picture(tmp_path / name / ("mel", "nv")[number] / "1.jpg", "mel", ord(name) + number)
    both = [SourceFolder(tmp_path / name, "folders") for name in ("a", "b")]
    source = read_sources(both, load_taxonomy("melanoma-nevus"))
    assert len({image.name for image in source.images}) == len({image.lesion_id for image in source.images}) == 4
    (tmp_path / "b" / "train").mkdir()
    for code in ("mel", "nv"):
        (tmp_path / "b" / code).rename(tmp_path / "b" / "train" / code)
    with pytest.raises(DatasetError, match="come split and others do not"):
        read_sources(both, load_taxonomy("melanoma-nevus"))
