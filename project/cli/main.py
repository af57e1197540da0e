"""The door of the command line: what a command ends with."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from lightning.pytorch.utilities.exceptions import SIGTERMException

from project.cli.arguments import check_yaml, user_modules
from project.cli.experiment import ExperimentCLI
from project.cli.messages import user_message
from project.cli.parser import fail, is_first_process
from project.runs.results import Result
from project.system.signals import REQUEUE, Interrupted, requeue


def main(args: Sequence[str] | None = None) -> Result:
    """Run one command, as the shell gives it, and leave the process as it was.

    A user's mistake ends in one `error:` line and exit code 2.

    A run that is asked to stop ends with 128 and the signal's number: 130 for Ctrl-C, 143 for SIGTERM; and with 141
    where nobody reads its output any more.

    Args:
        args: The words after the program's name; None takes them from the shell.

    Returns:
        The run's directory and figures, or what the command has measured or written.
    """
    words = sys.argv[1:] if args is None else args
    with ExitStack() as cleanup, user_modules(words):
        try:
            check_yaml(words)
            return ExperimentCLI(None if args is None else list(args), cleanup).result
        except BrokenPipeError:  # who read the output is gone; Python would write to it once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        except Exception as error:
            if not (line := user_message(error)):
                raise
            fail(line)
        except Interrupted as stop:
            if not is_first_process():
                sys.exit(0)  # with anything else the launcher would kill the first process
            if stop.signum == REQUEUE:
                requeue()
            sys.exit(128 + stop.signum)
        except SIGTERMException:  # outside of training
            sys.exit(128 + signal.SIGTERM)
        except (KeyboardInterrupt, SystemExit) as stop:
            # Outside of training; Lightning makes 1 of it.
            raise SystemExit(130) if _by_keyboard(stop) else stop from None


def _by_keyboard(stop: BaseException) -> bool:
    return isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt)
