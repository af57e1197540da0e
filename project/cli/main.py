"""The door of the command line: it looks at the first word, and imports no more than that command needs."""

import sys
from collections.abc import Sequence

from project.cli.commands import program_help, tool_module
from project.cli.endings import endings, endings_of_a_call
from project.runs.results import Result
from project.system.memory import keep_freed_memory
from project.system.process import escape_output, quiet, settle
from project.system.quick_imports import no_garbage_collection, postpone_scipy_signal
from project.system.signals import stop_if_requeued
from project.system.threads import usable_cores


def main(args: Sequence[str] | None = None, own_process: bool = False) -> Result:
    """Run one command, as the shell gives it.

    Args:
        args: The words after the program's name; None takes them from the shell.
        own_process: Whether the process is the command's alone. Its messages and memory are then set up until it
            ends; otherwise Lightning's messages are off during the command, and the process keeps its own settings.

    Returns:
        The run directory and the figures, or what the command has measured or written.

    Raises:
        SystemExit: the command did not succeed, with the code that project.cli.endings describes: 2 for a mistake.
        KeyboardInterrupt: Ctrl-C stopped a command in a process that is not its own.
    """
    words = sys.argv[1:] if args is None else list(args)
    with endings() if own_process else endings_of_a_call():
        if own_process:
            stop_if_requeued()
        if words[:1] in (["-h"], ["--help"]):
            print(program_help())
            sys.exit(0)
        if own_process:
            keep_freed_memory()
            escape_output()
            usable_cores()  # counts them before the import of torch, which can leave one core to this thread
        if module := tool_module(words):
            from project.cli.tools import run_tool

            return run_tool(module, words)
        if own_process:
            postpone_scipy_signal()
        with no_garbage_collection():  # of Lightning, which takes seconds
            from project.cli.arguments import check_yaml
            from project.cli.experiment import run_experiment
        check_yaml(words)
        if own_process:
            settle()
            return run_experiment(words)
        with quiet():
            return run_experiment(words)
