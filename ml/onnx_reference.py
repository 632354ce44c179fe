"""Answer photos with an exported model: `python example.py photo.jpg`. Needs numpy, pillow and onnxruntime alone.

It does all that the README beside it describes, except for two things: it does not judge whether a photo can be
answered at all (the gate), and it does not remove hair, reduce noise or balance colours (a model that was trained with
one of these is refused).
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

MAX_ASPECT = 4 / 3
WHOLE = [(1.0, False, False), (1.0, False, True), (1.0, True, False), (1.0, True, True)]
NEARER = [(0.87, turn, mirror) for _, turn, mirror in WHOLE]
VIEWS = {"one": WHOLE[:1], "four": WHOLE, "mixed": WHOLE[:2] + NEARER[2:], "eight": WHOLE + NEARER}
"""Sets of views: the central share of each side, whether turned by a quarter, whether mirrored."""

Floats = NDArray[np.float64]


def square(photo: Image.Image, side: int, zoom: float) -> NDArray[np.uint8]:
    """The central part of a photo, at most 4:3 in shape, scaled to [side, side, 3] whatever its shape."""
    width, height = photo.size
    longest = MAX_ASPECT * min(height, width)
    wide, tall = max(1, round(zoom * min(width, longest))), max(1, round(zoom * min(height, longest)))
    left, top = (width - wide) // 2, (height - tall) // 2
    part = photo.crop((left, top, left + wide, top + tall))
    return np.asarray(part.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))


def view_tensor(
    photo: Image.Image, network: dict[str, Any], zoom: float, turned: bool, mirrored: bool
) -> NDArray[np.float32]:
    """One view of a photo as the network wants it: normalised [1, 3, S, S]."""
    pixels = square(photo, network["image_size"], zoom)
    pixels = np.rot90(pixels) if turned else pixels
    pixels = pixels[:, ::-1] if mirrored else pixels
    values = (pixels / 255.0 - np.array(network["mean"])) / np.array(network["std"])
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None].astype(np.float32))


def calibrated(logits: Floats, card: dict[str, Any]) -> Floats:
    """Logits [C] -> probabilities [C]."""
    scaled = logits / card["calibration"]["temperature"] + np.array(card["calibration"]["bias"])
    powers = np.exp(scaled - scaled.max())
    result: Floats = powers / powers.sum()
    return result


def answer(session: onnxruntime.InferenceSession, card: dict[str, Any], photo: Image.Image) -> tuple[str, Floats]:
    """The code of the class to name, and the probabilities [C] in the order of the card's classes."""
    networks = card["members"] or [card]
    if any(network["preprocessing"].get("steps") for network in networks):
        raise ValueError("This model wants its photos prepared in ways that this example does not know.")
    views = [VIEWS[network["test_time_views"]] for network in networks]
    seen: list[list[Floats]] = [[] for _ in networks]
    for turn in range(max(len(own) for own in views)):
        shown = [own[min(turn, len(own) - 1)] for own in views]
        pairs = zip(networks, shown, strict=True)
        inputs = {f"images_{k}": view_tensor(photo, network, *view) for k, (network, view) in enumerate(pairs)}
        found = session.run([f"logits_{k}" for k in range(len(networks))], inputs)
        for k, own in enumerate(views):
            if turn < len(own):
                seen[k].append(found[k][0].astype(np.float64))
    logits = [np.mean(given, axis=0) for given in seen]
    mean = logits[0]
    if len(networks) > 1:
        each = [calibrated(given, network) for given, network in zip(logits, networks, strict=True)]
        mean = np.mean(np.log(np.maximum(each, 1e-12)), axis=0)
    probabilities = calibrated(mean, card)
    priors = np.maximum(np.array(card["class_priors"]), 1e-6)
    scores = np.log(np.maximum(probabilities, 1e-12)) - card["prior_power"] * np.log(priors)
    return str(card["classes"][int(scores.argmax())]), probabilities


def main(paths: list[str]) -> None:
    """Print the named class and all probabilities of each photo."""
    folder = Path(__file__).resolve().parent
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for path in paths:
        with Image.open(path) as file:
            photo = ImageOps.exif_transpose(file).convert("RGB")
        named, probabilities = answer(session, card, photo)
        shown = "  ".join(f"{code} {p:.3f}" for code, p in zip(card["classes"], probabilities, strict=True))
        print(f"{path}: {named}  ({shown})")


if __name__ == "__main__":
    main(sys.argv[1:])
