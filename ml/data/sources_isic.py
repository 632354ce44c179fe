"""The challenges of the International Skin Imaging Collaboration as people download them: 2019, 2020 and 2024.

Their diagnoses are mapped to HAM10000's codes where they mean the same; every other diagnosis keeps its own name, and
is used only where the label set has a class of that name. Lesion and patient ids are the archive's, shared by all
three and by HAM10000.
"""

from collections.abc import Mapping
from pathlib import Path

from ml.data.listing import (
    LeftOut,
    Source,
    SourceImage,
    find_table,
    index_images,
    known,
    parse_age,
    read_table,
    sorted_source,
)
from ml.errors import DatasetError
from ml.files import sha256_file
from ml.labels import Taxonomy

ONE_HOT_2019: Mapping[str, str] = {
    "mel": "mel", "nv": "nv", "bcc": "bcc", "ak": "akiec", "bkl": "bkl", "df": "df", "vasc": "vasc", "scc": "scc",
    "unk": "unknown diagnosis",
}  # fmt: skip
"""Columns of 2019's ground truth. Of HAM10000's akiec, the challenge calls actinic keratoses AK and the rest SCC."""

DIAGNOSES: Mapping[str, str] = {
    # 2020
    "nevus": "nv", "melanoma": "mel", "seborrheic keratosis": "bkl", "lichenoid keratosis": "bkl",
    "solar lentigo": "bkl", "pigmented benign keratosis": "bkl", "basal cell carcinoma": "bcc",
    "actinic keratosis": "akiec", "dermatofibroma": "df", "vascular lesion": "vasc",
    # 2024, the third level of the archive's tree of diagnoses
    "melanoma in situ": "mel", "melanoma invasive": "mel", "melanoma, nos": "mel",
    "solar or actinic keratosis": "akiec", "squamous cell carcinoma in situ": "akiec",
    "lichen planus like keratosis": "bkl", "hemangioma": "vasc", "angiokeratoma": "vasc", "pyogenic granuloma": "vasc",
}  # fmt: skip
"""Diagnoses in the archive's words that correspond to a class of HAM10000 (its akiec includes carcinoma in situ)."""

_VASCULAR = "benign soft tissue proliferations - vascular"
_MALIGNANT = {"mel", "bcc"}
_BENIGN = {"nv", "bkl", "df", "vasc"}
_Row = Mapping[str, str]
_Listed = list[tuple[str, tuple[str, ...], _Row]]
"""Image name, names of its diagnosis from the best one down, and all columns."""


def read_isic2019(folder: Path, taxonomy: Taxonomy) -> Source:
    """ISIC_2019_Training_GroundTruth.csv (one column a class), ..._Metadata.csv with lesion_id, and the images."""
    truth = find_table(folder, ("ISIC_2019_Training_GroundTruth.csv",))
    about = find_table(folder, ("ISIC_2019_Training_Metadata.csv",))
    facts = {row["image"]: row for row in read_table(about, required=("image", "lesion_id"))}
    listed: _Listed = []
    for row in read_table(truth, required=("image", *ONE_HOT_2019)):
        marked = [column for column in ONE_HOT_2019 if row[column] not in ("", "0", "0.0")]
        names = (ONE_HOT_2019[marked[0]], marked[0]) if len(marked) == 1 else ()
        listed.append((row["image"], names, {**row, **facts.get(row["image"], {})}))
    tables = {path.name: sha256_file(path) for path in (truth, about)}
    return _collect(folder, taxonomy, "isic2019", listed, tables)


def read_isic2020(folder: Path, taxonomy: Taxonomy) -> Source:
    """ISIC_2020_Training_GroundTruth_v2.csv, its first version or Kaggle's train.csv; the second picture of each pair
    in ISIC_2020_Training_Duplicates.csv, where that is there, is left out."""
    names = ("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv")
    truth = find_table(folder, names)
    tables = {truth.name: sha256_file(truth)}
    rows = read_table(truth, required=("image_name", "patient_id", "diagnosis", "benign_malignant"))
    present = {row["image_name"] for row in rows}
    left_out: dict[str, str] = {}
    try:
        pairs = find_table(folder, ("ISIC_2020_Training_Duplicates.csv",))
    except DatasetError:
        pairs = None
    if pairs is not None:
        tables[pairs.name] = sha256_file(pairs)
        for row in read_table(pairs, required=("image_name_1", "image_name_2")):
            if row["image_name_1"] in present - left_out.keys():
                left_out[row["image_name_2"]] = "second of a pair in the challenge's list of duplicates"
    listed: _Listed = []
    for row in rows:
        diagnosis = row["diagnosis"].lower()
        if diagnosis in ("", "unknown") and row["benign_malignant"].lower() == "malignant":
            diagnosis = "melanoma"  # the only malignant diagnosis of this challenge
        listed.append((row["image_name"], _names(diagnosis), row))
    return _collect(folder, taxonomy, "isic2020", listed, tables, left_out)


