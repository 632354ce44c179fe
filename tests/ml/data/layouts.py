"""Sources in the layouts that people download, made from drawn pictures or from those of a folder."""

import csv
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ml.data.drawn import draw_lesion
from ml.images import encode_jpeg

RASHES = {
    "Monkeypox": "mel", "Chickenpox": "vasc", "Measles": "bcc", "Cowpox": "akiec", "HFMD": "df", "Healthy": "nv",
}  # fmt: skip
"""MSLD v2.0's class folders, and the drawn lesion that stands in for each."""
PREFIXES = {
    "Monkeypox": "MKP",
    "Chickenpox": "CHP",
    "Measles": "MSL",
    "Cowpox": "CWP",
    "HFMD": "HFMD",
    "Healthy": "HEA",
}


def write_picture(path: Path, code: str, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(draw_lesion(code, np.random.default_rng([seed, len(code)]), (72, 96))))
    return path


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def drawn_rashes(folder: Path, patients: int = 6) -> dict[str, list[list[Path]]]:
    """By class folder, the pictures of each patient: two of the first one, one of every other."""
    return {
        name: [
            [
                write_picture(folder / f"{PREFIXES[name]}_{patient:02d}_{number:02d}.jpg", code, 10 * patient + number)
                for number in range(1, 3 if patient == 0 else 2)
            ]
            for patient in range(patients)
        ]
        for name, code in RASHES.items()
    }


def write_folds(
    home: Path, groups: Mapping[str, Sequence[Sequence[Path]]], folds: int = 5, augment: bool = True
) -> Path:
    """MSLD v2.0's layout from groups of pictures by class folder; group i is tested in fold i + 1, and so on around."""
    originals = home / "Original Images" / "Original Images" / "FOLDS"
    copies = home / "Augmented Images" / "FOLDS_AUG"
    for name, members in groups.items():
        for position, pictures in enumerate(members):
            for fold in range(folds):
                part = {0: "Test", 1: "Valid"}.get((position - fold) % folds, "Train")
                for picture in pictures:
                    place(picture, originals / f"fold{fold + 1}" / part / name / picture.name)
                    if augment and part == "Train":
                        augmented(picture, copies / f"fold{fold + 1}_AUG" / "Train" / name / f"{picture.stem}_1.jpg")
    return home


def place(picture: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(picture, target)
    except OSError:
        shutil.copyfile(picture, target)
    return target


def augmented(picture: Path, target: Path) -> Path:
    """A mirrored copy in other light, as augmentation ahead of training makes them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(picture) as image:
        ImageOps.mirror(image.convert("RGB")).point(lambda value: 0.9 * value).save(target, quality=80)
    return target
