"""How memory is allocated while a network trains, which is decided where a process starts."""

import os
import platform
from collections.abc import Mapping

VARIABLE = "GLIBC_TUNABLES"
# Training allocates and frees the same large tensors at every step. Kept on the heap, in huge pages, they need not be
# asked of the kernel and zeroed each time; that halves the time of a step on a CPU.
TUNABLES = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456"
)


def tuned(environment: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """The environment with the allocator set up for training; None where it says something about it already, or the
    system has another allocator."""
    if VARIABLE in environment or platform.libc_ver()[0] != "glibc":
        return None
    return {**environment, VARIABLE: TUNABLES}
