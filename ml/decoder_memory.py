"""What the application shares with the processes that decode, and what it sees of them from outside."""

import os
import sys
import tempfile
from typing import IO


def shared_memory() -> IO[bytes]:
    """A file without a name that, on Linux, lies in memory only."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("picture", os.MFD_CLOEXEC), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def write_all(descriptor: int, data: bytes) -> None:
    """Put `data` at the beginning of a file."""
    view, written = memoryview(data), 0
    while written < len(view):
        written += os.pwrite(descriptor, view[written:], written)


def resident_bytes(number: int) -> int:
    """Bytes that a process has in memory; 0 where the system does not tell."""
    try:
        with open(f"/proc/{number}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def processor_seconds(number: int) -> float:
    """Seconds for which a process has worked; 0 where the system does not tell."""
    try:
        with open(f"/proc/{number}/stat", "rb") as file:
            user, system = file.read().rpartition(b")")[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0
