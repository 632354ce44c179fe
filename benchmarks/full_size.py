"""Measure, on a finished ensemble and the whole validation split, the two choices that single out in the ablations.

    python benchmarks/full_size.py --data dataset --model BUNDLE --out docs/full_size.json

They are: answers averaged over views, and over networks. The baseline is the first network's answer to the picture as
it is. Differences, intervals and calibration as in `benchmarks/ablations.py`. `make docs` makes the table.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.ablation_figures import Judge, compared  # noqa: E402
from ml.bundle import Bundle, load_bundle  # noqa: E402
from ml.conditions_study import with_views  # noqa: E402
from ml.data.manifest import Dataset, load_dataset, read_image  # noqa: E402
from ml.errors import MLError  # noqa: E402
from ml.evaluate import MAX_SIDE  # noqa: E402
from ml.files import write_json  # noqa: E402
from ml.predict import Classifier, combined  # noqa: E402

Floats = NDArray[np.float64]
VIEWS = {"one": "one view", "eight": "eight views"}
PART = 64


def answers(bundle: Bundle, views: str, dataset: Dataset) -> Floats:
    """The calibrated probabilities [N, C] of one network on the validation pictures, averaged over these views."""
    classifier, records = Classifier(with_views(bundle, views)), dataset.split("val")
    parts = [records[start : start + PART] for start in range(0, len(records), PART)]
    found = [
        classifier.predict([read_image(record, MAX_SIDE) for record in part]).probabilities
        for part in tqdm(parts, desc=f"{bundle.card.name}, {VIEWS[views]}")
    ]
    return np.concatenate(found)


def measure(bundle: Bundle, data: Path) -> dict[str, Any]:
    """A row for each network and the whole, with one view and with eight. Raises DatasetError or BundleError."""
    dataset = load_dataset(data)
    judge, networks = Judge(dataset), bundle.networks()
    found = {
        (index, views): answers(network, views, dataset) for views in VIEWS for index, network in enumerate(networks)
    }
    logits = {key: np.log(np.maximum(values, 1e-12)) for key, values in found.items()}
    titles = {index: f"`{network.card.architecture}`" for index, network in enumerate(networks)}
    if len(networks) > 1:
        whole = len(networks)
        titles[whole] = "All networks"
        for views in VIEWS:
            parts = [found[index, views] for index in range(len(networks))]
            logits[whole, views] = combined(parts).astype(np.float64)
    baseline = judge.figures(logits[0, "one"])
    return {
        "model": bundle.card.name,
        "validation_images": len(judge.labels),
        "validation_groups": len({record.group for record in dataset.split("val")}),
        "rows": [
            {"title": f"{title}, {VIEWS[views]}", **compared([judge.figures(logits[index, views])], [baseline])}
            for index, title in titles.items()
            for views in VIEWS
        ],
    }


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        write_json(options.out, measure(load_bundle(options.model), options.data))
    except MLError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
