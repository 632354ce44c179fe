"""Networks at work side by side: one core for each of several passes instead of all cores for one after the other."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import threadpool_limits

Result = TypeVar("Result")


def side_by_side(tasks: Sequence[Callable[[], Result]], *, compiled: bool = False) -> list[Result]:
    """The results of `tasks`, in their order; what the first to fail raised is raised.

    A pass of one photo through a network keeps a second core busy mostly with waiting for the first. So where there are
    as many passes as torch has threads, each runs on one thread of its own; fewer run one after the other on all.
    Tasks of a `compiled` engine never use more than the thread that they are on: they are always shared out.
    """
    pool = _plain_pool() if compiled else _pool()
    if pool is None or (len(tasks) < pool[1] and not compiled):
        return [task() for task in tasks]
    return [future.result() for future in [pool[0].submit(task) for task in tasks]]


def threads() -> int:
    """How many tasks `side_by_side` has at work at one time."""
    pool = _pool()
    return 1 if pool is None else pool[1]


def usable_threads() -> int:
    """How many threads are to be at work: torch's, where it is loaded, else as OMP_NUM_THREADS says, else the cores."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, int(asked)) if asked.isdecimal() else cores


def _plain_pool() -> tuple[ThreadPoolExecutor, int] | None:
    """Threads for what brings none of its own, and how many they are; None on a single core."""
    count = usable_threads()
    return None if count < 2 else (_threads(count), count)


@lru_cache(maxsize=4)
def _threads(count: int) -> ThreadPoolExecutor:
    # Each of them computes by itself. With more threads numpy's small products (a network's head) would be shared out
    # too, and wait for cores that are busy with the other passes: a third of an answer's time.
    threadpool_limits(1, user_api="blas")
    return ThreadPoolExecutor(count, thread_name_prefix="engine")


@lru_cache(maxsize=1)
def _pool() -> tuple[ThreadPoolExecutor, int] | None:
    """The process's threads, each with one of torch's for itself, and how many they are; None on a single core."""
    import torch  # here, since the web application starts without it

    count = torch.get_num_threads()
    if count < 2:
        return None
    pool = ThreadPoolExecutor(count, thread_name_prefix="network", initializer=_alone)
    begun = threading.Barrier(count + 1)
    for _ in range(count):
        pool.submit(begun.wait)
    begun.wait()
    # What a thread sets holds for itself and for those begun later: these shall have all of torch's threads again.
    torch.set_num_threads(count)
    return pool, count


def _alone() -> None:
    """Give the thread that calls this one of torch's threads. Asking for the number makes it final: until then what
    another thread sets would still count for this one."""
    import torch

    torch.set_num_threads(1)
    torch.get_num_threads()
