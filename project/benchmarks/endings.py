"""How the scripts end at Ctrl-C and at a user's mistake."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from project.system.errors import UserError

INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def ends_in_one_line(name: str, what_remains: str) -> Iterator[None]:
    """End with one line: at Ctrl-C, also in a run of main.py, with exit code 130, at a UserError with exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        print(f"{name}: stopped by Ctrl-C; {what_remains}", file=sys.stderr)
        sys.exit(INTERRUPTED)
