"""Train, validation and test splits that never part a group and hold every class in its share."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ml.data.manifest import SPLITS
from ml.errors import DatasetError

FRACTIONS: Mapping[str, float] = {"train": 0.70, "val": 0.15, "test": 0.15}


def split_groups(
    labels: Sequence[str], groups: Sequence[str], *, seed: int = 0, fractions: Mapping[str, float] = FRACTIONS
) -> list[str]:
    """The split of each image, [N], from its label and its group.

    Every class is divided by itself, by image counts; a group goes where its class is furthest behind its share. Groups
    come largest first and, within a size, in an order drawn from the seed and the group's name, so that each split gets
    its share of large and small groups, and the result depends neither on the order of the images nor on the machine.

    Raises DatasetError where the fractions are unusable or a class has fewer groups than there are splits.
    """
    wanted = {name: fraction for name, fraction in fractions.items() if fraction > 0}
    if not wanted or set(wanted) - set(SPLITS) or abs(sum(wanted.values()) - 1) > 1e-6:
        raise DatasetError(f"Split fractions must be for {', '.join(SPLITS)} and add up to 1.")
    return assign_groups(labels, groups, {name: wanted[name] for name in SPLITS if name in wanted}, seed)


def assign_groups(labels: Sequence[str], groups: Sequence[str], wanted: Mapping[str, float], seed: int) -> list[str]:
    """The part of each image, [N], where `wanted` has the share of each part. Ties go to the part named first.

    As `split_groups`, for parts of any name. Raises DatasetError where a class has fewer groups than there are parts.
    """
    members, strata = _strata(labels, groups)
    assigned: dict[str, str] = {}
    for label in sorted(strata):
        assigned |= _split_stratum(label, strata[label], members, wanted, seed)
    return [assigned[group] for group in groups]


def take_groups(labels: Sequence[str], groups: Sequence[str], share: float, seed: int) -> list[bool]:
    """Whether each image, [N], is taken out: about `share` of every class, whole groups, and never a class's last.

    A class that has one group gives none.
    """
    members, strata = _strata(labels, groups)
    wanted = {"left": 1 - share, "taken": share}
    taken: set[str] = set()
    for label, found in strata.items():
        if len(found) > 1:
            parts = _split_stratum(label, found, members, wanted, seed)
            taken |= {group for group, part in parts.items() if part == "taken"}
    return [group in taken for group in groups]


def _strata(labels: Sequence[str], groups: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The labels inside each group, and the groups of each class."""
    members: dict[str, list[str]] = defaultdict(list)
    for label, group in zip(labels, groups, strict=True):
        members[group].append(label)
    totals = Counter(labels)
    strata: dict[str, list[str]] = defaultdict(list)
    for group, inside in members.items():
        counts = Counter(inside)
        # A group of several classes counts for its commonest one; on a tie for the one that is rarer overall.
        strata[min(counts, key=lambda label: (-counts[label], totals[label], label))].append(group)
    return members, strata


def _split_stratum(
    label: str, groups: list[str], members: Mapping[str, list[str]], wanted: Mapping[str, float], seed: int
) -> dict[str, str]:
    if len(groups) < len(wanted):
        raise DatasetError(
            f"Class '{label}' has {len(groups)} separate lesion(s); at least {len(wanted)} are needed to split it."
        )
    ordered = sorted(groups, key=lambda group: (-len(members[group]), _draw(seed, group), group))
    total = sum(len(members[group]) for group in groups)
    filled, order = dict.fromkeys(wanted, 0), list(wanted)
    assigned: dict[str, str] = {}
    for position, group in enumerate(ordered):
        size = len(members[group])
        empty = [name for name in wanted if filled[name] == 0]
        # The last groups are kept for splits that would otherwise stay without this class.
        choices = empty if len(ordered) - position <= len(empty) else list(wanted)
        # Relative, not absolute, shortfall: otherwise all the large groups would go to the largest split.
        name = min(choices, key=lambda part: ((filled[part] + size) / (wanted[part] * total), order.index(part)))
        filled[name] += size
        assigned[group] = name
    return assigned


def _draw(seed: int, group: str) -> str:
    """A group's place in the seed's order: a hash, so the same everywhere and beside any other groups."""
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()
