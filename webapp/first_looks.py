"""First looks at uploaded photos: the model for a label set, loaded once, and what is kept of it with a row."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flask import Flask, current_app
from numpy.typing import NDArray

from ml.errors import BundleError
from webapp.config import Config
from webapp.inference import get_models

if TYPE_CHECKING:
    from ml.preliminary import FirstLook

log = logging.getLogger(__name__)


class FirstLooks:
    """Loaded first looks by their folder, so that one trained meanwhile is taken when the next photo comes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._loading = threading.Lock()
        self._loaded: dict[Path, FirstLook] = {}

    def get(self, label_set: str | None) -> FirstLook | None:
        """The first look for a label set, the default model's when None; None where there is none or it is damaged."""
        from ml.preliminary import find_first_look, load_first_look

        if label_set is None:
            label_set = get_models().default_label_set()
        path = None if label_set is None else find_first_look(label_set, self._config.models)
        if path is None:
            return None
        with self._loading:
            if path not in self._loaded:
                try:
                    self._loaded[path] = load_first_look(path)
                except BundleError as error:
                    log.warning("no first look for label set '%s': %s", label_set, error)
                    return None
            return self._loaded[path]


def init_first_looks(app: Flask, config: Config) -> None:
    """Give the application its (still empty) set of first looks."""
    app.extensions["first_looks"] = FirstLooks(config)


def get_first_look(label_set: str | None) -> FirstLook | None:
    """The first look that goes with a label set, the default model's when None, where there is one."""
    looks: FirstLooks = current_app.extensions["first_looks"]
    return looks.get(label_set)


def first_look_at(photos: Sequence[NDArray[np.uint8]], label_set: str | None) -> dict[str, Any] | None:
    """What is kept of a first look at photos [H, W, 3] of a lesion until they are answered; None where there is none.

    Whatever goes wrong here must not cost the upload: it is logged.
    """
    try:
        look = get_first_look(label_set)
        return None if look is None else look.tell([look.look(photo) for photo in photos])
    except Exception:
        log.exception("no first look at these photos")
        return None
