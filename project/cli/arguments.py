"""The words of the command line and the YAML files that they name, before the parser reads them."""

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from pydoc import locate
from typing import Any

import yaml
from jsonargparse import Namespace

from project.system.errors import UserError

LISTS = ("trainer.callbacks", "trainer.logger")  # options that take several classes
PLAIN = ("null", "true", "false", "True", "False", "[]")  # what these options take that is no class


def given_options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option of the command line, without dashes and init_args, and its value."""
    split = [part for word in words for part in (word.split("=", 1) if word.startswith("-") else [word])]
    for before, after in pairwise(split):
        if before.startswith("-"):
            name = before.lstrip("-").replace(".init_args", "")
            yield "config" if name == "c" else name, after


def as_given(words: Sequence[str], name: str, value: Any) -> str:
    """The value of an option as the command line has it, else `value`, which came from elsewhere, as YAML writes it."""
    plain = {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    text = dict(given_options(words)).get(name, plain)
    return text if text.strip() and text.isprintable() else repr(text)


@contextmanager
def own_modules(words: Sequence[str]) -> Iterator[None]:
    """Let Python find modules in the current folder and beside the files of --config, after all others."""
    beside = [Path(value).absolute().parent for name, value in given_options(words) if name == "config"]
    folders = [str(folder) for folder in dict.fromkeys([Path.cwd(), *beside]) if str(folder) not in sys.path]
    sys.path.extend(folders)
    try:
        yield
    finally:
        for folder in folders:
            sys.path.remove(folder)


def check_yaml(words: Sequence[str]) -> None:
    """Raises UserError for a --config that is missing or holds no settings, and for what nobody means in YAML."""
    for name, value in given_options(words):
        if name == "config":
            _check_settings(value)
        is_file = value.endswith((".yaml", ".yml")) and Path(value).is_file()
        if not (is_file or value.startswith(("{", "["))):
            continue
        try:
            problem = next(_problems(yaml.compose(Path(value).read_text() if is_file else value)), "")
        except yaml.YAMLError:
            continue  # the parser says what it expects there
        if problem:
            raise UserError(f"--{name} {value}: {problem}")


def replaced(words: Sequence[str]) -> Iterator[str]:
    """A line for each list of classes that takes the place of an earlier one, where `+` would keep both.

    Raises:
        UserError: both are on the command line, where the earlier one would be for nothing.
    """
    for option in LISTS:
        before, origin = "", ""
        for name, value in given_options(words):
            classes, file = value, ""
            if name == "config":
                group, _, key = option.partition(".")
                settings = yaml.safe_load(Path(value).read_text()).get(group)
                classes, file = _class_names(settings.get(key) if isinstance(settings, dict) else None), value
            elif name != option:
                continue
            if classes in ("", *PLAIN):
                before = "" if name == option else before
                continue
            both = f"{key}+ in place of {key} in {file}" if file else f"--{option}+={classes}"
            if before and not origin:
                raise UserError(f"--{option} {classes}: takes the place of {before}; {both} keeps both")
            if before:
                yield f"--{option} {classes}: takes the place of {before} in {origin}; {both} keeps both"
            before, origin = classes, file


def _class_names(setting: Any) -> str:
    """The classes that a file lists, without their modules."""
    listed = setting if isinstance(setting, list) else [setting]
    paths = [one.get("class_path", "") if isinstance(one, dict) else str(one) for one in listed if one]
    return ", ".join(path.rpartition(".")[2] for path in paths)


def _check_settings(path: str) -> None:
    try:
        settings = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror}; give a file such as configs/convnet.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(settings, dict):
        raise UserError(f"--config {path}: holds no settings; see configs/convnet.yaml for what it should look like")


def _problems(node: yaml.Node | None) -> Iterator[str]:
    """A key that stands twice, of which the last would win, and one that has swallowed its value."""
    lines: dict[str, int] = {}
    for part in node.value if isinstance(node, yaml.CollectionNode) else ():
        for inner in part if isinstance(part, tuple) else [part]:
            yield from _problems(inner)
        if not isinstance(part, tuple) or not isinstance(part[0], yaml.ScalarNode):
            continue
        key, value = part
        line = key.start_mark.line + 1
        if key.value in lines:
            yield f"{key.value} stands twice, in lines {lines[key.value]} and {line}; leave one out"
        if ":" in key.value and value.value == "" and value.start_mark.index == key.end_mark.index:
            before, _, after = key.value.partition(":")
            yield f"{key.value} in line {line} needs a space after its colon, as in {{{before}: {after}}}"
        lines[key.value] = line


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


def argument_in(text: str, settings: Namespace) -> tuple[str, Any] | None:
    """The argument of a class that the text of an error names, with its value, if that is not the class's default."""
    values = vars(settings.init_args) if "init_args" in settings else {}
    parameters = inspect.signature(locate(settings.class_path)).parameters  # type: ignore[arg-type]
    for word in re.findall(r"\w+", text):
        if word in values and not (word in parameters and values[word] is parameters[word].default):
            return word, values[word]
    return None


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
