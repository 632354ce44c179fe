"""`compare`: models beside each other and beside what others published, as tables and one picture."""

import tomllib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from ml.bundle import PRETRAINED_FOLDER, Bundle, find_bundle, load_bundle
from ml.compare_costs import (
    LATENCY_PROTOCOL,
    MACS_PROTOCOL,
    RUNS,
    WARM_UP,
    describe_machine,
    measure_costs,
    measure_latency,
    measure_onnx,
)
from ml.compare_figures import FIGURES_PROTOCOL, compared, evaluate_missing
from ml.compare_picture import draw_comparison
from ml.compare_tables import as_csv, as_html, as_markdown
from ml.errors import BundleError
from ml.files import write_bytes, write_json

PUBLISHED = Path(__file__).parent / "published.toml"
STEM = "comparison"


def find_group(reference: str, models: Path) -> list[Bundle]:
    """The bundle that NAME, NAME@VERSION or a path names; else the bundles NAME-fold-1, NAME-fold-2, ..., verified.

    As everywhere, what has been trained comes before what is shipped under the same name. Raises BundleError where
    there is neither, or one is damaged.
    """
    folds = list(_folds(reference, models))
    try:
        single = find_bundle(reference, models)
    except BundleError:
        if not folds:
            raise
        return [load_bundle(path) for path in folds]
    if folds and single.parent == PRETRAINED_FOLDER:
        return [load_bundle(path) for path in folds]
    return [load_bundle(single)]


def _folds(reference: str, models: Path) -> Iterator[Path]:
    """The bundles of the folds 1, 2, ... that were trained under a name."""
    stem, at, version = reference.partition("@")
    for number in count(1):
        try:
            yield find_bundle(f"{stem}-fold-{number}{at}{version}", models)
        except BundleError:
            return


def compare(
    groups: Sequence[Sequence[Bundle]],
    data: Sequence[Path] = (),
    *,
    threads: int = 1,
    onnx: bool = False,
    runs: int = RUNS,
    progress: bool = True,
) -> dict[str, Any]:
    """The content of `comparison.json`: a row for each group (one bundle, or one for each fold), what they were
    measured on, and the published figures.

    Bundles that have no evaluation of test beside them get one, where `data` holds what they were trained on; costs
    are those of a group's first bundle. With `onnx` each is exported too. Raises BundleError, DatasetError.
    """
    rows = []
    for group in groups:
        evaluate_missing(group, data, progress=progress)
        rows.append(_row(group, threads, onnx, runs))
    plural = "" if threads == 1 else "s"
    return {
        "machine": {**describe_machine(), "threads": threads},
        "protocol": {
            "figures": FIGURES_PROTOCOL,
            "macs": MACS_PROTOCOL,
            "latency": LATENCY_PROTOCOL.format(warm_up=WARM_UP, runs=runs, threads=threads, s=plural),
        },
        "models": rows,
        "published": published(),
    }


def published() -> list[dict[str, Any]]:
    """Figures that others reported, each with its protocol."""
    with PUBLISHED.open("rb") as file:
        results: list[dict[str, Any]] = tomllib.load(file)["result"]
    return results


def with_earlier(content: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """A comparison with the rows of an earlier one that it has no model of that name for, each with its own machine.

    For models whose files are gone: what was measured of them stays what it was.
    """
    names = {row["name"] for row in content["models"]}
    kept = [{"machine": earlier["machine"], **row} for row in earlier["models"] if row["name"] not in names]
    return {**content, "models": [*content["models"], *kept]}


def write_comparison(content: dict[str, Any], out: Path) -> None:
    """Write `comparison.json`, `.csv`, `.html`, `.md` and `.svg` to `out`. Raises BundleError where it cannot."""
    files = {
        "svg": draw_comparison(content),
        "csv": as_csv(content).encode(),
        "md": as_markdown(content).encode(),
        "html": as_html(content).encode(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for kind, text in files.items():
            write_bytes(out / f"{STEM}.{kind}", text)
        write_json(out / f"{STEM}.json", content)
    except OSError as error:
        raise BundleError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error


def _row(group: Sequence[Bundle], threads: int, onnx: bool, runs: int) -> dict[str, Any]:
    bundle = group[0]
    card, members = bundle.card, [member.card for member in bundle.networks()]
    quality = compared(group)
    folds = quality["folds"]
    return {
        "name": card.name.removesuffix(f"-fold-{card.data['fold']}") if folds else card.name,
        "versions": [own.card.version for own in group],
        "label_set": card.label_set,
        "architectures": [member.architecture for member in members],
        "image_sizes": [member.image_size for member in members],
        "views": [member.test_time_views for member in members],
        "started_from": [_start(member.training) for member in members],
        **quality,
        "costs": measure_costs(bundle),
        "latency": measure_latency(bundle, threads, runs),
        "onnx": measure_onnx(bundle, threads, runs) if onnx else None,
    }


def _start(training: dict[str, Any]) -> str:
    """The weights that training started from, without their digest."""
    return str(training.get("config", {}).get("weights", "not recorded")).split(" ")[0]
