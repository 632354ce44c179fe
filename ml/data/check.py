"""Every listed picture looked at once: does it decode, what is it alike to, and what must stay together."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from ml import decoding
from ml.data.duplicates import Fingerprint, connected, find_near_duplicates, fingerprint
from ml.data.listing import LeftOut, Source, SourceImage
from ml.errors import InvalidImage

_SCAN_SIDE = 192  # pixels: enough for a fingerprint, a quarter of the work of full size


@dataclass(frozen=True)
class Checked:
    """A picture that decodes, with what was measured on the way."""

    image: SourceImage
    sha256: str
    width: int
    height: int
    fingerprint: Fingerprint


def read_picture(image: SourceImage) -> bytes:
    """The bytes of a listed picture, a file or inside an HDF5 file. Raises OSError where it is not there."""
    if not image.container:
        return image.path.read_bytes()
    import h5py  # large, and needed for one format alone

    try:
        with h5py.File(image.path, "r") as pictures:
            return bytes(pictures[image.container][()])
    except KeyError as error:
        raise FileNotFoundError(image.container) from error


def check_images(source: Source, progress: bool) -> tuple[list[Checked], list[LeftOut]]:
    """The pictures that can be used, and those that cannot with what the source left out already."""
    checked: list[Checked] = []
    left_out = list(source.left_out)
    for image in tqdm(source.images, desc="images", unit="image", disable=not progress):
        try:
            data = read_picture(image)
            width, height = decoding.dimensions(data)
            pixels = decoding.decode(data, max_side=_SCAN_SIDE)
        except OSError:
            left_out.append(LeftOut(image.name, "unreadable file"))
        except InvalidImage as error:
            left_out.append(LeftOut(image.name, f"unusable image: {error.reason.replace('_', ' ')}"))
        else:
            checked.append(Checked(image, hashlib.sha256(data).hexdigest(), width, height, fingerprint(pixels)))
    return checked, left_out


def drop_conflicts(checked: list[Checked]) -> tuple[list[Checked], list[LeftOut]]:
    """Byte-identical pictures that carry different labels: nobody can say which is right, so none is kept."""
    labels: dict[str, set[str]] = defaultdict(set)
    for item in checked:
        labels[item.sha256].add(item.image.label)
    kept = [item for item in checked if len(labels[item.sha256]) == 1]
    dropped = [
        LeftOut(item.image.name, f"identical images labelled {' and '.join(sorted(labels[item.sha256]))}")
        for item in checked
        if len(labels[item.sha256]) > 1
    ]
    return kept, dropped


def group_images(checked: Sequence[Checked], progress: bool) -> tuple[list[str], dict[str, int]]:
    """Leak group of each picture, named after its first lesion, and how many near-duplicate pairs there are.

    One group are the pictures of a lesion, of a patient, the same bytes, and near-duplicates.
    """
    links: list[tuple[int, int]] = []
    patients = [item.image.patient_id for item in checked]
    for names_of in ([item.image.lesion_id for item in checked], [item.sha256 for item in checked], patients):
        first: dict[str, int] = {}
        links += [(first.setdefault(name, position), position) for position, name in enumerate(names_of) if name]
    pairs = find_near_duplicates([item.fingerprint for item in checked], progress=progress)
    links += [(pair.first, pair.second) for pair in pairs]
    numbers = connected(len(checked), links)
    names: dict[int, str] = {}
    for number, item in zip(numbers.tolist(), checked, strict=True):
        names[number] = min(names.get(number, item.image.lesion_id), item.image.lesion_id)
    across = sum(checked[pair.first].image.lesion_id != checked[pair.second].image.lesion_id for pair in pairs)
    return [names[number] for number in numbers.tolist()], {"all": len(pairs), "across_lesions": across}
