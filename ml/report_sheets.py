"""The picture sheets of a report: the worst errors, and what slipped through the gate."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.decoding import decode
from ml.errors import InvalidImage
from ml.evaluate_gate import Judged
from ml.images import encode_jpeg, thumbnail
from ml.labels import Status
from ml.predictions import Predictions

WORST = 24  # pictures in the sheet of worst errors
MISSES = 60  # pictures in the sheet of the gate's misses
THUMBNAIL = 220  # pixels on the longer side


def worst_errors(predictions: Predictions) -> list[dict[str, Any]]:
    """The gravest errors: malignant images answered "benign", lowest risk first, then those that got no answer, which
    have been missed as well; then the most confident wrong names.

    One image a lesion, so that a single lesion does not fill the sheet.
    """
    missed = predictions.malignant & predictions.has_status(Status.BENIGN, Status.REFUSED)
    refused = predictions.has_status(Status.REFUSED)
    wrong = (predictions.predicted != predictions.labels) & ~missed
    rows = np.arange(len(predictions.labels))
    own = predictions.probabilities[rows, predictions.labels]
    margin = predictions.probabilities[rows, predictions.predicted] - own
    order = [i for i in np.lexsort((predictions.risk, refused)) if missed[i]]
    order += [i for i in np.argsort(-margin, kind="stable") if wrong[i]]
    first_of_lesion = {predictions.lesions[i]: i for i in reversed(order)}
    chosen = [i for i in order if first_of_lesion[predictions.lesions[i]] == i][:WORST]
    codes = predictions.taxonomy.codes
    return [
        {
            "image": predictions.records[i].path.name,
            "picture": _picture(predictions.records[i].path),
            "label": predictions.records[i].label,
            "predicted": codes[predictions.predicted[i]],
            "confidence": float(predictions.probabilities[i, predictions.predicted[i]]),
            "risk": float(predictions.risk[i]) if predictions.taxonomy.malignant else None,
            "status": predictions.statuses[i],
            "missed": bool(missed[i]),
        }
        for i in chosen
    ]


def gate_misses(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """What slipped through the gate, by kind and type, and what people would have been told of it."""
    missed = [item for item in judged if item.missed]
    missed.sort(key=lambda item: (item.shown.kind, item.shown.type, item.shown.name))
    return [
        {
            "picture": _embedded(item.shown.pixels),
            "name": item.shown.name,
            "kind": item.shown.kind,
            "type": item.shown.type,
            "status": item.status,
            "predicted": item.predicted,
        }
        for item in missed[:MISSES]
    ]


def _picture(path: Path) -> str | None:
    """A small copy for embedding; None where the file can no longer be read."""
    try:
        return _embedded(decode(path.read_bytes()))
    except (OSError, InvalidImage):
        return None


def _embedded(pixels: NDArray[np.uint8]) -> str:
    return data_uri(encode_jpeg(thumbnail(pixels, THUMBNAIL), quality=80), "image/jpeg")


def data_uri(data: bytes, kind: str) -> str:
    """The content of a file as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
