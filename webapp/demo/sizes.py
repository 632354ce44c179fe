"""How much the demonstration draws and trains: what takes its time."""

from collections.abc import Mapping
from dataclasses import dataclass

CHAMPION, CHALLENGER = "demo-champion", "demo-challenger"


@dataclass(frozen=True)
class Recipe:
    """How one of the two models is trained: its name, pictures of each class and epochs."""

    name: str
    per_class: int
    epochs: int


@dataclass(frozen=True)
class Size:
    """Lesions that are drawn of each class, `dim` more of them as under a weaker lamp, `things` that are none; the
    recipes of champion and challenger; and lesions of each class that the two are compared on."""

    lesions: Mapping[str, int]
    dim: int
    things: int
    recipes: tuple[Recipe, Recipe]
    compared: int


# The champion has seen less and for a shorter time than its challenger.
FULL = Size(
    {"nv": 36, "bkl": 14, "mel": 14, "bcc": 10, "akiec": 8, "df": 6, "vasc": 5},
    dim=20, things=12, recipes=(Recipe(CHAMPION, 8, 4), Recipe(CHALLENGER, 12, 8)), compared=14,
)  # fmt: skip
SMALL = Size(
    {"nv": 7, "bkl": 3, "mel": 3, "bcc": 2, "akiec": 2, "df": 2, "vasc": 2},
    dim=6, things=6, recipes=(Recipe(CHAMPION, 6, 1), Recipe(CHALLENGER, 6, 2)), compared=2,
)  # fmt: skip
