"""One line for the user out of the parser's long ones."""

import importlib
import re
from collections.abc import Iterable
from difflib import get_close_matches

import torch
from jsonargparse import ArgumentParser

from project import data, networks, optim

# Where the short class names that the command line knows live.
CLASSES = (networks, data, optim, torch.optim, torch.optim.lr_scheduler, torch.nn)


def explain(message: str, options: Iterable[str]) -> str:
    """The parser's `message` as one line, with the nearest right name for a misspelt one.

    Args:
        message: Of several lines, nested as the types are.
        options: Every option of the command, dotted and without dashes.
    """
    key = ".".join(re.findall(r'Parser key "(.+?)"', message))
    if match := re.search(r"(?:[Oo]ption '|unrecognized arguments: --)([\w.]+)'?.*?( before subcommand)?", message):
        if "before subcommand" in message:
            return "the command comes first, then its options: main.py fit --config ..."
        return _unknown_option(message, key, match[1], options)
    if match := re.search(r"module '(.+)' has no attribute '(.+?)'", message):
        return _unknown_class(key, match[2], dir(importlib.import_module(match[1])))
    if match := re.search(r"(?:Expected a dot import path string|No module named|No subclass).*?([\w.]+)", message):
        return _unknown_class(key, match[1].rsplit(".", 1)[-1], (name for module in CLASSES for name in dir(module)))
    if match := re.search(r"invalid choice: '(.+?)' \(choose from (.+)\)", message):
        commands = re.findall(r"\w+", match[2])
        return f"{match[1]}: no such command; {_nearest(match[1], commands)}"
    if match := re.search(r"arguments are required: (?:\w+\.)?(.+)", message):
        return f"--{match[1]} is missing; give it, or a file such as --config configs/convnet.yaml"
    if match := re.search(r"Expected an? (.+?)\. Got value: (.+)", message):
        return f"--{key} {match[2]}: expected {_plain_type(match[1])}"
    if match := re.search(r"File does not exist: '(.+?)'", message):
        return f"--config {match[1]}: there is no such file"
    return (f"--{key}: " if key else "") + _one_line(message)


def _unknown_option(message: str, key: str, name: str, options: Iterable[str]) -> str:
    owner = re.search(r"class_path '(.+?)'|class_path='(.+?)'", message)
    if owner is None:
        return f"--{name}: no such option; {_nearest(name, options)}"
    path = owner[1] or owner[2]
    module, _, class_name = path.rpartition(".")
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(importlib.import_module(module), class_name), fail_untyped=False)
    return f"--{key}.{name}: {class_name} has no such option; {_nearest(name, parser.get_defaults().keys())}"


def _unknown_class(key: str, name: str, names: Iterable[str]) -> str:
    classes = [name for name in names if name[0].isupper()]
    return f"--{key} {name}: no such class; {_nearest(name, classes)}"


def _nearest(name: str, names: Iterable[str]) -> str:
    names = sorted(set(names))
    close = get_close_matches(name, names, n=1)
    return (
        f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}" if len(names) < 12 else "see --help"
    )


def _plain_type(name: str) -> str:
    name = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", name)
    name = re.sub(r"typing\.Literal\[(.+)\]", r"one of \1", name)
    return {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(name, name)


def _one_line(message: str) -> str:
    return " ".join(message.split())
