"""How the scripts end at Ctrl-C and at a user's mistake."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from project.system.errors import UserError

INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def ends_in_one_line(name: str, what_remains: str) -> Iterator[None]:
    """End with one line: at Ctrl-C, also in a run of main.py, with exit code 130, at a UserError with exit code 2."""
    is_interrupted = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        is_interrupted = True  # an import that is interrupted may raise any other exception
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if is_main else None
    try:
        yield
    except BaseException as error:
        if is_interrupted or isinstance(error, KeyboardInterrupt) or _is_exit(error, INTERRUPTED):
            print(f"{name}: stopped by Ctrl-C; {what_remains}", file=sys.stderr)
            sys.exit(INTERRUPTED)
        if isinstance(error, UserError):
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        raise
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


def _is_exit(error: BaseException, code: int) -> bool:
    return isinstance(error, SystemExit) and error.code == code
