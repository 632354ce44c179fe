"""System calls that a process which decodes files from outside never needs, taken from it by the kernel (seccomp).

A list of what is refused and not of what is allowed: which calls a decoder and its threads make changes with every
release of the libraries, and a photo that cannot be read any more would be the price. Refused is what reaches beyond
the process: names of files, other processes, programs, sockets, and what the kernel is best not asked by strangers.
Numbers are those of Linux's tables for x86-64 and for arm64; elsewhere nothing is done.

See "Seccomp BPF (SECure COMPuting with filters)", https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass

# From <linux/filter.h>, <linux/seccomp.h> and <linux/audit.h>.
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, FAIL_WITH = 0x7FFF0000, 0x00050000
SET_MODE_FILTER, SPECULATION_AS_BEFORE = 1, 4
CLONE_THREAD = 0x00010000
FOREIGN_NUMBERS = 0x40000000
"""Where the numbers of x86-64's second table begin."""


@dataclass(frozen=True)
class Table:
    """One architecture: its name for the kernel, the calls that are refused, and those looked at more closely."""

    architecture: int
    seccomp: int
    clone: int
    clone3: int
    tgkill: int
    prlimit64: int
    refused: tuple[int, ...]


# Alike in both: pidfd_send_signal, io_uring (3), pidfd_open, openat2, pidfd_getfd, process_madvise, mount_setattr,
# fchmodat2.
_NEW = (424, 425, 426, 427, 434, 437, 438, 440, 442, 452)
TABLES = {
    "x86_64": Table(
        0xC000003E, 317, 56, 435, 234, 302,
        (
            2, 85, 257,  # open, creat, openat
            87, 263, 84, 82, 264, 316, 86, 265, 88, 266,  # unlink(at), rmdir, rename(at, at2), link(at), symlink(at)
            83, 258, 133, 259, 76, 77, 285,  # mkdir(at), mknod(at), truncate, ftruncate, fallocate
            90, 91, 268, 92, 93, 94, 260, 132, 235, 261, 280,  # chmod, chown, times
            188, 189, 190, 197, 198, 199,  # extended attributes
            57, 58, 59, 322,  # fork, vfork, execve, execveat
            62, 200, 129, 297, 101, 310, 311,  # kill, tkill, sigqueue (2), ptrace, process_vm_readv and writev
            41, 53, 42, 43, 288, 49, 50, 46, 47, 307, 299,  # sockets, and descriptors passed through them
            29, 30, 64, 68, 240, 319,  # memory and queues shared by name, memfd_create
            161, 165, 166, 272, 308, 303, 304,  # chroot, mount, umount2, unshare, setns, handles of files
            206, 209, 248, 249, 250, 298, 321, 323,  # asynchronous input, keys, perf, bpf, userfaultfd
            *_NEW,
        ),
    ),
    "aarch64": Table(
        0xC00000B7, 277, 220, 435, 131, 261,
        (
            56,
            35, 38, 276, 37, 36,
            34, 33, 45, 46, 47,
            52, 53, 54, 55, 88,
            5, 6, 7, 14, 15, 16,
            221, 281,
            129, 130, 138, 240, 117, 270, 271,
            198, 199, 203, 202, 242, 200, 201, 211, 212, 269, 243,
            194, 196, 190, 186, 180, 279,
            51, 40, 39, 97, 268, 264, 265,
            0, 2, 217, 218, 219, 241, 280, 282,
            *_NEW,
        ),
    ),
}  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_system_calls() -> bool:
    """Give up these calls for this process and all its threads, for good; whether that was possible.

    They fail with EPERM then. Threads can be started, and the process may still signal and limit itself. Without
    privileges `PR_SET_NO_NEW_PRIVS` must have been set before.
    """
    table = TABLES.get(platform.machine())
    if sys.platform != "linux" or table is None or sys.maxsize <= 2**32:
        return False
    program = _program(table, os.getpid())
    call = ctypes.CDLL(None, use_errno=True).syscall
    filled = _Program(len(program) // 8, program)
    return bool(call(table.seccomp, SET_MODE_FILTER, SPECULATION_AS_BEFORE, ctypes.byref(filled)) == 0)


def _program(table: Table, own: int) -> bytes:
    """The filter, as instructions of the kernel's packet filter, for a process of this number."""
    refusal = _step(RETURN, FAIL_WITH | errno.EPERM)
    steps = [
        _step(LOAD, ARCHITECTURE), _step(EQUAL, table.architecture, 1, 0), refusal,
        _step(LOAD, NUMBER), _step(AT_LEAST, FOREIGN_NUMBERS, 0, 1), refusal,
        # Its flags lie in memory, where they cannot be looked at: the C library takes clone where this is unknown.
        _step(EQUAL, table.clone3, 0, 1), _step(RETURN, FAIL_WITH | errno.ENOSYS),
    ]  # fmt: skip
    for number in table.refused:
        steps += [_step(EQUAL, number, 0, 1), refusal]
    for number, test, value in (
        (table.clone, ANY_BIT, CLONE_THREAD),  # a thread and no process
        (table.tgkill, EQUAL, own),  # itself, as abort() does
        (table.prlimit64, EQUAL, 0),  # itself
    ):
        steps += [_step(EQUAL, number, 0, 3), _step(LOAD, FIRST_ARGUMENT), _step(test, value, 1, 0), refusal]
        steps += [_step(LOAD, NUMBER)]
    return b"".join([*steps, _step(RETURN, ALLOW)])


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; a comparison skips as many as given."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
