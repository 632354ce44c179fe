"""What ends a run although nothing is wrong with it: no memory, no disk. Told in one sentence."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ml.errors import TrainingError

MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "DataLoader worker")
"""How torch says that memory ran out; a loader's process that the system killed counts as that."""


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns what the system refuses into TrainingError. Anything unexpected passes through."""
    try:
        yield
    except MemoryError as error:
        raise _no_memory() from error
    except RuntimeError as error:
        if any(words in str(error) for words in MEMORY_WORDS):
            raise _no_memory() from error
        raise
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise _no_memory() from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space() from error
        raise TrainingError(
            f"A file of the run could not be read or written: {error.strerror or type(error).__name__}. "
            "Mend that and go on with --resume."
        ) from error


def no_space() -> TrainingError:
    """The sentence for a full disk."""
    return TrainingError(
        "The disk is full. Free some space and go on with --resume; the run's last checkpoint is kept."
    )


def _no_memory() -> TrainingError:
    return TrainingError(
        "There is not enough memory for this run. Train on smaller images (--image-size) or a smaller batch "
        "(--batch-size), or a smaller network (--arch)."
    )
