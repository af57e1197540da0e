"""What the scripts do at Ctrl-C."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def stopped_in_one_line(name: str, what_remains: str) -> Iterator[None]:
    """At Ctrl-C, also in a run of main.py, print one line and end with exit code 130."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        print(f"{name}: stopped by Ctrl-C; {what_remains}", file=sys.stderr)
        sys.exit(INTERRUPTED)
