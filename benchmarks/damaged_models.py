"""Damage a model's files in every way that happens, and see whether each is refused with one clear sentence.

    python benchmarks/damaged_models.py --damages 100 --out docs/reliability/damaged_models.json

Each damage is done to a copy of a real bundle, trained for it on drawn pictures: a file missing, a byte flipped, a file
cut short (all files take turns); and, with checksums written anew as a careless tool would leave them, weights or gate
that are not numbers, weights of other shapes, cards whose classes are other ones or stand in another order, and
graphs of other networks.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))


def missing(folder: Path, name: str, draw: random.Random) -> None:
    """The file is gone."""
    (folder / name).unlink()


def flipped(folder: Path, name: str, draw: random.Random) -> None:
    """One bit is another."""
    content = bytearray((folder / name).read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    (folder / name).write_bytes(content)


def truncated(folder: Path, name: str, draw: random.Random) -> None:
    """The end is missing."""
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: draw.randrange(len(content))])


def not_numbers(folder: Path, name: str, draw: random.Random) -> None:
    """One value of a tensor of the weights or the gate is NaN or infinite."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    tensors = {key: values.copy() for key, values in load_file(folder / name).items()}
    key = draw.choice(sorted(key for key, values in tensors.items() if values.dtype.kind == "f" and values.size))
    tensors[key].flat[draw.randrange(tensors[key].size)] = draw.choice([np.nan, np.inf, -np.inf])
    save_file(tensors, folder / name)
    sign_again(folder)


def other_shape(folder: Path, name: str, draw: random.Random) -> None:
    """A tensor of the weights is gone or of another shape."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / name)
    # Whole numbers only count how long a layer has learnt: no answer depends on them.
    key = draw.choice(sorted(key for key, values in tensors.items() if values.dtype.kind == "f"))
    if draw.random() < 0.5 or tensors[key].ndim == 0:
        del tensors[key]
    else:
        tensors[key] = tensors[key].repeat(2, axis=0)
    save_file(tensors, folder / name)
    sign_again(folder)


def other_classes(folder: Path, name: str, draw: random.Random) -> None:
    """The card names classes in another order, one fewer, or one that the label set has not."""
    card = json.loads((folder / name).read_text(encoding="utf-8"))
    way = draw.randrange(3)
    if way == 0:
        first, second = draw.sample(range(len(card["classes"])), 2)
        card["classes"][first], card["classes"][second] = card["classes"][second], card["classes"][first]
    elif way == 1:
        card["classes"].pop(draw.randrange(len(card["classes"])))
    else:
        card["classes"][draw.randrange(len(card["classes"]))] = "other"
    (folder / name).write_text(json.dumps(card), encoding="utf-8")
    sign_again(folder)


def other_graph(folder: Path, name: str, draw: random.Random) -> None:
    """A compiled graph is cut short, or is that of another network."""
    if draw.random() < 0.5:
        truncated(folder, name, draw)
    else:
        shutil.copyfile(draw.choice(sorted((PROJECT / "ml" / "graphs").glob("*.onnx"))), folder / name)
    sign_again(folder)


def sign_again(folder: Path) -> None:
    """Checksums of what the files are now."""
    from ml.bundle import CHECKSUMS
    from ml.files import sha256_file

    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    (folder / CHECKSUMS).write_text("".join(f"{sha256_file(folder / name)}  {name}\n" for name in names))


Damage = Callable[[Path, str, random.Random], None]


def ways(bundle: Path) -> list[tuple[Damage, str]]:
    """Every kind of damage with every file of a bundle that it can be done to."""
    from ml.bundle import CARD, GATE, GRAPH, WEIGHTS

    files = sorted(path.name for path in bundle.iterdir() if path.is_file())
    found: list[tuple[Damage, str]] = [(way, name) for way in (missing, flipped, truncated) for name in files]
    found += [(not_numbers, WEIGHTS), (not_numbers, GATE), (other_shape, WEIGHTS), (other_classes, CARD)]
    return [*found, *((other_graph, name) for name in files if name.endswith(GRAPH))]


def verdict(folder: Path) -> str:
    """'refused' where loading ends in the one error that is meant for it; else what happened instead."""
    from ml.bundle import load_bundle
    from ml.errors import BundleError
    from ml.screen import Screener

    try:
        Screener(load_bundle(folder))
    except BundleError as error:
        sentence = str(error)
        return "refused" if sentence.endswith(".") and str(folder.parent) not in sentence else f"told as: {sentence}"
    except Exception as error:  # whatever it is, it is a finding
        return f"{type(error).__name__}: {error}"
    return "accepted"


def measure(bundle: Path, damages: int, seed: int) -> dict[str, Any]:
    """Damage `damages` copies of a bundle; how many were refused, by kind, and what else happened."""
    draw = random.Random(seed)  # noqa: S311  # no secret
    refused: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    others: list[str] = []
    kinds = ways(bundle)
    with tempfile.TemporaryDirectory() as place:
        for number in range(damages):
            way, name = kinds[number % len(kinds)]
            folder = Path(place) / "copy"
            shutil.copytree(bundle, folder)
            way(folder, name, draw)
            found = verdict(folder)
            label = f"{way.__name__} {name}"
            tried[label] += 1
            refused[label] += found == "refused"
            if found != "refused":
                others.append(f"{label}: {found}")
            shutil.rmtree(folder)
    return {
        "damages": damages,
        "seed": seed,
        "refused": sum(refused.values()),
        "by_kind": {label: [refused[label], count] for label, count in sorted(tried.items())},
        "others": others,
        "passed": not others,
    }


def main(arguments: Sequence[str]) -> int:
    """Train a tiny model, damage copies of it, print, and write where asked; 1 where one was not refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--damages", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="the folder of a bundle; a tiny one is trained when left out")
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    options = parser.parse_args(arguments)

    from benchmarks.reporting import report

    with tempfile.TemporaryDirectory() as place:
        found = measure(options.model or _tiny(Path(place)), options.damages, options.seed)
    report(found, options.out)
    return 1 if found["others"] else 0


def _tiny(place: Path) -> Path:
    from ml.data.drawn import write_drawn_dataset
    from ml.data.prepare import prepare
    from ml.train import train
    from ml.training.config import TrainingConfig

    prepare(write_drawn_dataset(place / "source", per_class=12), "ham10000", place / "data")
    config = TrainingConfig(
        architecture="lenet", weights="none", image_size=32, epochs=1, head_epochs=0, batch_size=8, average_decay=0.9,
        test_time_views="one", device="cpu", threads=1, workers=0, compiled=True,
    )  # fmt: skip
    return train(config, place / "data", place / "run", place / "models" / "tiny" / "1", progress_bar=False).path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
