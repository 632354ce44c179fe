"""Near-duplicate pictures: the same photo re-encoded, resized, mirrored, turned, tinted or slightly shifted.

Two steps. A 64-bit perceptual hash (the signs of a picture's lowest cosine frequencies around their median; Zauner
2010, "Implementation and benchmarking of perceptual image hash functions") brings up candidates, under all eight
flips and quarter turns. Pixel correlation then decides, because many lesions are a dark spot in the middle of pale skin
and share their low frequencies. The thresholds were set by looking at the most similar pairs of different lesions in
HAM10000.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn, irfft2, rfft2
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

SIDE = 96  # pixels of a fingerprint
_COARSE = 32
_MAX_HAMMING = 14  # of 64 bits: generous, the correlation decides
_MIN_CANDIDATE = 0.85  # correlation at 32 x 32 below which a candidate is not looked at further

# Overall likeness: the whole picture agrees, even where its detail is lost to blur or strong compression.
MIN_OVERALL = 0.98
# Likeness in fine detail (texture, hairs, freckles), whatever the lighting. In HAM10000 different lesions reach 0.39,
# pairs of lesions that show one photo begin at 0.43.
MIN_DETAIL = 0.40
# The largest shift tried, in fingerprint pixels. Of re-encoded HAM10000 photos all are found again when shifted by 2 %
# of the width, 83 % when shifted by 4 %, 97 % when cropped by 2 % on every side; hardly any when enlarged by 10 % or
# turned by 5 degrees: such pictures could as well be other photos of a lesion, which only a lesion id can join.
_MAX_SHIFT = 10

Fingerprint = NDArray[np.uint8]


@dataclass(frozen=True)
class NearDuplicate:
    """Two pictures by position, `first < second`, and how alike they are: correlations, -1 to 1."""

    first: int
    second: int
    overall: float
    detail: float


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Grey square [SIDE, SIDE] of RGB pixels [H, W, 3]: all that is compared of a picture."""
    square = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.array(square, dtype=np.uint8)


