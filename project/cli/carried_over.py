"""Options that were given to one class, and that another one has taken over."""

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from pydoc import locate
from typing import Any

import yaml
from jsonargparse import Namespace

from project.cli.config_files import as_given, given_options

PARTS = ("model.network", "model.loss", "model.optimizer", "model.lr_scheduler", "data")


def carried_over(words: Sequence[str], options: Namespace) -> Iterator[str]:
    """A line for each part whose class was changed, where options that the old class was given stay for the new one.

    The parser keeps what both take. What is the new class's default as well is left out.

    Args:
        words: Of the command line.
        options: Of the command, as parsed.
    """
    for part in PARTS:
        spec = options.get(part)
        if not isinstance(spec, Namespace) or "init_args" not in spec:
            continue
        kind: Any = locate(spec.class_path)
        makers = [vars(maker).get("__init__", object) for maker in reversed(kind.__mro__)]  # a data set's is its base's
        parameters = [item for maker in makers for item in inspect.signature(maker).parameters.items()]
        defaults = {name: parameter.default for name, parameter in parameters}
        for name, owner in _owners(words, part).items():
            value = spec.init_args.get(name)
            if owner not in ("", kind.__name__) and name in defaults and value not in (None, defaults[name]):
                shown = as_given(words, f"{part}.{name}", value)
                yield f"--{part}.{name} {shown}: given to {owner}, stays for {kind.__name__}"


def _owners(words: Sequence[str], part: str) -> dict[str, str]:
    """The class that each option of a part was last given to; empty for the default class."""
    owners: dict[str, str] = {}
    kind = ""
    for class_path, names in _statements(words, part):
        kind = class_path.rpartition(".")[2] or kind
        owners |= dict.fromkeys(names, kind)
    return owners


def _statements(words: Sequence[str], part: str) -> Iterator[tuple[str, list[str]]]:
    """What files and options say of a part, in their order: a class or empty, and the names of its options."""
    for name, value in given_options(words):
        if name.startswith(f"{part}.") and name != f"{part}.class_path":
            yield "", [name.removeprefix(f"{part}.")]
        elif name == "config" or name.startswith(part):
            settings = yaml.safe_load(Path(value).read_text() if name == "config" else value)
            for key in part.split(".") if name == "config" else ():
                settings = settings.get(key) if isinstance(settings, dict) else None
            if isinstance(settings, dict):
                yield settings.get("class_path", ""), list(settings.get("init_args", ()))
            elif isinstance(settings, str):
                yield settings, []
