"""Pictures and what is computed of them, kept on disk as memory-mapped arrays and made once."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.data.manifest import ImageRecord, read_image
from ml.errors import DatasetError
from ml.preprocess import MAX_SIDE, Preprocessing, prepared
from ml.transforms.serving import square

NO_STEPS = Preprocessing()


def decoded(
    records: Sequence[ImageRecord],
    side: int,
    cache: Path,
    progress: bool = True,
    zoom: float = 1.0,
    preprocessing: Preprocessing = NO_STEPS,
) -> NDArray[np.uint8]:
    """All pictures as one memory-mapped array uint8 [N, side, side, 3], made on first use and kept in `cache`.

    With `zoom` below 1 it is the central share of each side. The file's name is a digest of the pictures' own digests,
    side, zoom and preprocessing, so a changed data set or size never meets a stale cache. Raises DatasetError where a
    picture cannot be read or the cache cannot be written.
    """
    steps = [preprocessing.to_dict()] if preprocessing != NO_STEPS else []
    # Where a step works on the picture in its full size, it has to see what serving gives it.
    reading = 4 * side if preprocessing == NO_STEPS else 4 * max(side, MAX_SIDE)

    def pictures() -> Iterable[NDArray[np.uint8]]:
        for record in tqdm(records, desc=f"decoding at {side} px", disable=not progress, unit="img"):
            yield square(prepared(read_image(record, reading), preprocessing), side, zoom)

    key = [side, zoom, *steps, *(record.sha256 for record in records)]
    return kept(cache, key, (len(records), side, side, 3), pictures)


def kept(
    cache: Path, key: list[Any], shape: tuple[int, ...], rows: Callable[[], Iterable[NDArray[np.uint8]]]
) -> NDArray[np.uint8]:
    """The memory-mapped array uint8 of this shape whose file is named by a digest of `key` (plain JSON types).

    Where there is none, it is made of `rows` and appears in `cache` when it is complete. Raises DatasetError where it
    cannot be written.
    """
    path = cache / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]}.npy"
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.stem}.{os.getpid()}.partial")
            filled = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
            for number, row in enumerate(rows()):
                filled[number] = row
            filled.flush()
            del filled
            partial.replace(path)
        except OSError as error:
            reason = error.strerror or "the folder is not writable"
            raise DatasetError(f"The decoded images cannot be kept in {cache}: {reason}.") from error
    array: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return array
