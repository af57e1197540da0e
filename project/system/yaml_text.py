"""YAML, read by libyaml where PyYAML has it: ten times as fast as in Python."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from project.system.errors import UserError

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """The content of a text, of plain types only. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=Loader)


def key_problem(text: str) -> str:
    """A key that stands twice in a YAML text, or that contains its value; empty if there is none.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    return next(_key_problems(yaml.compose(text, Loader)), "")


def read_settings_file(path: Path, option: str, example: str) -> dict[str, Any]:
    """The settings in a YAML file.

    Args:
        path: The file.
        option: The option that names it, for an error line.
        example: A file that is right.

    Raises:
        UserError: the file cannot be read, or has no settings, or a key stands twice.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
        settings, problem = load_yaml(text), key_problem(text)
    except OSError as error:
        raise UserError(f"{option} {path}: {error.strerror}; give a file such as {example}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{option} {path}: line {line} is not UTF-8; save the file in this encoding") from None
    except yaml.YAMLError as error:
        raise UserError(f"{option} {path}: not YAML ({_yaml_problem(error, text)})") from None
    if not isinstance(settings, dict):
        raise UserError(f"{option} {path}: holds no settings; see {example} for what it should look like")
    if problem:
        raise UserError(f"{option} {path}: {problem}")
    return settings


def _yaml_problem(error: yaml.YAMLError, text: str) -> str:
    """What is wrong with a text, for a person. YAML's own message does not name a tab."""
    mark = getattr(error, "problem_mark", None)
    lines = text.split("\n")
    if mark and "\t" in lines[min(mark.line, len(lines) - 1)]:
        return f"line {mark.line + 1} has a tab; put spaces in its place"
    return " ".join(str(error).split())


def _key_problems(node: yaml.Node | None) -> Iterator[str]:
    """A key that stands twice, of which the last would win, and a key that contains its value."""
    lines: dict[str, int] = {}
    for part in node.value if isinstance(node, yaml.CollectionNode) else ():
        for inner in part if isinstance(part, tuple) else [part]:
            yield from _key_problems(inner)
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
