"""HAM10000 as people download it: a table of metadata, and its images in one folder or two."""

from pathlib import Path

from ml.data.listing import LeftOut, Source, SourceImage, index_images, known, parse_age, read_table, sorted_source
from ml.errors import DatasetError
from ml.files import sha256_file
from ml.labels import Taxonomy


def read_ham10000(folder: Path, taxonomy: Taxonomy) -> Source:
    """`HAM10000_metadata[.csv]` with image folders beside it (part 1 and 2, or any one folder), or images beside it.

    Columns as published: lesion_id, image_id, dx, dx_type, age, sex, localization (Tschandl, Rosendahl, Kittler 2018).
    """
    table = _find_metadata(folder)
    rows = read_table(table, required=("lesion_id", "image_id", "dx"))
    files, left_out = index_images(folder)
    images: dict[str, SourceImage] = {}
    for number, row in enumerate(rows, start=2):
        name, label = row["image_id"], taxonomy.find(row["dx"])
        path = files.get(name.lower()) or files.get(Path(name).stem.lower())
        if not name or not row["lesion_id"]:
            left_out.append(LeftOut(f"{table.name}, line {number}", "no image_id or lesion_id"))
        elif name in images:
            left_out.append(LeftOut(f"{name} (line {number})", "listed twice in the metadata"))
        elif label is None:
            left_out.append(LeftOut(name, f"'{row['dx'].lower()}' is no class of {taxonomy.name}"))
        elif path is None:
            left_out.append(LeftOut(name, "no image file"))
        else:
            images[name] = SourceImage(
                path=path,
                name=name,
                label=label,
                lesion_id=row["lesion_id"],
                source=row.get("dataset") or "ham10000",
                age=parse_age(row.get("age", "")),
                sex=known(row.get("sex", "")),
                localization=known(row.get("localization", "")),
                diagnosis_method=known(row.get("dx_type", "")),
            )
    listed = {Path(row["image_id"]).stem.lower() for row in rows}
    left_out.extend(LeftOut(path.name, "not in the metadata") for stem, path in files.items() if stem not in listed)
    return sorted_source(images.values(), left_out, {table.name: sha256_file(table)})


def _find_metadata(folder: Path) -> Path:
    candidates = sorted(
        path for path in folder.iterdir()
        if path.is_file() and path.name.lower() in ("ham10000_metadata.csv", "ham10000_metadata", "metadata.csv")
    )  # fmt: skip
    if not candidates:
        raise DatasetError(f"{folder} has no HAM10000_metadata.csv.")
    # The published name first: a stray metadata.csv beside it must not win.
    return min(candidates, key=lambda path: (not path.name.lower().startswith("ham10000"), path.name))
