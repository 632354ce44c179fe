"""What training sees of a few pictures of each class, and how much each class counts: one self-contained HTML page."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from ml.data.cache import decoded
from ml.data.loader import CACHE_MARGIN, AugmentedImages, EpochSampler, balancing_weights
from ml.data.looks import TONES, Look, Looks, looks_of
from ml.data.manifest import Dataset, ImageRecord, load_dataset, read_image
from ml.errors import DatasetError
from ml.files import write_bytes
from ml.images import encode_jpeg, thumbnail
from ml.labels import load_taxonomy
from ml.pages import environment
from ml.preprocess import MAX_SIDE, hair_share, prepared
from ml.report_sheets import data_uri
from ml.training.config import TrainingConfig
from ml.training.optimisation import class_weights
from ml.transforms.serving import square
from ml.transforms.training import training_transform

PAGE = "preview.html"
SHOWN_SIDE = 200  # pixels of a picture on the page

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ClassBalance:
    """How much one class counts: pictures and their share before balancing; after it, how often pictures of it are
    shown in the first epoch, their weight in the loss, and the share of the loss that comes of both."""

    code: str
    name: str
    images: int
    share: float
    shown: int
    weight: float
    learnt: float


@dataclass(frozen=True)
class Shown:
    """One picture of the page: an address that needs no file, its size in pixels, what is written below it."""

    source: str
    width: int
    height: int
    caption: str


def preview(
    config: TrainingConfig, data: Path, out: Path, *, split: str = "train", pictures: int = 2, views: int = 6
) -> list[ClassBalance]:
    """Write `preview.html` to `out`: of each class `pictures` pictures of a split, and how much the classes count.

    A picture of the training split is shown as the first `views` epochs of a run with `config` show it, pixel for
    pixel, then without its hair and on skin of every tone; one of another split as networks see it. The same arguments
    give the same page. Raises TrainingError for settings that cannot be, DatasetError for data that cannot be read or
    an `out` that cannot be written.
    """
    config.check()
    dataset = load_dataset(data, config.fold)
    records = dataset.split(split)
    if not records:
        raise DatasetError(f"The {split} split has no images.")
    taxonomy = load_taxonomy(dataset.label_set)
    labels = np.array([taxonomy.index(record.label) for record in records], dtype=np.int64)
    names = [label.name for label in taxonomy.labels]
    balance = class_balance(config, labels, list(zip(dataset.classes, names, strict=True)))
    rows = _chosen(labels, len(names), pictures, config.seed)
    chosen = [records[row] for row in rows]
    samples = _training_samples(config, chosen, rows, views) if split == "train" else _plain_samples(config, chosen)
    groups = [
        {"code": code, "name": name, "samples": found}
        for number, (code, name) in enumerate(zip(dataset.classes, names, strict=True))
        if (found := [sample for sample, row in zip(samples, rows, strict=True) if labels[row] == number])
    ]
    page = _template().render(
        config=config,
        settings=_settings(config, dataset),
        label_set=dataset.label_set,
        split=split,
        augmented=split == "train",
        pictures=pictures,
        views=views,
        balance=balance,
        groups=groups,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(out / PAGE, page.encode())
    except OSError as error:
        raise DatasetError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error
    return balance


def class_balance(
    config: TrainingConfig, labels: NDArray[np.int64], classes: Sequence[tuple[str, str]]
) -> list[ClassBalance]:
    """How much each class, given by code and name, counts in training on pictures of these classes [N]."""
    counts = np.bincount(labels, minlength=len(classes))
    drawing = balancing_weights(labels, len(classes)) if config.balanced_sampling else None
    drawn = [row for _, row in EpochSampler(len(labels), config.seed, drawing)]
    shown = np.bincount(labels[drawn], minlength=len(classes))
    weights = class_weights(labels, len(classes), config.class_weights).numpy().astype(np.float64)
    learnt = shown * weights / (shown * weights).sum()
    return [
        ClassBalance(
            code, name, int(counts[i]), float(counts[i] / len(labels)), int(shown[i]), float(weights[i]),
            float(learnt[i]),
        )
        for i, (code, name) in enumerate(classes)
    ]  # fmt: skip


def _chosen(labels: NDArray[np.int64], classes: int, pictures: int, seed: int) -> list[int]:
    """Rows of at most `pictures` pictures of each class, class by class."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return [int(row) for number in range(classes) for row in order[labels[order] == number][:pictures]]


