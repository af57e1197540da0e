"""The words of the command line and the YAML files that they name, before the parser reads them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from pydoc import locate
from typing import Any

import yaml
from jsonargparse import Namespace

from project.cli.classes import parameters
from project.cli.commands import given_options
from project.system.errors import UserError
from project.system.python_path import importable
from project.system.yaml_text import key_problem, load_yaml, read_settings_file

LISTS = ("trainer.callbacks", "trainer.logger")  # options that take several classes
NO_CLASS = ("", "null", "true", "false", "True", "False", "[]")  # values of these options that name no class
PARTS = ("model.network", "model.loss", "model.optimizer", "model.lr_scheduler", "data")
PROJECT = Path(__file__).parents[2]  # the directory of configs/


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether -h, --help or a .help option is among the words."""
    return any(re.match(r"(-h|--([\w.]+\.)?help)(=|$)", word) for word in words)


def asks_for_settings(words: Sequence[str]) -> bool:
    """Whether --print_config is among the words."""
    return any(word.partition("=")[0] == "--print_config" for word in words)


def as_given(words: Sequence[str], name: str, value: Any) -> str:
    """The value of an option as the command line has it; for an option of a file, `value` as YAML writes it."""
    plain = {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    text = dict(given_options(words)).get(name, plain)
    return text if text.strip() and text.isprintable() else repr(text)


@contextmanager
def user_modules(words: Sequence[str]) -> Iterator[None]:
    """Let Python find modules in the current directory and beside the files of --config, after all others."""
    beside = [Path(value).absolute().parent for name, value in given_options(words) if name == "config"]
    with importable([Path.cwd(), *beside]):
        yield


def check_yaml(words: Sequence[str]) -> None:
    """Check the files of --config and all YAML of the command line.

    Raises:
        UserError: a file is missing or contains no settings, a key stands twice, or a key contains its value.
    """
    for name, value in given_options(words):
        if name == "config":
            read_settings_file(Path(value), "--config", str(_example()))
        is_file = value.endswith((".yaml", ".yml")) and Path(value).is_file()
        if not (is_file or value.startswith(("{", "["))):
            continue
        try:
            problem = key_problem(Path(value).read_text("utf-8") if is_file else value)
        except yaml.YAMLError:
            continue  # the parser says what it expects there
        if problem:
            raise UserError(f"--{name} {value}: {problem}")


def replaced(words: Sequence[str]) -> Iterator[str]:
    """A line for each list of classes that replaces an earlier list; `+` would keep both.

    Raises:
        UserError: both lists are on the command line, so that the earlier one has no effect.
    """
    for option in LISTS:
        earlier, source = "", ""
        for file, names in _lists(words, option):
            if names in NO_CLASS:
                earlier = earlier if file else ""
                continue
            key = option.rpartition(".")[2]
            both = f"{key}+ in place of {key} in {file}" if file else f"--{option}+={names}"
            if earlier and not source:
                raise UserError(f"--{option} {names}: takes the place of {earlier}; {both} keeps both")
            if earlier:
                yield f"--{option} {names}: takes the place of {earlier} in {source}; {both} keeps both"
            earlier, source = names, file


def carried_over(words: Sequence[str], options: Namespace) -> Iterator[str]:
    """A line for each option that was given to the old class of a part and stays for the new class.

    The parser keeps the options that both classes have. An option with the new class's default gets no line.

    Args:
        words: Of the command line.
        options: Of the command, as parsed.
    """
    for part in PARTS:
        settings = options.get(part)
        if not isinstance(settings, Namespace) or "init_args" not in settings:
            continue
        kind: Any = locate(settings.class_path)
        defaults = {name: parameter.default for name, parameter in parameters(kind).items()}
        for name, owner in _owners(words, part).items():
            value = settings.init_args.get(name)
            if owner not in ("", kind.__name__) and name in defaults and value not in (None, defaults[name]):
                shown = as_given(words, f"{part}.{name}", value)
                yield f"--{part}.{name} {shown}: given to {owner}, stays for {kind.__name__}"


def argument_in(text: str, settings: Namespace) -> tuple[str, Any] | None:
    """The argument of a class that the text of an error names, with its value, if that is not the class's default."""
    values = vars(settings.init_args) if "init_args" in settings else {}
    defaults: Any = parameters(locate(settings.class_path))  # type: ignore[arg-type]
    for word in re.findall(r"\w+", text):
        if word in values and not (word in defaults and values[word] is defaults[word].default):
            return word, values[word]
    return None


def _lists(words: Sequence[str], option: str) -> Iterator[tuple[str, str]]:
    """Each value of an option that takes several classes: its file, empty for the command line, and the class names."""
    for name, value in given_options(words):
        if name == "config":
            listed = _setting(_settings(Path(value).read_text("utf-8")), option)
            entries = listed if isinstance(listed, list) else [listed]
            paths = [
                entry.get("class_path", "") if isinstance(entry, dict) else str(entry) for entry in entries if entry
            ]
            yield value, ", ".join(path.rpartition(".")[2] for path in paths)
        elif name == option:
            yield "", value


def _owners(words: Sequence[str], part: str) -> dict[str, str]:
    """The class that each option of a part was last given to; empty for the default class.

    The files in configs/ fit each other: if one of them changes the class, it takes the options of the others over.
    """
    owners: dict[str, str] = {}
    kind, from_configs = "", list[str]()
    for class_path, names, is_ours in _part_settings(words, part):
        kind = class_path.rpartition(".")[2] or kind
        if is_ours and class_path:
            owners |= dict.fromkeys(from_configs, kind)
        owners |= dict.fromkeys(names, kind)
        from_configs = [*from_configs, *names] if is_ours else [name for name in from_configs if name not in names]
    return owners


def _part_settings(words: Sequence[str], part: str) -> Iterator[tuple[str, list[str], bool]]:
    """The settings of a part by files and options, in their order.

    Yields a class path or "", the names of options, and whether a file in configs/ of this project has them.
    """
    for name, value in given_options(words):
        is_ours = name == "config" and Path(value).resolve().is_relative_to((PROJECT / "configs").resolve())
        if name.startswith(f"{part}.") and name != f"{part}.class_path":
            yield "", [name.removeprefix(f"{part}.")], is_ours
        elif name == "config" or name.startswith(part):
            settings = _settings(Path(value).read_text("utf-8") if name == "config" else value)
            settings = _setting(settings, part) if name == "config" else settings
            if isinstance(settings, dict):
                yield settings.get("class_path", ""), list(settings.get("init_args", ())), is_ours
            elif isinstance(settings, str):
                yield settings, [], is_ours


@lru_cache(16)
def _settings(text: str) -> Any:
    """What a YAML text contains; nobody changes it, and each option asks for it again."""
    return load_yaml(text)


def _setting(settings: Any, option: str) -> Any:
    """The value of a dotted option in the settings of a file; None without one."""
    for key in option.split("."):
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


def _example() -> Path:
    """A config file that is there, also if the current directory is not the project's."""
    example = Path("configs/convnet.yaml")
    return example if example.exists() else PROJECT / example
