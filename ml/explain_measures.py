"""How good heatmaps are: do the regions they mark carry the answer, and do they lie on the lesion?

Deletion and insertion (Petsiuk, Das, Saenko 2018, "RISE: Randomized Input Sampling for Explanation of Black-box
Models"): the most marked part of a picture is replaced by a blurred copy, or is all that is shown of it in a blurred
copy, and the area under the curve of the answer's probability is taken over the share that was replaced or shown. A
heatmap is worth something where it does better than random maps of the same smoothness.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from tqdm import tqdm

from ml.bootstrap import bootstrap
from ml.bundle import Bundle
from ml.data.manifest import ImageRecord, read_image
from ml.features import lesion_mask
from ml.metrics import Floats
from ml.predict import Classifier
from ml.transforms.serving import square

Picture = NDArray[np.uint8]
Heat = NDArray[np.float32]

SHARES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the picture that are replaced or shown; closer where probabilities change fastest."""

BLUR = 1 / 16
"""Spread of the blur that takes the structure out of a picture, as a share of its side."""

ANSWERS_A_PICTURE = 4 * (len(SHARES) - 2) + 3


def measure_explanations(
    bundle: Bundle,
    records: Sequence[ImageRecord],
    *,
    images: int = 100,
    seed: int = 0,
    resamples: int = 1000,
    progress: bool = False,
) -> dict[str, Any]:
    """Figures of a bundle's heatmaps on a sample of images, one of a lesion at most, spread evenly over the classes.

    It is a sample because every image is answered ANSWERS_A_PICTURE times. Everything happens in the square that the
    network sees. `gain` is how much better a heatmap does than a random map, with a 95 % interval over lesions;
    `ratio` is the share of the heatmap's mass inside the lesion over the share of the picture that the lesion takes;
    `other_heatmaps` is the share that heatmaps of the other images have there, which is what merely pointing at the
    middle is worth. Raises ValueError without images, DatasetError where one cannot be read.
    """
    chosen = sample(records, images, seed)
    classifier = Classifier(bundle)
    rng = np.random.default_rng(seed)
    areas: list[Floats] = []
    heatmaps: list[Heat] = []
    masks: list[NDArray[np.bool_] | None] = []
    for record in tqdm(chosen, unit="image", disable=not progress):
        picture = square(read_image(record, 4 * bundle.card.image_size), bundle.card.image_size)
        prediction = classifier.predict([picture], heatmaps=True)
        if prediction.heatmaps is None:
            raise ValueError("no heatmaps were made")
        heat, named = enlarged(prediction.heatmaps[0], len(picture)), int(prediction.predicted[0])

        def answer(pictures: Sequence[Picture], named: int = named) -> Floats:
            probabilities: Floats = classifier.predict(pictures).probabilities[:, named]
            return probabilities

        random = enlarged(random_map(prediction.heatmaps[0], rng), len(picture))
        areas.append(deletion_and_insertion(answer, picture, [heat, random]))
        heatmaps.append(heat)
        masks.append(lesion_mask(picture))
    return {
        "images": len(chosen),
        "lesions": len({record.lesion_id for record in chosen}),
        "seed": seed,
        **_gains(np.array(areas), chosen, resamples, seed),
        "lesion": _inside(heatmaps, masks, chosen, resamples, seed),
    }


def sample(records: Sequence[ImageRecord], images: int, seed: int) -> list[ImageRecord]:
    """Up to `images` records, one of a lesion at most, of every true class as many as of the others where there are."""
    rng = np.random.default_rng(seed)
    by_class: dict[str, list[ImageRecord]] = {}
    seen: set[str] = set()
    for i in rng.permutation(len(records)):
        record = records[int(i)]
        if record.lesion_id not in seen:
            seen.add(record.lesion_id)
            by_class.setdefault(record.label, []).append(record)
    chosen: list[ImageRecord] = []
    while len(chosen) < images and any(by_class.values()):
        for label in sorted(by_class):
            if by_class[label] and len(chosen) < images:
                chosen.append(by_class[label].pop())
    return chosen


def enlarged(heatmap: Heat, side: int) -> Heat:
    """A heatmap [G, G] at the size of its square, [side, side]."""
    return np.asarray(Image.fromarray(heatmap).resize((side, side), Image.Resampling.BICUBIC)).clip(0, None)


