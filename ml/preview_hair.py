"""Hair removal before and after, on a folder of pictures, and how its share of hair agrees with people's ratings."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ml.data.listing import read_table, walk_images
from ml.decoding import decode
from ml.errors import DatasetError, InvalidImage
from ml.files import write_bytes
from ml.gate_quality import HAIR_HINT
from ml.images import encode_jpeg, thumbnail
from ml.pages import environment
from ml.preprocess import MAX_SIDE, remove_hair
from ml.report_sheets import data_uri

PAGE, TABLE = "hair.html", "hair.csv"
RATINGS = "manifest.csv"
FEWEST_RATED = 3
SHOWN_SIDE = 300  # pixels of a picture on the page
MARK = np.array([255, 40, 160], np.uint8)


@dataclass(frozen=True)
class Removal:
    """One picture: its share of hair, 0 to 1, people's mean rating (None where there is none), and three addresses that
    need no file: before, with the hair marked, after."""

    name: str
    share: float
    rating: float | None
    before: str
    marked: str
    after: str


@dataclass(frozen=True)
class HairFigures:
    """Pictures by their share of hair, most first; `correlation` is Spearman's with the ratings of `rated` of them."""

    pictures: tuple[Removal, ...]
    unreadable: int
    rated: int
    correlation: float | None

    @property
    def over_hint(self) -> int:
        """How many show so much hair that a photo of theirs would get the hint to part it."""
        return sum(picture.share > HAIR_HINT for picture in self.pictures)


def preview_hair(source: Path, out: Path) -> HairFigures:
    """Remove the hair of every picture in `source` and below; write `hair.html` and `hair.csv` to `out`.

    Ratings come from `manifest.csv` there, where it is: columns `file` and `ratings` (numbers separated by spaces, one
    a person). Raises DatasetError for a folder without pictures, ratings that are no numbers, or an `out` that cannot
    be written.
    """
    if not source.is_dir():
        raise DatasetError(f"There is no folder {source}.")
    ratings, found, unreadable = _ratings(source / RATINGS), list[Removal](), 0
    for path in walk_images(source):
        name = path.relative_to(source).as_posix()
        try:
            found.append(_removal(name, decode(path.read_bytes(), max_side=MAX_SIDE), ratings.get(name)))
        except (OSError, InvalidImage):
            unreadable += 1
    if not found:
        raise DatasetError(f"There are no pictures in {source}.")
    found.sort(key=lambda one: (-one.share, one.name))
    rated = [(one.share, one.rating) for one in found if one.rating is not None]
    figures = HairFigures(tuple(found), unreadable, len(rated), _correlation(rated))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(out / TABLE, _table(figures).encode())
        write_bytes(out / PAGE, _page(figures).encode())
    except OSError as error:
        raise DatasetError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error
    return figures


def _removal(name: str, pixels: NDArray[np.uint8], rating: float | None) -> Removal:
    result = remove_hair(pixels)
    marked = np.where(result.mask[..., None], MARK, pixels)
    before, with_mark, after = (
        data_uri(encode_jpeg(thumbnail(picture, SHOWN_SIDE), quality=85), "image/jpeg")
        for picture in (pixels, marked, result.pixels)
    )
    return Removal(name, result.share, rating, before, with_mark, after)


def _ratings(path: Path) -> dict[str, float]:
    """Mean rating by file name, of files that have any; empty where there is no table of ratings."""
    if not path.is_file():
        return {}
    rows = read_table(path, required=())
    if not rows or not {"file", "ratings"} <= rows[0].keys():
        return {}
    try:
        given = {row["file"]: [float(word) for word in row["ratings"].split()] for row in rows}
        if not all(math.isfinite(rating) for own in given.values() for rating in own):
            raise ValueError("not finite")
    except ValueError:
        raise DatasetError(f"{path} has ratings that are no numbers separated by spaces.") from None
    return {name: fmean(own) for name, own in given.items() if own}


def _correlation(rated: list[tuple[float, float]]) -> float | None:
    """Spearman's rank correlation; None where too few are rated, or all alike."""
    if len(rated) < FEWEST_RATED or any(len(set(column)) < 2 for column in zip(*rated, strict=True)):
        return None
    from scipy.stats import spearmanr

    shares, ratings = zip(*rated, strict=True)
    return float(spearmanr(shares, ratings)[0])


def _table(figures: HairFigures) -> str:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "hair", "rating"])
    for one in figures.pictures:
        writer.writerow([one.name, f"{one.share:.4f}", "" if one.rating is None else f"{one.rating:g}"])
    return table.getvalue()


def _page(figures: HairFigures) -> str:
    return environment().get_template("preview_hair.html.j2").render(figures=figures, hint=HAIR_HINT)
