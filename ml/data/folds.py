"""The part of each picture in each fold: drawn here, or given by the source and checked.

In every fold a group is in one part only, so a fold never trains on what it tests.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ml.data.check import Checked
from ml.data.duplicates import find_near_duplicates
from ml.data.listing import LeftOut
from ml.data.manifest import SPLITS
from ml.data.split import FRACTIONS, assign_groups, split_groups
from ml.errors import DatasetError

Parts = tuple[str, ...]
"""One of train, val, test for each fold, or "" where the picture has no part in it."""


def draw_folds(
    labels: Sequence[str],
    groups: Sequence[str],
    folds: int,
    *,
    seed: int = 0,
    fractions: Mapping[str, float] = FRACTIONS,
) -> list[Parts]:
    """Parts of each image, [N], from its label and its group: the test part of exactly one fold.

    Groups are dealt to `folds` equal test parts, class by class (see `ml.data.split`). The rest of a fold is divided
    anew into train and val, in the proportion of `fractions`. Raises DatasetError for fewer than two folds, or where a
    class has too few groups.
    """
    if folds < 2:
        raise DatasetError(f"At least 2 folds are needed, not {folds}.")
    names = [str(number) for number in range(1, folds + 1)]
    tested = assign_groups(labels, groups, dict.fromkeys(names, 1 / folds), seed)
    rest = {name: fractions[name] for name in ("train", "val")}
    shares = {name: share / sum(rest.values()) for name, share in rest.items()}
    parts = [[""] * folds for _ in labels]
    for position, name in enumerate(names):
        inside = [i for i, fold in enumerate(tested) if fold != name]
        split = split_groups([labels[i] for i in inside], [groups[i] for i in inside], seed=seed, fractions=shares)
        for i, part in zip(inside, split, strict=True):
            parts[i][position] = part
        for i, fold in enumerate(tested):
            if fold == name:
                parts[i][position] = "test"
    return [tuple(row) for row in parts]


def given_folds(checked: Sequence[Checked], groups: Sequence[str]) -> tuple[list[Parts], list[LeftOut]]:
    """The source's own folds, [N], without the pictures whose group is on the other side of a fold.

    What measures is kept, what is learnt from gives way: test before val before train.
    """
    homes: dict[tuple[int, str], str] = {}
    order = ("", *SPLITS)
    for item, group in zip(checked, groups, strict=True):
        for number, part in enumerate(item.image.folds, start=1):
            homes[number, group] = max(homes.get((number, group), ""), part, key=order.index)
    parts: list[Parts] = []
    left_out: list[LeftOut] = []
    for item, group in zip(checked, groups, strict=True):
        row = []
        for number, part in enumerate(item.image.folds, start=1):
            home = homes[number, group]
            if part and part != home:
                reason = f"in {part} of fold {number}, but its lesion or a near-duplicate is in {home}"
                left_out.append(LeftOut(item.image.name, reason))
            row.append(part if part == home else "")
        parts.append(tuple(row))
    return parts, left_out


def admit_augmented(
    originals: Sequence[Checked],
    groups: Sequence[str],
    parts: Sequence[Parts],
    augmented: Sequence[Checked],
    progress: bool,
) -> tuple[list[tuple[Checked, str]], list[LeftOut]]:
    """Augmented pictures, each with its original's group, without those that look like what their fold measures on.

    `groups` and `parts` are those of the `originals`, which are checked already.
    A name can lie, so every augmented picture is compared with the test and validation pictures of its fold too, by
    their pixels. Rotation by odd angles and strong zoom escape that (see `ml.data.duplicates`).
    """
    group_of = {item.image.name: group for item, group in zip(originals, groups, strict=True)}
    parts_of = {item.image.name: row for item, row in zip(originals, parts, strict=True)}
    admitted: list[tuple[Checked, str]] = []
    refused: list[LeftOut] = []
    by_fold: dict[int, list[Checked]] = defaultdict(list)
    for item in augmented:
        by_fold[item.image.folds.index("train")].append(item)
    for position, items in sorted(by_fold.items()):
        measured = [item for item in originals if parts_of[item.image.name][position] in ("val", "test")]
        prints = [item.fingerprint for item in (*measured, *items)]
        alike: dict[int, Checked] = {}
        for pair in find_near_duplicates(prints, progress=progress):
            if pair.first < len(measured) <= pair.second:
                alike.setdefault(pair.second - len(measured), measured[pair.first])
        for number, item in enumerate(items):
            if number in alike:
                part = parts_of[alike[number].image.name][position]
                reason = f"augmented copy: looks like a picture in {part} of fold {position + 1}"
                refused.append(LeftOut(item.image.name, reason))
            elif parts_of.get(item.image.augmented_from, ("",) * (position + 1))[position] != "train":
                reason = f"augmented copy: its original is not used in train of fold {position + 1}"
                refused.append(LeftOut(item.image.name, reason))
            else:
                admitted.append((item, group_of[item.image.augmented_from]))
    return admitted, refused
