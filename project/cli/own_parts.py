"""Errors of the parts that a user chose: a network or a loss of one's own, an optimizer or a callback of a library."""

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException

OWN = Path(__file__).parents[1]
LIBRARIES = [Path(place) for place in (sysconfig.get_path("stdlib"), *torch.__path__, *lightning.__path__)]
GIVEN = ("model.network", "model.loss")  # what torch says there may be of a mistake of this project's
INSTALLED = {"site-packages", "dist-packages"}


def describe_failure(error: Exception, options: Any) -> str:
    """One line for an error raised by a part of the user's, with the option that names it; empty for any other.

    That is code of the user's own, or an optimizer, a schedule or a callback of a library that an option names.

    Args:
        options: Of the command; None before they are known.
    """
    called = _called_frames(error)
    own = [frame for frame, _ in _own_frames(error)]
    named = [found for frame, _ in called if (found := option_of(type(frame.f_locals.get("self")), options))]
    if not own:
        named = [(option, path) for option, path in named if not path.startswith("project.") and option not in GIVEN]
    if not own and not named:
        return ""
    where = place(error) or _in_brackets(*called[-1])
    return f"{'--{} {}'.format(*named[0]) if named else own[-1].f_code.co_qualname}: {message(error)}{where}"


def message(error: Exception) -> str:
    """What the error says, in one line."""
    said = " ".join(str(error).split())
    if said and isinstance(error, RuntimeError | ValueError | MisconfigurationException):
        return said
    return f"{type(error).__name__} {said}".strip()  # a KeyError says the key alone


def place(error: Exception) -> str:
    """The file and the line of a user's own module that raised `error`, in brackets; empty where there is none."""
    frames = _own_frames(error)
    return _in_brackets(*frames[-1]) if frames else ""


def _in_brackets(frame: FrameType, line: int) -> str:
    return f" ({_file(frame).name}, line {line})"


def _own_frames(error: Exception) -> list[tuple[FrameType, int]]:
    return [(frame, line) for frame, line in _called_frames(error) if not _is_library(_file(frame))]


def _called_frames(error: Exception) -> list[tuple[FrameType, int]]:
    """The frames, with their lines, of what this project's code called and `error` was raised in."""
    frames = list(traceback.walk_tb(error.__traceback__))
    ours = [number for number, (frame, _) in enumerate(frames) if OWN in _file(frame).parents]
    return frames[ours[-1] + 1 :] if ours else []


def _file(frame: FrameType) -> Path:
    return Path(frame.f_code.co_filename)


def _is_library(file: Path) -> bool:
    return (
        file.name.startswith("<")
        or bool(INSTALLED & set(file.parts))
        or any(library in file.parents for library in LIBRARIES)
    )


def option_of(kind: type, options: Any) -> tuple[str, str] | None:
    """The option that names the class, and the class path there; None where none does."""
    for option, settings in class_settings(options):
        module, _, name = settings.class_path.rpartition(".")
        if getattr(sys.modules.get(module), name, None) is kind:
            return option, settings.class_path
    return None


def class_settings(options: Any, name: str = "") -> Iterator[tuple[str, Namespace]]:
    """Each option that names a class, with the class path and what the class is made with."""
    if isinstance(options, list):
        for one in options:
            yield from class_settings(one, name)
    elif isinstance(options, Namespace):
        if isinstance(options.get("class_path"), str):
            yield name, options
        for key, value in vars(options).items():
            yield from class_settings(value, name if key == "init_args" else f"{name}.{key}".lstrip("."))
