"""Files from outside to pixels, in processes of their own: whatever a file does to its decoder, it does it there.

`decode` and `dimensions` are those of ml.images, with the same errors, and are what every path takes on which files
come in. The children (ml.decoder_child) live for many pictures and are replaced: after PICTURES of them, when their
memory has grown, and after each file that they could not read. Nothing here decodes in this process; where no child
can be had, DecoderUnavailable says so.
"""

import array
import atexit
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ml.decoder_child import (
    ANSWER,
    CHILD_NUMBER,
    CPU_SECONDS,
    DECODE,
    DIMENSIONS,
    END,
    FAULTS,
    FORK,
    READY,
    REQUEST,
)
from ml.decoder_memory import processor_seconds, resident_bytes, shared_memory, write_all
from ml.errors import DecoderUnavailable, InvalidImage
from ml.images import MAX_BYTES, MAX_PIXELS, sniff

log = logging.getLogger(__name__)

CHILDREN = 2
"""At most so many at once: each may use several hundred megabytes."""
PICTURES = 500
GROWN_BYTES = 192 * 1024 * 1024
KEPT_BYTES = 32 * 1024 * 1024
"""Shared memory beyond this is given back after a picture."""
WALL_SECONDS = 10.0
"""A child that has not answered by then is ended; its own limit is processor time (ml.decoder_child.CPU_SECONDS)."""
HEAVY_SECONDS = CPU_SECONDS / 2
"""One that is late and has worked for so long was kept busy by its picture; one that has not was kept from working."""
WAIT_SECONDS = 5.0
"""For a free child. Whoever waits here waits for an answer of the application, which promises one within 10 s."""
START_SECONDS = 20.0
RETRIES = 2
"""So often a picture is given to another child where one went away that may have died of something else."""
# What the children get of this process's environment: how programs are found and read, no setting and no secret.
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
TOO_COMPLEX = "Decoding the picture takes too much memory or time."


class _Died(Exception):
    """A child went away in the middle of a picture, or did not answer in time."""


@dataclass
class _Child:
    """One child: its process number, the channel to it, and the two pieces of memory shared with it."""

    number: int
    channel: socket.socket
    file: IO[bytes]
    pixels: IO[bytes]
    pictures: int = 0
    worked: float = 0.0
    """Seconds of processor time before the picture that it is at."""

    def ask(
        self, operation: bytes, data: bytes, max_pixels: int, max_side: int
    ) -> tuple[int, int, NDArray[np.uint8] | None]:
        """Height, width and, where asked for, pixels [H, W, 3]. Raises InvalidImage as the child says, or _Died."""
        self.pictures += 1
        self.worked = processor_seconds(self.number)
        write_all(self.file.fileno(), data)
        try:
            self.channel.sendall(REQUEST.pack(operation, len(data), max_pixels, max_side))
            answer = self.channel.recv(ANSWER.size)
        except OSError as error:  # also TimeoutError
            raise _Died from error
        if len(answer) != ANSWER.size:
            raise _Died
        fault, height, width, sentence = ANSWER.unpack(answer)
        if fault:
            reason = FAULTS[min(fault, len(FAULTS)) - 1]
            message = TOO_COMPLEX if reason == "too_complex" else sentence.rstrip(b"\0").decode("utf-8", "replace")
            raise InvalidImage(reason, message)
        if min(height, width) < 1 or height * width > max_pixels:
            raise _Died  # no decoder answers so
        return height, width, self._pixels(height, width) if operation == DECODE else None

    def _pixels(self, height: int, width: int) -> NDArray[np.uint8]:
        found = np.empty((height, width, 3), np.uint8)
        rows, read = found.reshape(-1).data, 0
        while read < len(rows):
            count = os.preadv(self.pixels.fileno(), [rows[read:]], read)
            if count == 0:
                raise _Died  # it answered without having written
            read += count
        return found

    def is_heavy(self) -> bool:
        """Whether the picture that it is at has had it work for long."""
        return processor_seconds(self.number) - self.worked >= HEAVY_SECONDS

    def may_go_on(self) -> bool:
        """Whether it serves another picture; gives back shared memory after a large one."""
        for memory in (self.file, self.pixels):
            if os.fstat(memory.fileno()).st_size > KEPT_BYTES:
                os.ftruncate(memory.fileno(), 0)
        return self.pictures < PICTURES and resident_bytes(self.number) < GROWN_BYTES

    def close(self) -> None:
        for one in (self.channel, self.file, self.pixels):
            one.close()


class _ForkServer:
    """The process that forks children: started as a program of its own, never by forking this one."""

    def __init__(self) -> None:
        """Raises OSError where it cannot be started."""
        self._control, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        # One thread, so that forking is safe, and one memory arena, so that its size means something.
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-m", "ml.decoder_child"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=Path(__file__).resolve().parent.parent,
                env=environment,
                start_new_session=True,  # an interrupt from the keyboard is for the application, which ends this too
            )
        self._control.settimeout(START_SECONDS)
        try:
            if self._control.recv(1) != READY:
                raise OSError("the process that decodes pictures ended at its start")
        except OSError:
            self.close()
            raise

    def fork(self) -> _Child:
        """A new child. Raises OSError where there can be none."""
        ours, theirs = socket.socketpair()
        file, pixels = shared_memory(), shared_memory()
        try:
            with theirs:
                descriptors = array.array("i", [theirs.fileno(), file.fileno(), pixels.fileno()])
                self._control.sendmsg([FORK], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
                number = self._number()
        except OSError:
            for one in (ours, file, pixels):
                one.close()
            raise
        ours.settimeout(WALL_SECONDS)
        return _Child(number, ours, file, pixels)

    def end(self, number: int) -> int:
        """End a child; the signal that it died of if it was dead already. Raises OSError where this has died."""
        self._control.sendall(END + CHILD_NUMBER.pack(number))
        return self._number()

    def _number(self) -> int:
        answer = self._control.recv(CHILD_NUMBER.size)
        if len(answer) != CHILD_NUMBER.size:
            raise OSError("the process that starts decoders has gone")
        number: int = CHILD_NUMBER.unpack(answer)[0]
        return number

    def close(self) -> None:
        """End it, and with it its children."""
        self._control.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class DecoderPool:
    """Up to `children` decoders, started at the first picture. Safe for threads; a forked process starts its own."""

    def __init__(self, children: int = CHILDREN) -> None:
        self._children = children
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(children)
        self._idle: list[_Child] = []
        self._server: _ForkServer | None = None

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
                except _Died as error:
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

    def _take(self) -> _Child:
        """An idle child, or a new one. Raises DecoderUnavailable where none can be started."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
            for _ in range(2):
                try:
                    if self._server is None:
                        self._server = _ForkServer()
                    return self._server.fork()
                except OSError as error:
                    log.warning("no decoder could be started: %s", error)
                    if self._server is not None:
                        self._server.close()
                        self._server = None
        raise DecoderUnavailable("No process could be started that decodes pictures.")

    def _end(self, child: _Child) -> int | None:
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