def random_map(heatmap: Heat, rng: np.random.Generator) -> Heat:
    """A random map [G, G] as smooth as the heatmap: its spatial frequencies, with phases drawn at random."""
    phases = np.angle(np.fft.fft2(rng.standard_normal(heatmap.shape)))
    noise = np.fft.ifft2(np.abs(np.fft.fft2(heatmap - heatmap.mean())) * np.exp(1j * phases)).real
    return np.asarray(noise - noise.min(), dtype=np.float32)


def deletion_and_insertion(
    answer: Callable[[Sequence[Picture]], Floats], picture: Picture, maps: Sequence[Heat]
) -> Floats:
    """Areas under the two curves for each of M maps [S, S], each over shares 0 to 1 of the picture: [M, 2].

    `answer` gives the probability of one class for pictures [S, S, 3]. Deletion (low is good): the most marked part
    of the picture is replaced by a blurred copy. Insertion (high is good): the most marked part alone is sharp.
    """
    side = len(picture)
    blurred = ndimage.gaussian_filter(picture, (BLUR * side, BLUR * side, 0))
    changed: list[Picture] = []
    for heat in maps:
        rank = np.empty(side * side)
        rank[np.argsort(-heat, axis=None, kind="stable")] = (np.arange(side * side) + 0.5) / (side * side)
        marked = [(rank.reshape(side, side) < share)[..., None] for share in SHARES[1:-1]]
        changed += [np.where(part, blurred, picture) for part in marked]
        changed += [np.where(part, picture, blurred) for part in marked]
    whole, nothing, *rest = answer([picture, blurred, *changed])
    curves = np.reshape(rest, (len(maps), 2, len(SHARES) - 2))
    return np.array(
        [
            [np.trapezoid([whole, *deleted, nothing], SHARES), np.trapezoid([nothing, *inserted, whole], SHARES)]
            for deleted, inserted in curves
        ]
    )


def _gains(areas: Floats, records: Sequence[ImageRecord], resamples: int, seed: int) -> dict[str, Any]:
    """Deletion and insertion from areas [N, 2, 2], of the heatmap and of the random map."""
    names = ("deletion", "insertion")
    more = areas[:, 0] - areas[:, 1]
    gains = {"deletion": -more[:, 0], "insertion": more[:, 1]}

    def means(weights: Floats) -> dict[str, Floats]:
        return {name: weights @ gains[name] / weights.sum(axis=1) for name in names}

    found = bootstrap(means, [record.lesion_id for record in records], resamples=resamples, seed=seed)
    return {
        name: {
            "heatmap": float(areas[:, 0, i].mean()),
            "random": float(areas[:, 1, i].mean()),
            "gain": found[name].value,
            "interval": [found[name].low, found[name].high],
        }
        for i, name in enumerate(names)
    }


def _inside(
    heatmaps: Sequence[Heat],
    masks: Sequence[NDArray[np.bool_] | None],
    records: Sequence[ImageRecord],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """How much of the heatmaps' mass lies inside the lesions, where one was found."""
    shown = [
        (heat / heat.sum(), mask, record)
        for heat, mask, record in zip(heatmaps, masks, records, strict=True)
        if mask is not None and heat.sum() > 0
    ]
    if not shown:
        return {"found": 0}
    area = np.array([mask.mean() for _, mask, _ in shown])
    mass = np.array([heat[mask].sum() for heat, mask, _ in shown])
    total = np.sum([heat for heat, _, _ in shown], axis=0)
    others = [(total - heat)[mask].sum() / max(len(shown) - 1, 1) for heat, mask, _ in shown]

    def ratio(weights: Floats) -> dict[str, Floats]:
        return {"ratio": (weights @ mass) / (weights @ area)}

    found = bootstrap(ratio, [record.lesion_id for _, _, record in shown], resamples=resamples, seed=seed)["ratio"]
    labels = np.array([record.label for _, _, record in shown])
    return {
        "found": len(shown),
        **_shares(area, mass),
        "interval": [found.low, found.high],
        "other_heatmaps": float(np.mean(others)) if len(shown) > 1 else None,
        "by_class": {
            label: {"images": int((labels == label).sum()), **_shares(area[labels == label], mass[labels == label])}
            for label in sorted(set(labels.tolist()))
        },
    }


def _shares(area: Floats, mass: Floats) -> dict[str, float]:
    return {"area": float(area.mean()), "mass": float(mass.mean()), "ratio": float(mass.mean() / area.mean())}
