"""One line for the user out of the parser's long ones, and out of errors."""

import errno
import importlib
import re
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

import lightning
import torch
import torchvision
from jsonargparse import ArgumentParser
from torchvision.models import list_models

from project import data, networks, optim
from project.errors import UserError

# Where the short class names that the command line knows live.
CLASSES = (networks, data, optim, torch.optim, torch.optim.lr_scheduler, torch.nn)
# What a person can mend: no space, quota, file size, permission, a read-only or broken disk.
FULL_OR_CLOSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
COMMAND_FIRST = "the command comes first, then its options: main.py fit|validate|test|predict --config ..."


def explain(message: str, options: Iterable[str]) -> str:
    """The parser's `message` as one line, with the nearest right name for a misspelt one.

    Args:
        message: Of several lines, nested as the types are.
        options: Every option of the command, dotted and without dashes.
    """
    key = ".".join(re.findall(r'Parser key "(.+?)"', message))
    if "before subcommand" in message or 'expected "subcommand"' in message:
        return COMMAND_FIRST
    if match := re.search(r"invalid choice: '(.+?)' \(choose from (.+)\)", message):
        commands = re.findall(r"\w+", match[2])
        return f"{match[1]}: no such command; {_nearest(match[1], commands)}"
    if match := re.search(r"[Oo]ption '(.+?)'|unrecognized arguments: --([\w.]+)", message):
        return _unknown_option(message, key, match[1] or match[2], options)
    if line := _no_class(message, key):
        return line
    if match := re.search(r"failed: (--.+)", message):  # of a link between options
        return match[1]
    if match := re.search(r"arguments are required: (?:\w+\.)?(.+)", message):
        return f"--{match[1]} is missing; give it, or a file such as --config configs/convnet.yaml"
    if match := re.search(r"(?:Got|Given) value: (.+)", message):
        kinds = [_plain_type(kind) for kind in re.findall(r"Expected an? (.+?)(?:\. Got value|\n|$)", message)]
        return f"--{key} {match[1]}: expected {' or '.join(kind for kind in kinds if kind != 'NoneType')}"
    return (f"--{key}: " if key else "") + _one_line(message)


def _no_class(message: str, key: str) -> str:
    """Empty where the message is not of a class."""
    if match := re.search(r"module '(.+)' has no attribute '(.+?)'", message):
        return _unknown_class(key, match[2], dir(importlib.import_module(match[1])), f"{match[1]} has ")
    if match := re.search(r"class_path '(.+?)':\s+No module named '(.+?)'", message):
        return _unknown_module(key, *match.groups())
    if match := re.search(r"sub-config file (\S+)\.py: ", message):
        return f"--{key} {match[1]}.py: give a class of it, as in {match[1]}.ClassName"
    if match := re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", message):
        return f"--{key} {match[1]}: no class of the kind {match[2]}; give one"
    if match := re.search(r"Multiple subclasses with name (\w+)\. (.+)", message):
        return f"--{key} {match[1]}: {match[2]}"
    if match := re.search(r"Expected a dot import path string: ([\w.]+)", message):
        if match[1] in list_models(torchvision.models):
            return f"--{key} {match[1]}: no such class; torchvision's is TorchvisionModel with --{key}.name {match[1]}"
        return _unknown_class(key, match[1], (name for module in CLASSES for name in dir(module)))
    return ""


def _unknown_option(message: str, key: str, name: str, options: Iterable[str]) -> str:
    owner = re.search(r"class_path[ =]'(.+?)'", message)
    if owner is None:
        name = re.sub(r"\.(class_path|init_args).*", "", name)
        known = [option for option in options if not option.endswith(".help")]
        return f"--{name}: no such option; {_nearest(name, known, '--')}"
    module, _, class_name = owner[1].rpartition(".")
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(importlib.import_module(module), class_name), fail_untyped=False)
    known = list(parser.get_defaults().keys())
    if name in known:
        return f"--{key}.{name}: the run gives it to {class_name}; leave it out"
    return f"--{key}.{name}: {class_name} has no such option; {_nearest(name, known)}"


def _unknown_class(key: str, name: str, names: Iterable[str], where: str = "") -> str:
    return f"--{key} {name}: {where}no such class; {_nearest(name, [name for name in names if name[0].isupper()])}"


def _unknown_module(key: str, class_path: str, missing: str) -> str:
    if class_path.startswith(f"{missing}."):
        return f"--{key} {class_path}: Python finds no module {missing}; put it where it does, as in project/networks"
    return f"--{key} {class_path}: its module needs {missing}, which is not installed"


def _nearest(name: str, names: Iterable[str], dashes: str = "") -> str:
    close = get_close_matches(name, sorted(set(names)), n=1)
    return f"did you mean {dashes}{close[0]}?" if close else "--help shows what there is"


def _plain_type(name: str) -> str:
    name = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", name)
    name = re.sub(r"typing\.Literal\[(.+)\]", r"one of \1", name)
    plain = {"int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list, as in '[a, b]'"}
    return plain.get(name, name)


def _one_line(message: str) -> str:
    return " ".join(message.split())


def root_cause(error: BaseException) -> str:
    """What was raised first: the parser wraps what a class says of its options."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error)


def told(error: BaseException) -> str:
    """The line for an error that the user can mend; empty for any other."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in FULL_OR_CLOSED:
        return f"{error.filename or 'a file of the run'}: {error.strerror}; mend that, then resume"
    if isinstance(error, SyntaxError):  # in a module of the user's own
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    # Of what Lightning raises itself, its message tells more than where that was.
    raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
    return _one_line(str(error)) if Path(lightning.__file__).parent in Path(raised_in).parents else ""
