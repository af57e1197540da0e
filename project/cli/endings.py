"""How a command ends: exit codes, and the one `error:` line of a user's mistake. Nothing here is slow to import."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from project.system.errors import UserError
from project.system.launch import is_first_error, is_first_process
from project.system.signals import REQUEUE, Interrupted, requeue

BROKEN_PIPE = 128 + 13  # of SIGPIPE, which Windows has not
INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def endings() -> Iterator[None]:
    """End the process as the shell expects.

    A user's mistake ends in one `error:` line and exit code 2. A command that has done its work but for some inputs,
    which it has named, ends with 1. A command that a signal stops ends with 128 and the signal's number: 130 for
    Ctrl-C, 143 for SIGTERM, and 141 if nobody reads its output any more.
    """
    try:
        try:
            yield
        finally:
            _flush()
    except BrokenPipeError:  # the reader of the output is gone; Python would write to it once more at its end
        _discard_output()
        sys.exit(BROKEN_PIPE)
    except Exception as error:
        if line := _line(error):
            fail(line)
        if is_first_error():
            raise
        sys.exit(1)
    except Interrupted as stop:
        if not is_first_process():
            sys.exit(0)  # with another code the launcher would kill the first process
        if stop.signum == REQUEUE:
            requeue()
        sys.exit(128 + stop.signum)
    except (KeyboardInterrupt, SystemExit) as stop:
        if type(stop).__name__ == "SIGTERMException":  # Lightning's, outside of training
            sys.exit(128 + signal.SIGTERM)
        # Outside of training, Lightning makes exit code 1 of Ctrl-C.
        is_keyboard = isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt)
        raise SystemExit(INTERRUPTED) if is_keyboard else stop from None


@contextmanager
def endings_of_a_call() -> Iterator[None]:
    """The same for a call by other code. Ctrl-C is a KeyboardInterrupt, so that a notebook runs no more cells."""
    try:
        with endings():
            yield
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise


def output_message(error: OSError) -> str:
    """The line for standard output that cannot be written."""
    return f"the output of the command cannot be written ({error.strerror}); make room, or send it elsewhere"


def fail(line: str) -> NoReturn:
    """End the command with its one `error:` line, which the first process that has an error prints."""
    if is_first_error():
        print("error:", " ".join(line.splitlines()), file=sys.stderr)
    sys.exit(2)


def _flush() -> None:
    """Write what is still to be printed; at its end Python would do it, and its exit code would be another.

    Raises:
        BrokenPipeError: nobody reads the output any more.
        UserError: the output cannot be written.
    """
    try:
        print(end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise UserError(output_message(error)) from None


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(error: Exception) -> str:
    """The line for an error that the user can correct; empty for any other."""
    if isinstance(error, UserError):
        return str(error)
    from project.cli.messages import user_message  # imports Lightning, which takes seconds

    return user_message(error)
