"""Files from outside to pixels, in processes of their own: whatever a file does to its decoder, it does it there.

`decode` and `dimensions` are those of ml.images, with the same errors, and are what every path takes on which files
come in. The children (ml.decoder_child) live for many pictures and are replaced: after so many of them, when their
memory has grown (ml.decoder_server), and after each file that they could not read. Nothing here decodes in this
process; where no child can be had, DecoderUnavailable says so.
"""

import atexit
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ml.decoder_child import DECODE, DIMENSIONS
from ml.decoder_server import TOO_COMPLEX, Child, Died, ForkServer
from ml.errors import DecoderUnavailable, InvalidImage
from ml.images import MAX_BYTES, MAX_PIXELS, sniff

log = logging.getLogger(__name__)

CHILDREN = 2
"""At most so many at once: each may use several hundred megabytes."""
WAIT_SECONDS = 5.0
"""For a free child. Whoever waits here waits for an answer of the application, which promises one within 10 s."""
RETRIES = 2
"""So often a picture is given to another child where one went away that may have died of something else."""


class DecoderPool:
    """Up to `children` decoders, started at the first picture. Safe for threads; a forked process starts its own."""

    def __init__(self, children: int = CHILDREN) -> None:
        self._children = children
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(children)
        self._idle: list[Child] = []
        self._server: ForkServer | None = None

    def decode(self, data: bytes, *, max_pixels: int = MAX_PIXELS, max_side: int | None = None) -> NDArray[np.uint8]:
        """As ml.images.decode, in a child. Raises DecoderUnavailable too, where there is none."""
        _, _, pixels = self._ask(DECODE, data, max_pixels, max_side or 0)
        if pixels is None:
            raise AssertionError("a decoder answers with pixels")
        return pixels

    def dimensions(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
        """As ml.images.dimensions, in a child. Raises DecoderUnavailable too, where there is none."""
        height, width, _ = self._ask(DIMENSIONS, data, max_pixels, 0)
        return width, height

    def close(self) -> None:
        """End all children. The next picture starts new ones."""
        with self._lock:
            for child in self._idle:
                child.close()
            self._idle.clear()
            if self._server is not None:
                self._server.close()
                self._server = None

    def _ask(
        self, operation: bytes, data: bytes, max_pixels: int, max_side: int
    ) -> tuple[int, int, NDArray[np.uint8] | None]:
        if len(data) > MAX_BYTES:
            raise InvalidImage("too_many_bytes")
        sniff(data)  # what is no picture at all, or of a kind that is not read, keeps no child busy
        with self._turn():
            for _ in range(1 + RETRIES):
                child = self._take()
                fresh = child.pictures == 0
                try:
                    answer = child.ask(operation, data, max_pixels, max_side)
                except InvalidImage:
                    self._end(child)  # whoever stumbled over one file reads no other
                    raise
                except Died as error:
                    late, heavy = isinstance(error.__cause__, TimeoutError), child.is_heavy()
                    died_of = self._end(child)
                    if late:
                        log.warning("a decoder did not answer in time over a file of %d bytes", len(data))
                        raise _refusal(signal.SIGXCPU if heavy else signal.SIGKILL) from None
                    if died_of is None or (not fresh and died_of != signal.SIGXCPU):
                        continue  # it may have died of something else: a fresh one tells
                    log.warning("a decoder died of signal %d over a file of %d bytes", died_of, len(data))
                    raise _refusal(died_of) from None
                except BaseException:
                    self._end(child)
                    raise
                if child.may_go_on():
                    with self._lock:
                        self._idle.append(child)
                else:
                    self._end(child)
                return answer
            raise DecoderUnavailable("The processes that decode pictures end as soon as they are started.")

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        free = self._free
        if not free.acquire(timeout=WAIT_SECONDS):
            raise DecoderUnavailable("All decoders are busy.")
        try:
            yield
        finally:
            free.release()

    def _take(self) -> Child:
        """An idle child, or a new one. Raises DecoderUnavailable where none can be started."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
            for _ in range(2):
                try:
                    if self._server is None:
                        self._server = ForkServer()
                    return self._server.fork()
                except OSError as error:
                    log.warning("no decoder could be started: %s", error)
                    if self._server is not None:
                        self._server.close()
                        self._server = None
        raise DecoderUnavailable("No process could be started that decodes pictures.")

    def _end(self, child: Child) -> int | None:
        """End a child; the signal it had died of, and None where the fork server is gone, and all children with it."""
        child.close()
        with self._lock:
            try:
                return self._server.end(child.number) if self._server is not None else None
            except OSError:
                return None

    def _forget(self) -> None:
        """Begin anew, without touching what belongs to the process that this one was forked from."""
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(self._children)
        self._idle = []
        self._server = None


def _refusal(died_of: int) -> InvalidImage | DecoderUnavailable:
    """What the death of a child over a picture means: that it asks too much, that it is broken, or nothing about it."""
    if died_of == signal.SIGXCPU:
        return InvalidImage("too_complex", TOO_COMPLEX)
    if died_of == signal.SIGKILL:  # the system was short of memory or of time: no file has a child end so
        return DecoderUnavailable("The system ended or held up a process that decodes pictures.")
    return InvalidImage("damaged", "The file is damaged.")


# One for the whole process: decoders belong to it as its threads do, and bound its memory whoever calls.
_pool = DecoderPool()
decode = _pool.decode
dimensions = _pool.dimensions
atexit.register(_pool.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool._forget)
