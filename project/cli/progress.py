"""The progress of a command that goes through many files."""

import os
import sys
import time
from datetime import timedelta
from types import TracebackType

SECONDS = 10  # between two lines in a log
CLEAR = "\r\x1b[K"  # the line of the terminal


class Progress:
    """Shows on stderr how many files are done: on a terminal in its last line, otherwise in a line every ten seconds.

    Call `clear` before anything else is printed, and `show` after it.
    """

    def __init__(self, count: int) -> None:
        """Show that none of `count` files is done."""
        self._count, self._done = count, 0
        self._started = self._printed = time.monotonic()
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"  # which cannot clear a line
        self.show(0)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Make the line of the terminal free."""
        if self._is_terminal:
            print(CLEAR, end="", file=sys.stderr, flush=True)

    def show(self, done: int) -> None:
        """Show that `done` more files are done."""
        self._done += done
        if self._is_terminal:
            print(f"{CLEAR}{self}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._printed > SECONDS:
            print(self, file=sys.stderr, flush=True)
            self._printed = time.monotonic()

    def __str__(self) -> str:
        text = f"{self._done:,} of {self._count:,} files"
        if not self._done:
            return text
        left = (time.monotonic() - self._started) * (self._count - self._done) / self._done
        return f"{text}, {timedelta(seconds=round(left))} left"
