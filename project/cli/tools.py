"""Commands that need a checkpoint only: plain functions, each in a module that is imported when it is asked for."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from project.cli.endings import fail
from project.runs.results import Result

# The module of each command. It has add_options(parser) and run(options), which returns the Result.
MODULES = {"export": "project.cli.export"}
PREDICT_IMAGES = "project.cli.predict_images"


class ToolParser(ArgumentParser):
    """Says what is wrong in one line, and knows no abbreviations."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, allow_abbrev=False)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        fail(message)


def tool_module(words: Sequence[str]) -> str | None:
    """The module of the command; None if it is one of LightningCLI's. predict is a tool if --images is given."""
    if not words:
        return None
    is_images = words[0] == "predict" and any(word.partition("=")[0] == "--images" for word in words)
    return PREDICT_IMAGES if is_images else MODULES.get(words[0])


def run_tool(module_name: str, words: Sequence[str]) -> Result:
    """Run a tool with the words of the command line, of which the first is its name."""
    module = import_module(module_name)
    parser = ToolParser(prog=f"main.py {words[0]}", description=module.__doc__)
    module.add_options(parser)
    result: Result = module.run(parser.parse_args(list(words[1:])))
    return result
