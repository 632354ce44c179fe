"""The processes that decode files from outside: `python -m ml.decoder_child`, started by ml.decoder_server alone.

The first process imports the decoders and then only forks on demand: it has one thread and never sees a file, so that
each child starts within milliseconds and knows nothing of the application: no settings, no secrets, no database, no
network. A child reads a request from its channel and the file from one piece of shared memory, writes the pixels into
another, and answers. It may open nothing more, what it may use of memory and time is limited by the system, and on
Linux it can neither start nor signal a process nor do anything to a file by its name (ml.decoder_filter).

Two pieces of shared memory, written and read by `pwrite` and `pread`, never mapped: a child that has been taken over
can neither shrink one under its reader's feet nor change pixels after they were looked at.
"""

import array
import ctypes
import gc
import os
import resource
import signal
import socket
import struct
import sys
from typing import get_args

from ml.decoder_filter import refuse_system_calls
from ml.errors import ImageFault, InvalidImage
from ml.images import decode, dimensions, load_decoders

CONTROL_DESCRIPTOR = 0
READY = b"R"
FORK, END = b"F", b"E"
CHILD_NUMBER = struct.Struct("!i")
REQUEST = struct.Struct("!cQQQ")
"""Operation, bytes of the file, most pixels, longest side (0: as it is)."""
DECODE, DIMENSIONS = b"d", b"s"
ANSWER = struct.Struct("!BII200s")
"""0 or 1 + the fault's place in FAULTS, height, width, the fault's sentence."""
FAULTS: tuple[ImageFault, ...] = get_args(ImageFault)

MEGABYTE = 1024 * 1024
DATA_BYTES = 448 * MEGABYTE
"""Private memory of a child: a photo of 50 megapixels takes 200 MB as Pillow keeps it."""
ADDRESS_BYTES = 1536 * MEGABYTE
PIXEL_BYTES = 384 * MEGABYTE
"""Largest decoded picture that can be handed back, in bytes; also the largest file that a child could write."""
CPU_SECONDS = 3

# From <linux/prctl.h>.
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


def main() -> None:
    """Fork children as asked for on the control channel; end with it, and all children with this process."""
    control = socket.socket(fileno=os.dup(CONTROL_DESCRIPTOR))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, CONTROL_DESCRIPTOR)
    load_decoders()
    gc.collect()
    gc.freeze()  # what is shared with the children is not touched by their collector
    children: set[int] = set()
    try:
        control.sendall(READY)
        while True:
            command, descriptors = _command(control)
            if command[:1] == FORK:
                number = _fork(descriptors)
                children.add(number)
                control.sendall(CHILD_NUMBER.pack(number))
            elif command[:1] == END:
                (number,) = CHILD_NUMBER.unpack(command[1:])
                status = _end(number) if number in children else 0
                children.discard(number)
                control.sendall(CHILD_NUMBER.pack(status))
            else:
                break  # the application has gone
    except OSError:
        pass  # so it has, in the middle of a word
    for number in children:
        _end(number)


def _command(control: socket.socket) -> tuple[bytes, list[int]]:
    """The next command and the descriptors that came with it; an empty one at the end."""
    size = array.array("i").itemsize
    command, ancillary, _, _ = control.recvmsg(1 + CHILD_NUMBER.size, socket.CMSG_SPACE(3 * size))
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % size])
    return command, list(descriptors)


def _fork(descriptors: list[int]) -> int:
    """Start a child that owns these three descriptors: its channel, the file, the pixels."""
    parent = os.getpid()
    number = os.fork()
    if number == 0:
        status = 1
        try:
            channel, file, pixels = (os.dup2(one, 10 + place) for place, one in enumerate(descriptors))
            for stream in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            os.closerange(3, 10)
            os.closerange(13, 4096)
            _confine(parent)
            _serve(channel, file, pixels)
            status = 0
        finally:
            os._exit(status)
    for one in descriptors:
        os.close(one)
    return number


def _end(number: int) -> int:
    """Kill a child and collect it. The signal that it died of, had it died before; SIGKILL otherwise."""
    os.kill(number, signal.SIGKILL)
    _, status = os.waitpid(number, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _confine(parent: int) -> None:
    """Give up whatever a decoder does not need, as far as this system knows how to."""
    if sys.platform == "linux":
        call = ctypes.CDLL(None, use_errno=True).prctl
        call(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        call(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if os.getppid() != parent:  # it died before that was asked for
            os._exit(1)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    for name, limit in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_DATA", DATA_BYTES),
        ("RLIMIT_AS", ADDRESS_BYTES),
        ("RLIMIT_FSIZE", PIXEL_BYTES),
        ("RLIMIT_NOFILE", 0),  # no further file or socket can be opened
    ):
        try:
            resource.setrlimit(getattr(resource, name), (limit, limit))
        except (AttributeError, OSError, ValueError):
            continue  # macOS has some of these in name only
    refuse_system_calls()


def _serve(channel: int, file: int, pixels: int) -> None:
    """Answer requests until the channel ends."""
    while len(request := os.read(channel, REQUEST.size)) == REQUEST.size:
        operation, size, max_pixels, max_side = REQUEST.unpack(request)
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS, hard))
        os.write(channel, _answer(operation, _read(file, size), max_pixels, max_side, pixels))


def _answer(operation: bytes, data: bytes, max_pixels: int, max_side: int, output: int) -> bytes:
    try:
        if operation == DIMENSIONS:
            width, height = dimensions(data, max_pixels=max_pixels)
        else:
            picture = decode(data, max_pixels=max_pixels, max_side=max_side or None)
            height, width, _ = picture.shape
            rows, written = picture.reshape(-1).data, 0
            while written < len(rows):
                written += os.pwrite(output, rows[written:], written)
        return ANSWER.pack(0, height, width, b"")
    except InvalidImage as error:
        return ANSWER.pack(1 + FAULTS.index(error.reason), 0, 0, str(error).encode()[:200])
    except (MemoryError, OSError):  # no memory for the pixels, or more of them than may be handed back
        return ANSWER.pack(1 + FAULTS.index("too_complex"), 0, 0, b"")


def _read(descriptor: int, size: int) -> bytes:
    """The first `size` bytes of shared memory."""
    parts, found = [], 0
    while found < size and (part := os.pread(descriptor, size - found, found)):
        parts.append(part)
        found += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


if __name__ == "__main__":
    main()
