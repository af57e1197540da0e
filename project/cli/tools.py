"""Commands that need a checkpoint only: plain functions, each in a module that is imported when it is asked for."""

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from project.cli.endings import fail
from project.runs.results import Result
from project.system.python_path import importable
from project.system.signals import Interrupted


class ToolParser(ArgumentParser):
    """Says what is wrong in one line, and knows no abbreviations."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, allow_abbrev=False)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        fail(_explain(message))


def run_tool(module_name: str, words: Sequence[str]) -> Result:
    """Run a tool with the words of the command line, of which the first is its name."""
    module = import_module(module_name)
    parser = ToolParser(prog=f"main.py {words[0]}", description=module.__doc__)
    module.add_options(parser)
    options = parser.parse_args(list(words[1:]))
    with _terminable(), importable([Path.cwd()]):  # for --allow
        result: Result = module.run(options)
    return result


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, so that no unfinished file stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> NoReturn:
        raise Interrupted(signum)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _explain(message: str) -> str:
    """The parser's message as a line that names the option and says what to do."""
    if match := re.search(r"""Parser key "(\w+)":\s+Expected a <class 'int'>. Got value: (.+)""", message):
        return f"--{match[1]} {match[2]}: give a whole number"
    if match := re.fullmatch("the following arguments are required: (.+)", message):
        return " and ".join(f"--{name}" for name in match[1].split(", ")) + ": missing; give it, or see --help"
    if match := re.fullmatch("unrecognized arguments: (.+)", message):
        return f"{match[1]}: no such option of this command; leave it out, or see --help"
    return message.removeprefix("argument ")