def _training_samples(
    config: TrainingConfig, records: Sequence[ImageRecord], rows: Sequence[int], views: int
) -> list[dict[str, Any]]:
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        cache, side = Path(folder), round(CACHE_MARGIN * config.image_size)
        images = decoded(records, side, cache, False, preprocessing=config.preprocessing)
        every = looks_of(records, images, cache, config.preprocessing, 1.0, 1.0, False)
        assert every is not None  # noqa: S101  (both shares are above 0)
        looks = replace(every, hair_free_share=config.hair_removed_copies, tone_share=config.skin_tones)
        transform = training_transform(config.augmentation, config.image_size)
        labels, numbers = np.zeros(len(records), np.int64), np.array(rows, dtype=np.int64)
        training = AugmentedImages(images, labels, transform, config.seed, looks, numbers)
        for row, record in enumerate(records):
            seen = [training[epoch, row][0].permute(1, 2, 0).numpy() for epoch in range(views)]
            drawn = [looks.drawn(config.seed, epoch, rows[row]) for epoch in range(views)]
            samples.append(
                {
                    **_facts(record),
                    "views": [
                        _shown(pixels, _caption(epoch, look))
                        for epoch, (pixels, look) in enumerate(zip(seen, drawn, strict=True), start=1)
                    ],
                    "looks": _looks(every, images[row], row),
                }
            )
    return samples


def _plain_samples(config: TrainingConfig, records: Sequence[ImageRecord]) -> list[dict[str, Any]]:
    size = config.serving_size or config.image_size
    return [
        {
            **_facts(record),
            "views": [_shown(square(prepared(read_image(record, MAX_SIDE), config.preprocessing), size), "as judged")],
            "looks": [],
        }
        for record in records
    ]


def _looks(every: Looks, pixels: Pixels, row: int) -> list[Shown]:
    bare = _shown(every.shown(pixels, row, Look(hair_free=True)), "without hair")
    return [bare, *(_shown(every.shown(pixels, row, Look(tone=tone)), f"tone {tone}") for tone in TONES)]


def _facts(record: ImageRecord) -> dict[str, Any]:
    picture = read_image(record, MAX_SIDE)
    return {"name": record.path.name, "hair": hair_share(picture), "original": _shown(picture, "as it is")}


def _shown(pixels: Pixels, caption: str) -> Shown:
    small = thumbnail(np.ascontiguousarray(pixels), SHOWN_SIDE)
    source = data_uri(encode_jpeg(small, quality=88), "image/jpeg")
    return Shown(source, small.shape[1], small.shape[0], caption)


def _caption(epoch: int, look: Look) -> str:
    marks = [*(["without hair"] if look.hair_free else []), *([f"tone {look.tone}"] if look.tone else [])]
    return ", ".join([f"epoch {epoch}", *marks])


def _settings(config: TrainingConfig, dataset: Dataset) -> str:
    """One line with every setting that the page depends on."""
    values = {
        **vars(config.augmentation),
        "hair-removed copies": config.hair_removed_copies,
        "skin tones": config.skin_tones,
        "class weights": config.class_weights,
        "balanced sampling": config.balanced_sampling,
        "preprocessing": " + ".join(config.preprocessing.to_dict()) or "none",
        "image size": config.image_size,
        **({"fold": config.fold} if dataset.summary.get("fold") else {}),
    }
    words = {True: "yes", False: "no"}
    shown = {
        name: words[value] if isinstance(value, bool) else f"{value:.4g}" if isinstance(value, float) else value
        for name, value in values.items()
    }
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in shown.items()) + "."


def _template() -> jinja2.Template:
    return environment().get_template("preview.html.j2")
