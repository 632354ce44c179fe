"""Every bundle of this installation: shipped, trained, and the damaged ones with what is wrong with them."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml.bundle import FIRST_LOOK, PRETRAINED_FOLDER, Bundle, find_bundle, load_bundle, shipped_bundles
from ml.errors import BundleError
from webapp.config import Config
from webapp.inference import get_models

if TYPE_CHECKING:
    from ml.preliminary import FirstLookCard


@dataclass(frozen=True)
class Entry:
    """One bundle. `reference` is NAME@VERSION; `bundle` is None where it cannot be used, and `problem` says why.

    `origin` is "shipped", "trained" or "elsewhere" (named by `MODEL` as a path); `role` "answers", "shadow" or "".
    """

    reference: str
    path: Path
    origin: str
    bundle: Bundle | None
    problem: str = ""
    role: str = ""

    @property
    def label_set(self) -> str:
        """The label set that it answers; "" where that cannot be read."""
        return self.bundle.card.label_set if self.bundle else ""

    @property
    def may_be_promoted(self) -> bool:
        """Whether it can take the place of the model that answers: every process must find it by its reference."""
        return bool(
            self.bundle and not self.bundle.card.stage and self.role != "answers" and self.origin != "elsewhere"
        )


@dataclass(frozen=True)
class FirstLookEntry:
    """A first look (see ml.preliminary): no network, and nothing is promoted of it. The newest of a label set stands
    beside the answers: it is `used`. `card` is None where it cannot be used, and `problem` says why."""

    reference: str
    origin: str
    card: "FirstLookCard | None"
    problem: str = ""
    used: bool = False


def first_looks(config: Config) -> list[FirstLookEntry]:
    """All first looks, trained ones first, the newest at the top."""
    # Imported here: the web application must start without loading numerical libraries.
    from ml.preliminary import find_first_look, first_look_folders

    found = []
    for path in first_look_folders(config.models):
        card, problem = _verified_first_look(path, _stamp(path))
        shipped = path.parent == PRETRAINED_FOLDER
        reference = (
            f"{card.name}@{card.version}" if card else path.name if shipped else f"{path.parent.name}@{path.name}"
        )
        used = card is not None and find_first_look(card.label_set, config.models) == path
        found.append(FirstLookEntry(reference, "shipped" if shipped else "trained", card, problem, used))
    return found


def entries(config: Config) -> list[Entry]:
    """All bundles: those that answer first, then by reference, newest version first."""
    models = get_models()
    answering: set[Path] = set()
    for reference in models.references().values():
        try:
            answering.add(find_bundle(reference, config.models).resolve())
        except BundleError:
            continue
    shadows = {standing.shadow for standing in models.standings().values()}
    places = [(path, "shipped") for path in shipped_bundles()]
    places += [(path, "trained") for path in sorted(config.models.glob("*/*")) if _holds_a_network(path)]
    known = {path.resolve() for path, _ in places}
    places += [(path, "elsewhere") for path in answering if path not in known]
    found = []
    for path, origin in places:
        bundle, problem = _verified(path, _stamp(path))
        reference = f"{bundle.card.name}@{bundle.card.version}" if bundle else f"{path.parent.name}@{path.name}"
        if origin == "shipped" and not bundle:
            reference = path.name
        role = "answers" if path.resolve() in answering else "shadow" if reference in shadows else ""
        found.append(Entry(reference, path, origin, bundle, problem, role))
    found.sort(key=lambda entry: entry.reference, reverse=True)
    return sorted(found, key=lambda e: (e.role != "answers", e.bundle is None, e.reference.partition("@")[0]))


def find_entry(config: Config, name: str, version: str) -> Entry | None:
    """The bundle NAME@VERSION, also a damaged one; None where there is none."""
    return next((entry for entry in entries(config) if entry.reference == f"{name}@{version}"), None)


def _holds_a_network(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and not (path / FIRST_LOOK).exists()


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes whenever a file of the folder does."""
    try:
        files = [(file.name, file.stat()) for file in path.iterdir() if file.is_file()]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in files))


@lru_cache(maxsize=64)
def _verified_first_look(path: Path, stamp: tuple[tuple[str, int, int], ...]) -> "tuple[FirstLookCard | None, str]":
    from ml.preliminary import load_first_look

    try:
        return load_first_look(path).card, ""
    except BundleError as error:
        return None, str(error)


@lru_cache(maxsize=256)
def _verified(path: Path, stamp: tuple[tuple[str, int, int], ...]) -> tuple[Bundle | None, str]:
    """The bundle, every file held against its checksum, or what is wrong; again only where a file was written anew."""
    try:
        return load_bundle(path), ""
    except BundleError as error:
        return None, str(error)