def find_near_duplicates(fingerprints: Sequence[Fingerprint], *, progress: bool = False) -> list[NearDuplicate]:
    """All near-duplicate pairs among fingerprints [N, SIDE, SIDE], sorted by position.

    Compares every pair of hashes (N squared, about two seconds for 8,000 pictures on one core) and correlates the few
    hundredths of a percent that come near. `progress` shows a bar on standard error.
    """
    if len(fingerprints) < 2:
        return []
    grey = np.stack(fingerprints)
    coarse = grey.reshape(len(grey), _COARSE, SIDE // _COARSE, _COARSE, SIDE // _COARSE).mean((2, 4), dtype=np.float32)
    vectors = _unit(coarse)
    spectrum = dctn(coarse, axes=(1, 2), norm="ortho")[:, :8, :8]
    hashes = _hash(spectrum)
    detail = _detail(grey)
    found: dict[tuple[int, int], NearDuplicate] = {}
    for turn in tqdm(range(8), desc="near-duplicates", disable=not progress):
        first, second = _candidates(hashes, _hash(_turn_spectrum(spectrum, turn)))
        turned = _unit(_turn(coarse, turn))
        overall = _row_products(vectors, turned, first, second)
        near = overall >= _MIN_CANDIDATE
        first, second, overall = first[near], second[near], overall[near]
        fine = _shifted_correlation(detail, first, second, turn)
        for index in np.flatnonzero((overall >= MIN_OVERALL) | (fine >= MIN_DETAIL)):
            pair = NearDuplicate(int(first[index]), int(second[index]), float(overall[index]), float(fine[index]))
            known = found.get((pair.first, pair.second))
            if known is None or known.detail < pair.detail:
                found[pair.first, pair.second] = pair
    return [found[key] for key in sorted(found)]


def connected(count: int, links: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Group number of each of `count` items when the items of every link belong together, [count]."""
    ends = np.array(links, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, dtype=np.int64)


def _turn(squares: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """One of the eight symmetries of the square on [N, S, S]: `turn % 4` quarter turns, then a mirror from 4 on."""
    turned = np.rot90(squares, turn % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if turn >= 4 else turned)


def _turn_spectrum(spectrum: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """The same symmetry on cosine coefficients [N, 8, 8]: mirroring flips the sign of the odd ones."""
    signs = np.where(np.arange(8) % 2, -1, 1).astype(np.float32)
    for _ in range(turn % 4):
        spectrum = spectrum.transpose(0, 2, 1) * signs[None, :, None]
    return spectrum * signs[None, None, :] if turn >= 4 else spectrum


def _hash(spectrum: NDArray[np.float32]) -> NDArray[np.uint64]:
    """64-bit hashes [N] of cosine coefficients [N, 8, 8]; the mean brightness has no say."""
    flat = spectrum.reshape(len(spectrum), 64)
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = False
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)[:, 0]


def _candidates(hashes: NDArray[np.uint64], turned: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions (first < second) whose hash and turned hash differ in few bits."""
    firsts, seconds = [], []
    block = max(1, 4_000_000 // len(hashes))
    for start in range(0, len(hashes), block):
        distances = np.bitwise_count(hashes[start : start + block, None] ^ turned[None, start:])
        rows, columns = np.nonzero(distances <= _MAX_HAMMING)
        ahead = rows < columns
        firsts.append(rows[ahead] + start)
        seconds.append(columns[ahead] + start)
    return np.concatenate(firsts), np.concatenate(seconds)


def _unit(squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squares [N, S, S] as vectors [N, S*S] of zero mean and unit length; a flat square becomes zeros."""
    vectors = squares.reshape(len(squares), -1)
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)


def _row_products(
    left: NDArray[np.float32], right: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scalar product of left[first] and right[second], pair by pair, [P]."""
    products = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), 4096):
        part = slice(start, start + 4096)
        products[part] = np.einsum("nd,nd->n", left[first[part]], right[second[part]])
    return products


def _detail(grey: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Fine structure [N, SIDE, SIDE] with equal contrast everywhere, faded out towards the corners.

    The fading keeps the round edge of a dermatoscope's view from counting as likeness.
    """
    centre = (SIDE - 1) / 2
    rows, columns = np.mgrid[:SIDE, :SIDE]
    radius = np.hypot(rows - centre, columns - centre) / (centre * 0.95)
    fade = np.clip((1 - radius) / 0.25, 0, 1)
    window = (fade * fade * (3 - 2 * fade)).astype(np.float32)
    detail = np.empty(grey.shape, dtype=np.float16)
    for start in range(0, len(grey), 256):  # in pieces, to hold little in memory
        part = grey[start : start + 256].astype(np.float32)
        fine = part - gaussian_filter(part, (0, 2, 2))
        spread = np.sqrt(gaussian_filter(fine * fine, (0, 6, 6)))
        # The 1 keeps a plain area's sensor noise from being raised to full contrast.
        detail[start : start + 256] = _unit(fine / (spread + 1) * window).reshape(part.shape)
    return detail


def _shifted_correlation(
    detail: NDArray[np.float16], first: NDArray[np.int64], second: NDArray[np.int64], turn: int
) -> NDArray[np.float32]:
    """Best correlation of each pair over small shifts, [P], by the Fourier cross-correlation theorem."""
    best = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), 256):
        part = slice(start, start + 256)
        one = rfft2(detail[first[part]].astype(np.float32))
        other = rfft2(_turn(detail[second[part]].astype(np.float32), turn))
        surface = np.roll(irfft2(one * np.conj(other), s=(SIDE, SIDE)), (_MAX_SHIFT, _MAX_SHIFT), axis=(1, 2))
        best[part] = surface[:, : 2 * _MAX_SHIFT + 1, : 2 * _MAX_SHIFT + 1].max(axis=(1, 2))
    return best
