"""The errors of the `ml` package. Whoever talks to a person translates them, once, at the edge."""

from typing import Literal

ImageFault = Literal[
    "empty",
    "not_an_image",
    "unsupported_format",
    "truncated",
    "damaged",
    "too_many_bytes",
    "too_many_pixels",
    "too_small",
    "too_complex",
]


class MLError(Exception):
    """Something in images, models or data is not as it must be; the message is one sentence for a person."""


class InvalidImage(MLError):
    """Bytes that cannot be read as one picture.

    `reason` is a stable code that callers translate; the message is plain English for logs and the command line.
    """

    def __init__(self, reason: ImageFault, message: str = "") -> None:
        super().__init__(message or reason.replace("_", " "))
        self.reason: ImageFault = reason


class DecoderUnavailable(MLError):
    """No process can be had that decodes pictures. Nothing is wrong with the file; later it can be read."""


class BundleError(MLError):
    """A model bundle is missing, damaged or not what its card says."""


class AnswerError(MLError):
    """A network gave what is no finite number, so that there is no answer. It can be asked again."""


class DatasetError(MLError):
    """A collection of images, a manifest or a label set cannot be used."""


class TrainingError(MLError):
    """A training run cannot start or cannot go on."""
