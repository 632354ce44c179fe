"""From a prepared dataset to one of the severity of a single disease, labelled by the proxy (see ml.severity_score)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ml.data.listing import LeftOut
from ml.data.manifest import SPLITS, Dataset, ImageRecord, load_dataset, load_manifest, read_image, write_dataset
from ml.data.summary import summarise
from ml.errors import DatasetError
from ml.files import write_json
from ml.labels import load_taxonomy
from ml.severity_grades import GRADES, LABEL_SET, PROXY, PROXY_NOTE, check_disease
from ml.severity_score import WEIGHTS, fit_proxy, proxy_measures

PROXY_FILE = "severity-proxy.json"
MAX_SIDE = 640  # pixels: measuring works at a smaller size still


def label_by_proxy(data: Path, disease: str, out: Path, *, progress: bool = False) -> Dataset:
    """Grade every picture of a disease in the prepared dataset `data` and write the result as a dataset to `out`.

    The splits stay as they are. Scales and terciles are fixed on the training split alone and kept in
    `severity-proxy.json` beside the manifest. Pictures in which no lesion is found are left out. Raises DatasetError
    where the data cannot be read, have no such pictures, or a grade is missing from a split; TrainingError for a
    disease without a severity stage.
    """
    check_disease(disease)
    dataset = load_dataset(data)
    records = [record for record in dataset.records if record.label == disease]
    if not records:
        raise DatasetError(f"The data in {data} have no picture of '{disease}'.")
    found: list[tuple[ImageRecord, Mapping[str, float]]] = []
    left_out: list[LeftOut] = []
    for record in tqdm(records, unit="image", disable=not progress):
        measures = proxy_measures(read_image(record, MAX_SIDE))
        if measures is None:
            left_out.append(LeftOut(record.path.name, "no lesion was found in it"))
        else:
            found.append((record, measures))
    proxy = fit_proxy(disease, [measures for record, measures in found if record.split == "train"])
    graded = [replace(record, label=proxy.grade(measures)) for record, measures in found]
    for split in SPLITS:
        present = {record.label for record in graded if record.split == split}
        if lacking := [grade for grade in GRADES if grade not in present]:
            raise DatasetError(f"The {split} split has no picture graded {', '.join(lacking)}: too few of '{disease}'.")
    summary = summarise(
        load_taxonomy(LABEL_SET), dataset.summary.get("source_hashes", {}).get("tables", {}), graded, left_out
    )
    summary |= {
        "source_format": dataset.summary.get("source_format", ""),
        "near_duplicate_pairs": dataset.summary.get("near_duplicate_pairs", {"all": 0, "across_lesions": 0}),
        "severity": {"disease": disease, "source": PROXY, "note": PROXY_NOTE, "label_set": dataset.label_set},
    }
    write_dataset(out, graded, summary)
    write_json(out / PROXY_FILE, {"note": PROXY_NOTE, "weights": WEIGHTS, **proxy.to_dict()})
    return load_manifest(out)
