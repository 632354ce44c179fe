"""The process that does the work of a run: a flask command, at low priority, that ends when its trainer is gone.

    python -m webapp.training.child NICENESS --app wsgi train --data ...

Its standard input is a pipe that nobody writes to. It closes when the trainer ends, however that came about, and then
this process ends too: a trainer that takes the run over must never meet another one at work in the same folder.
"""

import os
import sys
import threading
from contextlib import suppress

from flask.cli import main as flask_command


def main() -> None:
    """Run the command line, watched."""
    niceness = int(sys.argv.pop(1))
    with suppress(OSError, AttributeError):  # a system that knows no priorities
        # No more than that where the trainer itself was started at a low priority.
        os.nice(max(0, niceness - os.nice(0)))
    threading.Thread(target=_end_with_the_trainer, daemon=True).start()
    flask_command()


def _end_with_the_trainer() -> None:
    # Not through sys.stdin, whose lock would be waited for at the end of the interpreter.
    with suppress(OSError):
        os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
