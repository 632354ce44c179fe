"""Five folds as the Mpox Skin Lesion Dataset, version 2.0, brings them, with pictures that were augmented beforehand.

    Original Images/FOLDS/fold1 .. fold5/{Train,Valid,Test}/<class>/
    Augmented Images/FOLDS_AUG/fold1_AUG .. fold5_AUG/Train/<class>/

Every fold has a copy of the same pictures, and what one fold tests another trains on: the training folders of two folds
together hold every test picture. So a picture is listed once here, known by its bytes, with its part in each fold.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ml.data.listing import SPLIT_NAMES, LeftOut, Source, SourceImage, sorted_source, walk_images
from ml.data.manifest import SPLITS
from ml.data.sources_folders import read_groups, unmatched
from ml.errors import DatasetError
from ml.files import sha256_file
from ml.labels import Taxonomy

_FOLD = re.compile(r"fold_?([1-9]\d*)", re.IGNORECASE)
_AUGMENTED_FOLD = re.compile(r"fold_?([1-9]\d*)_aug", re.IGNORECASE)
_PATIENT = re.compile(r"([A-Za-z]+_\d+)_\d+")
"""Class, patient and picture, as MSLD v2.0 names its files: MKP_17_01."""


def read_msld_folds(folder: Path, taxonomy: Taxonomy) -> Source:
    """List the pictures with their part in each fold, and the augmented ones of each fold's training part.

    Pictures of one patient, by their names or by the groups table that `ml.data.sources_folders` reads, are one lesion.
    An augmented picture belongs to the picture that its own name begins or ends with; one whose original is in the same
    fold's test or validation part is refused. Raises DatasetError where the layout is not there or lacks a part.
    """
    home = _find_folder(folder, "folds")
    if home is None:
        raise DatasetError(
            f"{folder} has no folder FOLDS with fold1, fold2, ... in it; give the folder that holds 'Original Images'."
        )
    folds = _numbered(home, _FOLD)
    if len(folds) < 2 or sorted(folds) != list(range(1, len(folds) + 1)):
        raise DatasetError(f"{home} needs the folders fold1, fold2, ... without a gap.")
    groups, tables = read_groups(folder, None)
    images, left_out = _originals(home, folds, _Groups(groups, folder), taxonomy)
    extra = _find_folder(folder, "folds_aug")
    if extra is not None:
        augmented, refused = _augmented(extra, len(folds), images, taxonomy)
        return sorted_source([*images, *augmented], left_out + refused, tables)
    return sorted_source(images, left_out, tables)


class _Groups:
    """The groups table: the groups of pictures, of which every fold has a copy, by any of the names they may have."""

    def __init__(self, groups: Mapping[str, str], folder: Path) -> None:
        self._groups, self._folder = groups, folder
        self._known: set[str] = set()

    def find(self, path: Path, home: Path) -> str | None:
        """The group of the picture at `path` by its path relative to the folder or to FOLDS, or as <class>/<file>."""
        names = [path.relative_to(self._folder).as_posix(), path.relative_to(home).as_posix()]
        names.append("/".join(path.parts[-2:]))
        self._known.update(names)
        return next((self._groups[name] for name in names if name in self._groups), None)

    def unmatched(self) -> list[LeftOut]:
        """See `ml.data.sources_folders.unmatched`; to be asked when all pictures have been looked for."""
        return unmatched(self._groups, self._known, self._folder)


def _find_folder(folder: Path, name: str) -> Path | None:
    """The folder of this name, in any case, that is highest up; archives unpack to several levels."""
    found = [path for path in (folder, *folder.rglob("*")) if path.name.lower() == name and path.is_dir()]
    return min(found, key=lambda path: (len(path.parts), path), default=None)


def _numbered(home: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    found = ((pattern.fullmatch(path.name), path) for path in sorted(home.iterdir()) if path.is_dir())
    return {int(match[1]): path for match, path in found if match}


def _originals(
    home: Path, folds: dict[int, Path], groups: _Groups, taxonomy: Taxonomy
) -> tuple[list[SourceImage], list[LeftOut]]:
    parts: dict[tuple[str, str], list[str]] = {}  # label and digest -> part in each fold
    images: dict[tuple[str, str], tuple[Path, str]] = {}
    grouped: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    left_out: list[LeftOut] = []
    for number, fold in sorted(folds.items()):
        present = {split for path in fold.iterdir() if (split := SPLIT_NAMES.get(path.name.lower()))}
        if present != set(SPLITS):
            raise DatasetError(f"{fold} needs the folders Train, Valid and Test.")
        for path in walk_images(fold):
            split = SPLIT_NAMES.get(path.relative_to(fold).parts[0].lower())
            label = taxonomy.find(path.parent.name)
            place = path.relative_to(home).as_posix()
            group = groups.find(path, home)
            if split is None or len(path.relative_to(fold).parts) != 3:
                left_out.append(LeftOut(place, "not in a class folder"))
                continue
            if label is None:
                left_out.append(LeftOut(place, f"'{path.parent.name}' is no class of {taxonomy.name}"))
                continue
            key = (label, sha256_file(path))
            name = f"{path.parent.name}/{path.name}"
            if group is not None and grouped.setdefault(key, group) != group:
                raise DatasetError(
                    f"The groups table says '{group}' of {place} and '{grouped[key]}' of a copy of it in another fold."
                )
            if key not in parts:
                # Another picture of the same name in another fold keeps its whole place as a name.
                images[key] = (path, place if name in names else name)
                names.add(name)
            roles = parts.setdefault(key, [""] * len(folds))
            if roles[number - 1]:
                strongest = max(roles[number - 1], split, key=SPLITS.index)
                left_out.append(LeftOut(place, f"twice in one fold; kept in {strongest} alone"))
                roles[number - 1] = strongest
            else:
                roles[number - 1] = split
    listed = []
    for key, (path, name) in images.items():
        patient = _PATIENT.fullmatch(path.stem)
        lesion = grouped.get(key) or (f"{key[0]}/{patient[1]}" if patient else name)
        listed.append(SourceImage(path, name, key[0], lesion, "msld", folds=tuple(parts[key])))
    return listed, left_out + groups.unmatched()


def _augmented(
    home: Path, count: int, originals: list[SourceImage], taxonomy: Taxonomy
) -> tuple[list[SourceImage], list[LeftOut]]:
    by_stem: dict[tuple[str, str], list[SourceImage]] = {}
    for image in originals:
        by_stem.setdefault((image.label, Path(image.name).stem.lower()), []).append(image)
    images: list[SourceImage] = []
    refused: list[LeftOut] = []
    for number, fold in sorted(_numbered(home, _AUGMENTED_FOLD).items()):
        if number > count:
            raise DatasetError(f"{fold} belongs to a fold {number} that does not exist.")
        for path in walk_images(fold):
            name = path.relative_to(home).as_posix()
            label = taxonomy.find(path.parent.name)
            if SPLIT_NAMES.get(path.relative_to(fold).parts[0].lower()) != "train":
                refused.append(LeftOut(name, "augmented, but not for training"))
                continue
            if label is None:
                refused.append(LeftOut(name, f"'{path.parent.name}' is no class of {taxonomy.name}"))
                continue
            found = next((by_stem[label, stem] for stem in _stems(path.stem.lower()) if (label, stem) in by_stem), [])
            parts = {original.folds[number - 1] for original in found}
            if not found:
                refused.append(LeftOut(name, "augmented, but no original's name is in its name"))
            elif parts != {"train"}:
                part = max(parts, key=("", *SPLITS).index)
                where = f"in {part}" if part else "no part"
                refused.append(LeftOut(name, f"augmented copy: its original is {where} of fold {number}"))
            else:
                roles = tuple("train" if fold_number == number else "" for fold_number in range(1, count + 1))
                origin = found[0]
                copy = SourceImage(path, name, label, origin.lesion_id, "msld", folds=roles, augmented_from=origin.name)
                images.append(copy)
    return images, refused


def _stems(stem: str) -> list[str]:
    """The name itself and what it begins or ends with, cut where its words end; the longest first."""
    cuts = [position for position, letter in enumerate(stem) if not letter.isalnum()]
    pieces = {stem, *(stem[:cut] for cut in cuts), *(stem[cut + 1 :] for cut in cuts)}
    return sorted(pieces - {""}, key=lambda piece: (-len(piece), not stem.startswith(piece), piece))
