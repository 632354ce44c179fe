"""The processes that decode, as the application holds them: the fork server that starts them, and each of them.

What runs in them is ml.decoder_child; which one reads which file, and what its death means, is ml.decoding's.
"""

import array
import os
import socket
import subprocess
import sys
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
    END,
    FAULTS,
    FORK,
    READY,
    REQUEST,
)
from ml.decoder_memory import processor_seconds, resident_bytes, shared_memory, write_all
from ml.errors import InvalidImage

PICTURES = 500
GROWN_BYTES = 192 * 1024 * 1024
KEPT_BYTES = 32 * 1024 * 1024
"""Shared memory beyond this is given back after a picture."""
WALL_SECONDS = 10.0
"""A child that has not answered by then is ended; its own limit is processor time (ml.decoder_child.CPU_SECONDS)."""
HEAVY_SECONDS = CPU_SECONDS / 2
"""One that is late and has worked for so long was kept busy by its picture; one that has not was kept from working."""
START_SECONDS = 20.0
# What the children get of this process's environment: how programs are found and read, no setting and no secret.
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
TOO_COMPLEX = "Decoding the picture takes too much memory or time."


class Died(Exception):
    """A child went away in the middle of a picture, or did not answer in time."""


@dataclass
class Child:
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
        """Height, width and, where asked for, pixels [H, W, 3]. Raises InvalidImage as the child says, or Died."""
        self.pictures += 1
        self.worked = processor_seconds(self.number)
        write_all(self.file.fileno(), data)
        try:
            self.channel.sendall(REQUEST.pack(operation, len(data), max_pixels, max_side))
            answer = self.channel.recv(ANSWER.size)
        except OSError as error:  # also TimeoutError
            raise Died from error
        if len(answer) != ANSWER.size:
            raise Died
        fault, height, width, sentence = ANSWER.unpack(answer)
        if fault:
            reason = FAULTS[min(fault, len(FAULTS)) - 1]
            message = TOO_COMPLEX if reason == "too_complex" else sentence.rstrip(b"\0").decode("utf-8", "replace")
            raise InvalidImage(reason, message)
        if min(height, width) < 1 or height * width > max_pixels:
            raise Died  # no decoder answers so
        return height, width, self._pixels(height, width) if operation == DECODE else None

    def _pixels(self, height: int, width: int) -> NDArray[np.uint8]:
        found = np.empty((height, width, 3), np.uint8)
        rows, read = found.reshape(-1).data, 0
        while read < len(rows):
            count = os.preadv(self.pixels.fileno(), [rows[read:]], read)
            if count == 0:
                raise Died  # it answered without having written
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


class ForkServer:
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

    def fork(self) -> Child:
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
        return Child(number, ours, file, pixels)

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
