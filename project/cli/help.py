"""The texts of --help and of every .help option: the program, a command, a part of its options, one class."""

import inspect
import shutil
import textwrap
from argparse import Action
from collections.abc import Sequence
from itertools import zip_longest
from pydoc import locate
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from project.callbacks.checkpoints import Checkpoints
from project.cli.classes import CLASSES, classes, is_usable, nearest, parameters
from project.cli.commands import TRAINER_COMMANDS, program_help
from project.cli.docstrings import argument_text, plain_text, summary
from project.cli.user_parts import LINKED
from project.system.errors import UserError
from project.training.classifier import Classifier
from project.training.trainer import ExperimentTrainer

# The sections of a command's help, in order, with the first words of their options.
SECTIONS = {
    "model": ("model",),
    "data": ("data",),
    "checkpoints": ("checkpoints", "ckpt_path"),
    "run": ("config", "name", "seed_everything", "threads", "pictures", "print_config", "help"),
    "trainer, from PyTorch Lightning": ("trainer",),
}
# The other options of validate, test and predict are those of fit.
EVALUATION_SECTIONS = {
    "checkpoint": ("ckpt_path", "output", "force", "allow"),
    "data": ("data",),
    "run": ("config", "name", "seed_everything", "threads", "print_config", "help"),
}
OTHER_OPTIONS = """The checkpoint brings the settings of its run, which an option replaces. All other options are
those of fit, such as --model.test_views and --trainer.limit_test_batches: main.py fit --help"""
PARTS: dict[str, type] = {"model": Classifier, "checkpoints": Checkpoints, "trainer": ExperimentTrainer}
RUN_ARGUMENTS = {"model.optimizer": 1, "model.lr_scheduler": 2}  # the first arguments, which the run gives


def help_text(words: Sequence[str], parser: LightningArgumentParser) -> str:
    """The text that the words of the command line ask for.

    Args:
        words: Among which --help, or a .help option.
        parser: Of the command.

    Raises:
        UserError: there is no such option, or no class of that name.
    """
    command = words[0]
    if command not in TRAINER_COMMANDS:
        return program_help()
    split = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for word, after in zip_longest(split, split[1:], fillvalue="-"):
        if word.endswith(".help"):
            option = word.removeprefix("--").removesuffix(".help")
            return part_help(parser, command, option) if after.startswith("-") else class_help(parser, option, after)
    return part_help(parser, command)


def part_help(parser: LightningArgumentParser, command: str, option: str = "") -> str:
    """The options of a command, or those of `option` alone.

    Raises:
        UserError: there is no such option.
    """
    actions = [action for action in parser._actions if _is_shown(action, option)]
    if not actions and option in CLASSES:
        return "\n".join(
            [f"usage: --{option} '[CLASS, ...]'", "", "classes:", *class_list(option), "", *_remark(option)]
        )
    if not actions:
        part = next((name for name in CLASSES if option.startswith(f"{name}.")), "")
        remedy = f"--{part}.help CLASS shows the options of a class" if part else "--help shows what there is"
        raise UserError(f"--{option}.help: no such option; {remedy}")
    is_short = command != "fit" and not option
    lines = [*_usage(command), "", *_wrapped(TRAINER_COMMANDS[command], 0)]
    for title, names in (EVALUATION_SECTIONS if is_short else SECTIONS).items():
        members = [action for name in names for action in actions if action.dest.partition(".")[0] == name]
        lines += ["", f"{title}:"] * bool(members)
        lines += [line for action in members for line in _action_lines(action)]
    return "\n".join([*lines, "", *_wrapped(OTHER_OPTIONS, 0)] if is_short else lines)


def _usage(command: str) -> list[str]:
    if command == "fit":
        return ["usage: main.py fit --config FILE [--config FILE ...] [--OPTION VALUE ...]"]
    usage = f"main.py {command} --ckpt_path CHECKPOINT [--OPTION VALUE ...]"
    if command != "predict":
        return [f"usage: {usage}"]
    images = "main.py predict --ckpt_path CHECKPOINT --images FILE ... [--OPTION VALUE ...]"
    own = "images of your own; its options: main.py predict --images --help"
    run = "the test images; its options follow"
    return [f"usage: {images}", f"           {own}", f"       {usage}", f"           {run}"]


