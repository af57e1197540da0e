"""Errors of a user's own parts: a network, a loss, a callback in a module outside of this project."""

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

OWN = Path(__file__).parents[1]
LIBRARIES = [Path(place) for place in (sysconfig.get_path("stdlib"), *torch.__path__, *lightning.__path__)]
INSTALLED = {"site-packages", "dist-packages"}


def describe_failure(error: Exception, options: Any) -> str:
    """One line for an error raised by a user's own part, with the option that names it; empty for any other.

    Args:
        options: Of the command; None before they are known.
    """
    frames = [frame for frame, _ in _own_frames(error)]
    return f"{_part(frames, options)}: {message(error)}{place(error)}" if frames else ""


def message(error: Exception) -> str:
    """What the error says, in one line."""
    said = " ".join(str(error).split())
    if said and isinstance(error, (RuntimeError, ValueError)):
        return said
    return f"{type(error).__name__} {said}".strip()  # a KeyError says the key alone


def place(error: Exception) -> str:
    """The file and the line of a user's own module that raised `error`, in brackets; empty where there is none."""
    frames = _own_frames(error)
    return f" ({Path(frames[-1][0].f_code.co_filename).name}, line {frames[-1][1]})" if frames else ""


def _own_frames(error: Exception) -> list[tuple[FrameType, int]]:
    """The user's frames, with their lines, that this project's code called; none where its own code raised `error`."""
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not _is_library(_file(frame))]
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


def _part(frames: list[FrameType], options: Any) -> str:
    """The option and the class of the first frame that runs a method of a part, else the function that raised."""
    for frame in frames:
        if found := option_of(type(frame.f_locals.get("self")), options):
            return "--{} {}".format(*found)
    return frames[-1].f_code.co_qualname


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
