"""Which images a bundle learnt from or was tuned on, so that nothing decides about it that it has met before."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ml.bundle import LEARNT, Bundle
from ml.errors import BundleError

DIGITS = 16
"""Of each image's SHA-256, the first hexadecimal digits are kept: 64 bits."""


def listed(digests: Iterable[str], before: Sequence[Bundle] = ()) -> str | None:
    """The content of a bundle's list: images by their SHA-256, and those of the bundles that it was made from.

    None where one of these has no list: then nobody knows all images.
    """
    known = {digest[:DIGITS] for digest in digests}
    for bundle in before:
        earlier = learnt_from(bundle)
        if earlier is None:
            return None
        known |= earlier
    return "".join(f"{digest}\n" for digest in sorted(known))


def learnt_from(bundle: Bundle) -> frozenset[str] | None:
    """Digests of the images in the bundle's list; None for a bundle without one. Raises BundleError where it cannot be
    read."""
    path: Path = bundle.path / LEARNT
    if not path.is_file():
        return None
    try:
        return frozenset(path.read_text(encoding="ascii").split())
    except (OSError, ValueError) as error:
        raise BundleError(f"{LEARNT} of '{bundle.card.name}' cannot be read; fetch or train it again.") from error


def met(bundle: Bundle, digests: Iterable[str]) -> int | None:
    """How many images, by their SHA-256, are in the bundle's list; None for a bundle without one."""
    known = learnt_from(bundle)
    return None if known is None else sum(digest[:DIGITS] in known for digest in digests)