def class_help(parser: LightningArgumentParser, option: str, name: str) -> str:
    """The options of one class.

    Raises:
        UserError: `option` has no such class.
    """
    known = {kind.__name__: kind for kind in classes(option)}
    kind: Any = known.get(name) or locate(name)
    if not inspect.isclass(kind):
        near = nearest(name, known)
        remedy = f"did you mean {near}?" if near else f"--{option}.help shows what there is"
        raise UserError(f"--{option}.help {name}: no such class; {remedy}")
    class_parser = type(parser)()
    first = {RUN_ARGUMENTS[option]} if option in RUN_ARGUMENTS else set()
    class_parser.add_class_arguments(kind, skip={*LINKED, *first}, fail_untyped=False)
    lines = [f"usage: --{option} {name} [--{option}.OPTION VALUE ...]", ""]
    lines += [*_wrapped(f"{kind.__name__}: {summary(kind)}".removesuffix(": "), 0), "", "options:"]
    for argument, _ in class_parser.get_defaults().items():
        parameter = parameters(kind).get(argument)
        lines += [f"  --{option}.{argument} {argument.upper()}"]
        lines += _wrapped(f"{argument_text(kind, argument)} {_state(parameter)}", 6)
    return "\n".join(lines)


def class_list(option: str) -> list[str]:
    """The classes that a run can give to an option, each with the first sentence of its docstring."""
    kinds = {kind.__name__: kind for kind in classes(option) if is_usable(option, kind)}
    lines = (f"{name}: {summary(kind)}".removesuffix(": ") for name, kind in sorted(kinds.items()))
    return [part for line in lines for part in _wrapped(line, 8)]


def _is_shown(action: Action, option: str) -> bool:
    is_linked = not "".join(action.option_strings).startswith("-")
    is_file = action.dest in ("model", "checkpoints", "trainer")  # a YAML file of a part
    is_part = not option or f"{action.dest}.".startswith(f"{option}.")
    return is_part and not (is_linked or is_file or action.dest.endswith(".help"))


def _action_lines(action: Action) -> list[str]:
    names = ", ".join(action.option_strings)
    part, _, argument = action.dest.rpartition(".")
    if action.dest in CLASSES:
        description = "Data set." if action.dest == "data" else plain_text(action.help or "")
        text = f"{description} {_default_class(action)}"
        return [f"  {names} CLASS", *_wrapped(text, 6), *class_list(action.dest), *_remark(action.dest)]
    parameter = parameters(PARTS[part]).get(argument) if part in PARTS else None
    state = _state(parameter, action.default) if parameter else ""
    value = f" {argument.upper()}" if action.nargs != 0 else ""
    return [f"  {names}{value}", *_wrapped(f"{plain_text(action.help or '')} {state}", 6)]


def _remark(option: str) -> list[str]:
    remark = f"--{option}.help CLASS shows the options of a class; CLASS may be your own, as in my_file.Net."
    return _wrapped(remark, 6)


def _default_class(action: Action) -> str:
    class_path = (action.default or {}).get("class_path", "null")
    return "(required)" if action.required and not action.default else f"(default: {class_path.rpartition('.')[2]})"


def _state(parameter: inspect.Parameter | None, default: Any = None) -> str:
    """The type and the default of an option."""
    if parameter is None:
        return ""
    default = parameter.default if default is None else default
    words = [] if parameter.annotation is parameter.empty else [inspect.formatannotation(parameter.annotation)]
    plain = {"None": "null", "True": "true", "False": "false"}.get(str(default), default)
    words += ["required" if default is parameter.empty else f"default: {plain}"]
    return f"({', '.join(words)})"


def _wrapped(text: str, indent: int) -> list[str]:
    width = min(shutil.get_terminal_size().columns, 120)
    return textwrap.wrap(text, width, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2 * (indent == 8)))
