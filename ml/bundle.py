"""A model as files: weights, card, gate and checksums in one folder, verified at every load."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ml.card import Card
from ml.errors import BundleError
from ml.files import sha256_file, write_bytes, write_json

PRETRAINED_FOLDER = Path(__file__).parent / "pretrained"
DEFAULT_MODEL = PRETRAINED_FOLDER / "ham10000-ensemble"
"""The model that answers where none is chosen: a shipped one, whatever has been trained since."""
DEFAULT_MODELS = (DEFAULT_MODEL, PRETRAINED_FOLDER / "msid-mobilenet-v2")
"""The shipped models that answer where none is chosen, one for each label set, the default one first."""

WEIGHTS = "weights.safetensors"
CARD = "card.json"
GATE = "gate.safetensors"
CASES = "cases.safetensors"
LEARNT = "learnt-from.txt"
"""Which images it learnt from or was tuned on (see ml.provenance)."""
HISTORY = "history.csv"
"""The record of its training run, one line an epoch (see ml.training.history)."""
GRAPH = "backbone.onnx"
"""The graph of a network's backbone, without weights, that a compiled engine answers with (see ml.compiled)."""
CHECKSUMS = "SHA256SUMS"
FIRST_LOOK = "first-look.safetensors"
"""In place of weights in a folder that holds no network but a first look (see ml.preliminary)."""
CONTENT = (WEIGHTS, CARD, GATE)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk, or one network of an ensemble: then `prefix` begins the names of its tensors."""

    path: Path
    card: Card
    prefix: str = ""

    def networks(self) -> tuple["Bundle", ...]:
        """Each network of an ensemble as a bundle that can answer by itself; of any other bundle, the bundle."""
        if not self.card.members:
            return (self,)
        return tuple(self.member(index) for index in range(len(self.card.members)))

    def member(self, index: int) -> "Bundle":
        """One network of an ensemble, with its own calibration, thresholds and gate. Raises BundleError for none."""
        if not 0 <= index < len(self.card.members):
            raise BundleError(f"The model '{self.card.name}' has {len(self.card.members)} members, counted from 0.")
        return Bundle(self.path, Card.from_dict(self.card.members[index]), member_prefix(index))

    def has_graph(self) -> bool:
        """Whether a compiled engine can answer for this network (see ml.compiled)."""
        return (self.path / graph_name(self.prefix)).is_file()

    def graphs(self) -> dict[str, bytes]:
        """The graphs of its networks by the names of their files; empty where it has none."""
        names = [graph_name(network.prefix) for network in self.networks() if network.has_graph()]
        return {name: (self.path / name).read_bytes() for name in names}

    def gate_arrays(self) -> dict[str, NDArray[Any]]:
        """The tensors of the gate; an ensemble has one member's. Raises BundleError where they are unreadable."""
        prefix = member_prefix(self.card.gate_network) if self.card.members else self.prefix
        try:
            arrays = load_file(self.path / GATE)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"The gate of '{self.card.name}' cannot be used; fetch or train it again.") from error
        if any(values.dtype.kind == "f" and not np.isfinite(values).all() for values in arrays.values()):
            raise BundleError(
                f"The numbers of the gate of '{self.card.name}' are not all finite numbers; train it again."
            )
        return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def digest_of(path: Path) -> str:
    """A digest that stands for every byte of a bundle, or of a first look: that of its SHA256SUMS, which has the
    others. Raises OSError."""
    return sha256_file(path / CHECKSUMS)


def member_prefix(index: int) -> str:
    """What the names of the tensors of an ensemble's network begin with."""
    return f"{index}."


def graph_name(prefix: str) -> str:
    """The file with the graph of the network whose tensors' names begin with `prefix`."""
    return prefix + GRAPH


def is_bundle(path: Path) -> bool:
    """Whether the folder looks like a bundle; `load_bundle` decides whether it is a sound one."""
    return (path / CARD).is_file() and not (path / FIRST_LOOK).exists()


def load_bundle(path: Path) -> Bundle:
    """Verify every file against SHA256SUMS and read the card.

    A flipped byte in weights usually loads without complaint, so the sums are checked each time.
    Raises BundleError, in one sentence, for anything missing, damaged or unreadable.
    """
    verify(path, CONTENT, optional=(CASES, LEARNT, HISTORY))
    bundle = Bundle(path, Card.from_dict(read_card(path)))
    verify(path, (), optional=[graph_name(network.prefix) for network in bundle.networks()])
    return bundle


def naming(bundle: Bundle) -> Bundle:
    """The bundle, for whatever answers people. Raises BundleError for one that grades a disease and names none: by its
    classes, any photo would be benign."""
    if bundle.card.stage:
        raise BundleError(f"The model '{bundle.card.name}' only grades; SEVERITY=on has it do so.")
    return bundle


