"""The settings and the environment of many runs, read fast, and those in which the runs differ."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from project.runs import directories
from project.runs.seeds import FREE
from project.runs.settings import ClassPath, class_name, exact, flatten
from project.system.yaml_text import load_yaml

Settings = Mapping[str, Any]
"""Numbers, truth values and text by names as on the command line, from project.runs.settings.flatten."""

SEED = "seed_everything"
# Options that change no figure.
WITHOUT_EFFECT = {
    "checkpoints.every_n_minutes",
    "checkpoints.every_n_steps",
    "checkpoints.keep",
    "data.workers",
    "data.in_memory",
    "pictures",
    "threads",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
}
IN_USE = ("precision", "data.sha256")  # of the environment: what two runs of the same options may compute differently
OF_THE_RUN = ("experiment", "job")  # in environment.yaml, but not of the environment


def read_settings(run: Path) -> dict[str, Any]:
    """The options of a run's last start, flat, with `resumed` where an earlier start had other options.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file has no settings.
        yaml.YAMLError: a file is no YAML.
    """
    files = directories.config_files(run) or [run / directories.CONFIG]
    *earlier, settings = (_read(file) for file in files)
    before = [_changes(other, settings) for other in earlier if pooled_by(other) != pooled_by(settings)]
    return {**settings, "resumed": "; ".join(before)} if before else settings


def read_environment(run: Path) -> dict[str, Any]:
    """The environment of a run's last start, flat; empty where it is not known."""
    number = len(directories.config_files(run))
    name = directories.ENVIRONMENT.replace(".", f"-{number}.") if number > 1 else directories.ENVIRONMENT
    file = run / name
    environment = _read(file) if file.exists() else {}
    return {name: value for name, value in environment.items() if name not in OF_THE_RUN}


def with_short_classes(many: Sequence[Settings]) -> list[Settings]:
    """The settings, in which a class has its name alone if no other class of `many` has that name."""
    values = (value for settings in many for value in settings.values() if isinstance(value, ClassPath))
    paths = {path for value in values for path in value.parts}
    counts = Counter(map(class_name, paths))
    short = {path: class_name(path) if counts[class_name(path)] == 1 else path for path in paths}
    return [{name: _shown(value, short) for name, value in settings.items()} for settings in many]


def _shown(value: Any, short: Mapping[str, str]) -> Any:
    if not isinstance(value, ClassPath):
        return value
    return ClassPath(value.path, ", ".join(short[path] for path in value.parts))


def pooled_by(settings: Settings) -> frozenset[tuple[str, Any]]:
    """What is equal in two runs that differ by seed alone."""
    return frozenset((name, exact(value)) for name, value in settings.items() if name not in FREE | WITHOUT_EFFECT)


def differing(many: Iterable[Settings]) -> list[str]:
    """The names of all settings that are not the same in all of `many`."""
    every = list(many)
    names = dict.fromkeys(name for settings in every for name in settings)
    return [name for name in names if len({exact(settings.get(name)) for settings in every}) > 1]


def telling(many: Iterable[Settings]) -> list[str]:
    """The names of the settings that tell runs apart, without those that follow from another one.

    If the optimizers of two runs differ, so do all options that only one of them has. Such an option is worth a column
    only if it has several values.
    """
    every = list({pooled_by(settings): settings for settings in many}.values())
    return [name for name in differing(every) if _tells(name, every) and name not in FREE | WITHOUT_EFFECT]


def _tells(name: str, many: list[Settings]) -> bool:
    if len({exact(settings[name]) for settings in many if name in settings}) > 1:
        return True
    kinds: dict[Any, set[bool]] = {}
    for settings in many:
        kinds.setdefault(exact(_enclosing(name, settings)), set()).add(name in settings)
    return any(len(has) > 1 for has in kinds.values())


def _enclosing(name: str, settings: Settings) -> Any:
    """The class that the option belongs to."""
    while name := name.rpartition(".")[0]:
        if name in settings:
            return settings[name]
    return None


def _changes(old: Settings, new: Settings) -> str:
    names = [name for name in differing([old, new]) if name not in FREE | WITHOUT_EFFECT]
    return ", ".join(f"{name} {old.get(name)} -> {new.get(name)}" for name in names)


def _read(file: Path) -> dict[str, Any]:
    """The flat content of a YAML file.

    Top-level keys are parsed one by one, and equal ones once: 200 runs have few different `trainer` sections.
    """
    text = file.read_text(encoding="utf-8")
    try:
        flat = {name: value for part in re.split(r"(?m)^(?=[^\s#-])", text) for name, value in _section(part).items()}
    except (ValueError, yaml.YAMLError):  # such as a reference from one section to another
        flat = _flat(load_yaml(text))
    if not flat:
        raise ValueError("it has no settings")
    return flat


@cache
def _section(text: str) -> dict[str, Any]:
    content = load_yaml(text)
    if content is None:
        return {}
    if not isinstance(content, dict) or len(content) > 1:
        raise ValueError("no section")
    return _flat(content)


def _flat(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError("it has no settings")
    return flatten(content)
