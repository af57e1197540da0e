"""Commands that train nothing: plain functions, each in a module that is imported when it is asked for."""

import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from project.cli.commands import MODULES, MOST_THREADS, THREADS, given_options
from project.cli.endings import fail, output_message
from project.runs.results import Result
from project.system.errors import UserError
from project.system.files import FULL_OR_CLOSED
from project.system.python_path import importable
from project.system.signals import REQUEUE, Interrupted, job
from project.system.threads import threads


class ToolParser(ArgumentParser):
    """Says what is wrong in one line, and knows no abbreviations."""

    words: Sequence[str] = ()  # of the command line

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, allow_abbrev=False)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        files = [word for word in self.words if word.startswith("-") and os.path.lexists(word)]
        hint = "".join(f"{file}: a file, but read as an option; write ./{file}, or ./* for *" for file in files[:1])
        fail(hint or _explain(message, self.words))


def run_tool(module_name: str, words: Sequence[str]) -> Result:
    """Run a tool.

    Args:
        module_name: Of the tool.
        words: Of the command line; the first is the tool's name.
    """
    module = import_module(module_name)
    parser = ToolParser(prog=f"main.py {words[0]}", description=module.__doc__)
    parser.words = words
    module.add_options(parser)
    if module_name != MODULES["compare"]:
        parser.add_argument("--threads", type=int, help=THREADS)
    fit_words, own_words = _split(words[1:], getattr(module, "FIT_OPTIONS", ()))
    for name, value in given_options(own_words):
        if not value.strip():  # of a variable of the shell that is not set, perhaps
            raise UserError(f"--{name} {value!r}: give a value, or leave it out")
    if flags := [word for word in own_words if re.match("-h.", word)]:  # newer releases of Python take it for -h
        parser.error(f"unrecognized arguments: {flags[0]}")
    options = parser.parse_args(own_words)
    if hasattr(module, "FIT_OPTIONS"):
        options.fit_words = fit_words
    with _terminable(), _disk_errors(), importable([Path.cwd()]), threads(_threads(options)):  # --allow
        result: Result = module.run(options)
    return result


def _threads(options: Namespace) -> int | None:
    """The value of --threads. Raises UserError for one that is out of range."""
    count: int | None = options.get("threads")
    if count is not None and not 1 <= count <= MOST_THREADS:
        raise UserError(f"--threads {count}: give a number from 1 to {MOST_THREADS}")
    return count


def _split(words: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options of these names, such as --data and --data.val_size, with their values; and all other words."""
    parts: tuple[list[str], list[str]] = [], []
    chosen = parts[1]
    for word in words:
        if re.match("--?[a-zA-Z]", word):
            name = word.lstrip("-").partition("=")[0].partition(".")[0]
            chosen = parts[0 if name in names else 1]
        chosen.append(word)
    return parts


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, or SLURM's request to stop, end the block as an exception does, so that no unfinished file stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> NoReturn:
        raise Interrupted(signum)

    signals = [signal.SIGTERM, REQUEUE] if REQUEUE and job() else [signal.SIGTERM]
    before = {signum: signal.signal(signum, stop) for signum in signals}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Explain errors of a disk, without the advice to resume. Where a file has an option, the error line names that."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_OR_CLOSED:
            raise
        line = f"{error.filename}: {error.strerror}; mend that, then run the command again"
        raise UserError(line if error.filename else output_message(error)) from None


def _explain(message: str, words: Sequence[str]) -> str:
    """The parser's message as a line that names the option, its value among the `words`, and says what to do."""
    if match := re.search(r"""Parser key "(\w+)":\s+Expected a <class '(int|float)'>. Got value: (.+)""", message):
        value = dict(given_options(words)).get(match[1], match[3])
        return f"--{match[1]} {value}: give a {'whole ' * (match[2] == 'int')}number"
    if match := re.fullmatch("argument (.+): expected one argument", message):
        return f"{match[1]}: give a value"
    if match := re.fullmatch("the following arguments are required: (.+)", message):
        return " and ".join(f"--{name}" for name in match[1].split(", ")) + ": missing; give it, or see --help"
    if match := re.fullmatch("unrecognized arguments: (.+)", message):
        return f"{match[1]}: no such option of this command; leave it out, or see --help"
    return message.removeprefix("argument ")