def verify(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Compare the files of a model's folder with its SHA256SUMS; `optional` ones where they are there or listed.

    Raises BundleError, in one sentence, for one that is missing or damaged.
    """
    if not path.is_dir():
        raise BundleError(f"There is no model at '{path.name}'. See `flask train` for making one.")
    try:
        lines = (path / CHECKSUMS).read_bytes().decode("utf-8").split("\n")
        expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines if line)}
    except (OSError, ValueError) as error:
        raise BundleError(f"The model '{path.name}' has no readable {CHECKSUMS}; fetch or train it again.") from error
    for name in (*names, *(name for name in optional if name in expected or (path / name).exists())):
        file = path / name
        if name not in expected or not file.is_file():
            raise BundleError(f"The model '{path.name}' lacks {name}; fetch or train it again.")
        if _digest(file) != expected[name]:
            raise BundleError(
                f"The model '{path.name}' is damaged: {name} is not what it was; fetch or train it again."
            )


def read_card(path: Path) -> dict[str, Any]:
    """The content of a model's card.json. Raises BundleError where it cannot be read."""
    try:
        values: dict[str, Any] = json.loads((path / CARD).read_text(encoding="utf-8"))
        return values
    except (OSError, ValueError) as error:
        raise BundleError(f"The model '{path.name}' has an unreadable {CARD}; fetch or train it again.") from error


def save_bundle(
    folder: Path,
    card: Card,
    weights: Mapping[str, NDArray[Any]],
    gate: Mapping[str, NDArray[np.float32]],
    cases: tuple[Mapping[str, NDArray[Any]], Mapping[str, str]] | None = None,
    texts: Mapping[str, str | None] = {},  # never changed
    graphs: Mapping[str, bytes] = {},  # never changed
) -> Bundle:
    """Write a bundle as one step: a complete, verified folder appears at `folder`, or none.

    `cases` are the tensors and texts of the index of confirmed cases (see ml.similar), where there is one; `texts` is
    what goes into LEARNT and HISTORY, by these names; `graphs` the compiled graphs of its networks, by the names of
    their files.

    Weight matrices are stored in half precision; vectors (biases, variances of normalisation layers, which can be
    smaller than half precision tells apart) stay in single. Raises BundleError where `folder` already exists.
    """
    half = {k: v.astype(np.float16) if v.dtype.kind == "f" and v.ndim > 1 else v for k, v in weights.items()}

    def fill(partial: Path) -> None:
        save_file({k: v.copy(order="C") for k, v in half.items()}, partial / WEIGHTS)
        save_file({k: v.copy(order="C") for k, v in gate.items()}, partial / GATE)
        if cases is not None:
            save_file({k: v.copy(order="C") for k, v in cases[0].items()}, partial / CASES, metadata=dict(cases[1]))
        for name, text in texts.items():
            if text is not None:
                write_bytes(partial / name, text.encode())
        for name, graph in graphs.items():
            write_bytes(partial / name, graph)
        write_json(partial / CARD, card.to_dict())

    write_folder(folder, fill, load_bundle)
    return load_bundle(folder)


def write_folder(folder: Path, fill: Callable[[Path], None], check: Callable[[Path], object]) -> None:
    """Make a model's folder in one step: what `fill` writes, with SHA256SUMS of it, once `check` has accepted it.

    Raises BundleError where `folder` already exists; what `fill` and `check` raise passes through.
    """
    if folder.exists():
        raise BundleError(f"There is a model at '{folder.name}' already; choose another name.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    partial.mkdir()
    try:
        fill(partial)
        sums = "".join(f"{sha256_file(file)}  {file.name}\n" for file in sorted(partial.iterdir()))
        write_bytes(partial / CHECKSUMS, sums.encode())
        check(partial)
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def find_bundle(reference: str, models_dir: Path) -> Path:
    """The folder of NAME, NAME@VERSION or a path.

    NAME without a version is the newest trained one (`models_dir/NAME/VERSION`), else the shipped one.
    Raises BundleError where there is none.
    """
    path = Path(reference)
    if is_bundle(path):
        return path
    name, _, version = reference.partition("@")
    if _plain(name):
        trained, shipped = models_dir / name, PRETRAINED_FOLDER / name
        places = [trained / version] if _plain(version) else [] if version else _newest_first(trained)
        found = next((place for place in places if is_bundle(place)), None)
        if found is not None:
            return found
        if is_bundle(shipped) and (not version or _stated(shipped, "version") == version):
            return shipped
    raise BundleError(f"There is no model '{path.name}'. Give NAME, NAME@VERSION or the path of a bundle.")


def is_name(reference: str) -> bool:
    """Whether a reference is a name without a version, which may stand for several bundles, and no path."""
    return _plain(reference) and "@" not in reference and not is_bundle(Path(reference))


def versions(name: str, models_dir: Path) -> list[str]:
    """The versions of a name, each of which `find_bundle` finds as NAME@VERSION: those of trained bundles, the newest
    first, then that of the shipped one. None of what is no name."""
    if not is_name(name):
        return []
    shipped = _stated(PRETRAINED_FOLDER / name, "version") if is_bundle(PRETRAINED_FOLDER / name) else None
    trained = [place.name for place in _newest_first(models_dir / name) if is_bundle(place)]
    return trained if shipped is None or shipped in trained else [*trained, shipped]


def _newest_first(folder: Path) -> list[Path]:
    # What begins with a dot is still being written.
    return sorted((place for place in folder.glob("*") if _plain(place.name)), reverse=True)


def stated_label_set(path: Path) -> str | None:
    """The label set in a bundle's card, unverified as in `_stated`."""
    return _stated(path, "label_set")


def stated_identity(path: Path) -> tuple[str, str] | None:
    """Name and version in a bundle's card, unverified as in `_stated`; None where it has no readable card."""
    name, version = _stated(path, "name"), _stated(path, "version")
    return None if name is None or version is None else (name, version)


def _stated(path: Path, name: str) -> str | None:
    """A field of a bundle's card, unverified: whoever uses the bundle loads and so verifies it. None if unreadable."""
    try:
        return str(json.loads((path / CARD).read_text(encoding="utf-8"))[name])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def shipped_bundles() -> list[Path]:
    """The bundles that come with the program, by name."""
    return sorted(p for p in PRETRAINED_FOLDER.glob("*") if is_bundle(p))


def _digest(file: Path) -> str:
    try:
        return sha256_file(file)
    except OSError as error:
        raise BundleError(f"The model's {file.name} cannot be read; fetch or train it again.") from error


def _plain(name: str) -> bool:
    return bool(name) and "/" not in name and "\\" not in name and not name.startswith(".")
