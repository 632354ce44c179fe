"""How long a first look takes: processor time of one thread a photo, from decoded pixels to the answer.

    OMP_NUM_THREADS=1 python benchmarks/first_look.py [--photos FOLDER] [--number 200]

Prints the median and the 95th percentile in milliseconds, of the whole and of its parts. Without `--photos` it takes
drawn lesions of 400 x 300 pixels.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from ml.data.drawn import draw_lesion  # noqa: E402
from ml.features import find_lesion  # noqa: E402
from ml.features_list import measure  # noqa: E402
from ml.gate_quality import quality_scores  # noqa: E402
from ml.images import decode  # noqa: E402
from ml.preliminary import FirstLook, find_first_look, load_first_look  # noqa: E402

WARM_UP = 5
CODES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def photos(folder: Path | None, number: int) -> Iterator[NDArray[np.uint8]]:
    """`number` photos [H, W, 3]: of the folder, from the beginning again where they are fewer, or drawn ones."""
    if folder is None:
        return (draw_lesion(code, np.random.default_rng(seed)) for seed, code in zip(range(number), cycle(CODES)))
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return (decode(path.read_bytes()) for path in islice(cycle(paths), number))


def milliseconds(work: Callable[[NDArray[np.uint8]], Any], pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Processor time of `work` on each picture, in this thread."""
    for picture in pictures[:WARM_UP]:
        work(picture)
    found = []
    for picture in pictures:
        started = time.thread_time()
        work(picture)
        found.append(1000 * (time.thread_time() - started))
    return np.array(found)


def report(look: FirstLook, pictures: list[NDArray[np.uint8]]) -> list[str]:
    """A line for the whole and each of its parts."""
    parts: tuple[tuple[str, Callable[[NDArray[np.uint8]], Any]], ...] = (
        ("first look, all of it", look.look),
        ("  finding the lesion", find_lesion),
        ("  finding and measuring it", measure),
        ("  quality of the photo", quality_scores),
    )
    lines = [f"{look.card.name}@{look.card.version}, {len(pictures)} photos, one thread, ms of processor time"]
    for name, work in parts:
        took = milliseconds(work, pictures)
        lines.append(f"{name:<28} median {np.median(took):5.1f}   p95 {np.percentile(took, 95):5.1f}")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--number", type=int, default=200)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    folder = find_first_look("ham10000", PROJECT / "instance" / "models")
    if folder is None:
        sys.exit("There is no first look for 'ham10000'. `flask train --preliminary` makes one.")
    print("\n".join(report(load_first_look(folder), list(photos(options.photos, options.number)))))