def read_isic2024(folder: Path, taxonomy: Taxonomy) -> Source:
    """train-metadata.csv with the columns iddx_*, and images in train-image/image/ or inside train-image.hdf5.

    Most rows say "Benign" and no more: they were never examined closely, and are set aside.
    """
    table = find_table(folder, ("train-metadata.csv",))
    rows = read_table(table, required=("isic_id", "target", "patient_id", "iddx_full"))
    listed: _Listed = []
    for row in rows:
        levels = [level.strip().lower() for level in row["iddx_full"].split("::") if level.strip()]
        # From the most particular level to the most general one: Benign, or Malignant.
        names = [name for level in reversed(levels) for name in _names(level)]
        if _VASCULAR in levels:
            names.append("vasc")
        listed.append((row["isic_id"], tuple(names), row))
    return _collect(folder, taxonomy, "isic2024", listed, {table.name: sha256_file(table)})


def _names(diagnosis: str) -> tuple[str, ...]:
    """The diagnosis by HAM10000's code, where it has one, and in its own words; none for an empty one."""
    if not diagnosis or diagnosis == "unknown":
        return ()
    return (DIAGNOSES[diagnosis], diagnosis) if diagnosis in DIAGNOSES else (diagnosis,)


def _collect(
    folder: Path,
    taxonomy: Taxonomy,
    source: str,
    listed: _Listed,
    tables: dict[str, str],
    duplicates: Mapping[str, str] | None = None,
) -> Source:
    """The source that these rows make together with the image files of the folder."""
    files, left_out = index_images(folder)
    packed = _packed(folder)
    images: dict[str, SourceImage] = {}
    for name, names, row in listed:
        label = taxonomy.find(*names)
        place = files.get(name.lower())
        if not name:
            left_out.append(LeftOut(source, "a row without an image name"))
        elif name in images:
            left_out.append(LeftOut(name, "listed twice in the metadata"))
        elif duplicates and name in duplicates:
            left_out.append(LeftOut(name, duplicates[name]))
        elif not names:
            left_out.append(LeftOut(name, "no diagnosis, or several"))
        elif label is None:
            left_out.append(LeftOut(name, f"'{_own_words(names)}' is no class of {taxonomy.name}"))
        elif _contradicts(names, row):
            left_out.append(LeftOut(name, "its diagnosis and its benign or malignant column contradict each other"))
        elif place is None and name not in packed:
            left_out.append(LeftOut(name, "no image file"))
        else:
            patient, lesion = known(row.get("patient_id", "")), known(row.get("lesion_id", ""))
            site = row.get("anatom_site_general") or row.get("anatom_site_general_challenge") or ""
            images[name] = SourceImage(
                path=place or packed[name],
                name=name,
                label=label,
                lesion_id=lesion or name,
                source=source,
                age=parse_age(row.get("age_approx", "")),
                sex=known(row.get("sex", "")),
                localization=known(site),
                patient_id=patient,
                container="" if place else name,
            )
    named = {name.lower() for name, _, _ in listed}
    left_out.extend(LeftOut(path.name, "not in the metadata") for stem, path in files.items() if stem not in named)
    return sorted_source(images.values(), left_out, tables)


def _own_words(names: tuple[str, ...]) -> str:
    """The diagnosis as a reader knows it: the words of the most particular level, or else its code."""
    return names[1] if names[0] in DIAGNOSES.values() and len(names) > 1 else names[0]


def _contradicts(names: tuple[str, ...], row: _Row) -> bool:
    told = row.get("benign_malignant", "").lower() or {"1": "malignant", "0": "benign"}.get(row.get("target", ""), "")
    impossible = {"benign": _MALIGNANT, "malignant": _BENIGN}.get(told, set())
    return not impossible.isdisjoint(names)


def _packed(folder: Path) -> dict[str, Path]:
    """Names of the pictures inside train-image.hdf5, the one that is highest up in the folder, each with that file.

    Raises DatasetError for a broken one.
    """
    found = [path for path in folder.rglob("train-image.hdf5") if path.is_file()]
    path = min(found, key=lambda path: (len(path.parts), path), default=None)
    if path is None:
        return {}
    import h5py  # large, and needed for this one file alone

    try:
        with h5py.File(path, "r") as pictures:
            return dict.fromkeys(pictures.keys(), path)
    except OSError:
        raise DatasetError(f"{path} cannot be read as HDF5; download it again.") from None
