"""The door of the command line: it looks at the first word, and imports no more than that command needs."""

import sys
from collections.abc import Sequence

from project.cli.endings import endings
from project.cli.tools import run_tool, tool_module
from project.runs.results import Result


def main(args: Sequence[str] | None = None) -> Result:
    """Run one command, as the shell gives it, and leave the process as it was.

    Args:
        args: The words after the program's name; None takes them from the shell.

    Returns:
        The run directory and the figures, or what the command has measured or written.

    Raises:
        SystemExit: the command did not succeed, with the code that project.cli.endings describes.
    """
    words = sys.argv[1:] if args is None else args
    with endings():
        if module := tool_module(words):
            return run_tool(module, words)
        from project.cli.experiment import run_experiment  # imports Lightning, which takes seconds

        return run_experiment(None if args is None else list(args))
