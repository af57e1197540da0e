"""The classes that the user has chosen: how they are made, and which option causes an error of theirs."""

import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException

from project.cli.arguments import as_given
from project.cli.docstrings import argument_text
from project.system.errors import UserError

PROJECT = Path(__file__).parents[1]
LIBRARIES = [Path(place) for place in (sysconfig.get_path("stdlib"), *torch.__path__, *lightning.__path__)]
SITE_PACKAGES = {"site-packages", "dist-packages"}
LINKED = ("num_classes", "image_shape")  # arguments of the network that come from the data
# For these options torch's errors may come from a mistake of this project.
DOUBTFUL = ("model.network", "model.loss")


class Instantiator:
    """Makes the classes that the options name, and keeps the line for the first class that cannot be made."""

    def __init__(self, options: Namespace, words: Sequence[str]) -> None:
        """Make none yet.

        Args:
            options: Of the command, as parsed.
            words: Of the command line; error lines show values as they are there.
        """
        self.options, self.words = options, words
        self.refusal: UserError | None = None
        self.linked: dict[Any, dict[str, Any]] = {}  # the arguments from the data, for each class that takes them

    def __call__(self, kind: type, *args: Any, **arguments: Any) -> Any:
        """Raises UserError for any error of `kind`, but for OSError and for classes that no option names."""
        args = tuple(list(value) if isinstance(value, Iterator) else value for value in args)  # to be used again
        try:
            self.linked[kind] = {name: arguments[name] for name in LINKED if name in arguments}
            return kind(*args, **arguments)
        except Exception as error:  # of any class, since `kind` may be the user's own
            option, class_path = option_of(kind, self.options) or ("", "")
            if isinstance(error, OSError) or not (option or str(error).startswith("--")):
                raise
            free = [name for name in arguments if name not in LINKED]
            hint = (
                ""
                if class_path.startswith("project.")
                else f"--{option}.help {_shown(kind, class_path)} shows what it takes"
            )
            part = f"{option} {class_path}"
            refusal = self.blame(error, part, partial(kind, *args), arguments, free, hint)
            self.refusal = self.refusal or refusal
            raise refusal from error

    def blame(
        self,
        error: Exception,
        part: str,
        make: Callable[..., Any],
        arguments: Mapping[str, Any],
        free: Sequence[str],
        hint: str,
    ) -> UserError:
        """The error of `make` in one line that names the option.

        Args:
            error: The error that `make` raised.
            part: The option and the class that was to be made.
            make: Makes the class from arguments.
            arguments: The arguments with which `make` raises the error.
            free: Names of those arguments that the user can change.
            hint: What the user can read next.
        """
        text = f"{error!r}" if isinstance(error, LookupError) else str(error) or type(error).__name__
        if text.startswith("--"):
            return UserError(text)
        option, name = part.partition(" ")[0], _to_blame(make, arguments, free)
        if name:
            part = f"{option}.{name} {as_given(self.words, f'{option}.{name}', arguments[name])}"
            if hint and isinstance(make, type) and (description := argument_text(make, name)):
                hint = f"what it takes: {description.removesuffix('.')}"
        text = f"{' '.join(text.split())}{place(error)}"
        return UserError(f"--{part}: {text.removesuffix('.')}; {hint}" if hint else f"--{part}: {text}")


def describe_failure(error: Exception, options: Any) -> str:
    """One line, with the option, for an error that was raised by a part of the user's; empty for any other error.

    A part is code of the user's own, or an optimizer, a schedule or a callback of a library that an option names.

    Args:
        options: Of the command; None before they are known.
    """
    frames, user_frames = _called_frames(error), _user_frames(error)
    named = [option for frame, _ in frames if (option := option_of(type(frame.f_locals.get("self")), options))]
    if not user_frames:
        named = [(name, path) for name, path in named if not path.startswith("project.") and name not in DOUBTFUL]
    if not user_frames and not named:
        return ""
    part = "--{} {}".format(*named[0]) if named else user_frames[-1][0].f_code.co_qualname
    return f"{part}: {message(error)}{place(error) or _in_brackets(*frames[-1])}"


def message(error: Exception) -> str:
    """The text of an error in one line, with the error's class where the text alone says too little."""
    text = " ".join(str(error).split())
    if text and isinstance(error, RuntimeError | ValueError | MisconfigurationException):
        return text
    return f"{type(error).__name__} {text}".strip()  # a KeyError says the key alone


def place(error: Exception) -> str:
    """The file and the line of a user's own module that raised `error`, in brackets; empty without one."""
    frames = _user_frames(error)
    return _in_brackets(*frames[-1]) if frames else ""


def option_of(kind: type, options: Any) -> tuple[str, str] | None:
    """The option that names the class, and the class path there; None if no option does."""
    for option, settings in class_settings(options):
        module, _, name = settings.class_path.rpartition(".")
        if getattr(sys.modules.get(module), name, None) is kind:
            return option, settings.class_path
    return None


def class_settings(options: Any, name: str = "") -> Iterator[tuple[str, Namespace]]:
    """Each option that names a class, with the class path and the arguments of the class."""
    if isinstance(options, list):
        for entry in options:
            yield from class_settings(entry, name)
    elif isinstance(options, Namespace):
        if isinstance(options.get("class_path"), str):
            yield name, options
        for key, value in vars(options).items():
            is_same = key == "init_args" or name.endswith(f".{key}")  # transforms in a container of transforms
            yield from class_settings(value, name if is_same else f"{name}.{key}".lstrip("."))


def _in_brackets(frame: FrameType, line: int) -> str:
    return f" ({_file(frame).name}, line {line})"


def _user_frames(error: Exception) -> list[tuple[FrameType, int]]:
    return [(frame, line) for frame, line in _called_frames(error) if not _is_library(_file(frame))]


def _called_frames(error: Exception) -> list[tuple[FrameType, int]]:
    """The frames of the traceback, with their lines, that come after this project's last frame."""
    frames = list(traceback.walk_tb(error.__traceback__))
    project_frames = [index for index, (frame, _) in enumerate(frames) if PROJECT in _file(frame).parents]
    return frames[project_frames[-1] + 1 :] if project_frames else []


def _file(frame: FrameType) -> Path:
    return Path(frame.f_code.co_filename)


def _is_library(file: Path) -> bool:
    is_installed = SITE_PACKAGES & set(file.parts) or any(library in file.parents for library in LIBRARIES)
    return bool(is_installed or file.name.startswith("<"))


def _to_blame(make: Callable[..., Any], arguments: Mapping[str, Any], free: Sequence[str]) -> str | None:
    """The first of `free` without which `make` works, or the only one; None if there is none."""
    for name in free:
        try:
            make(**{other: value for other, value in arguments.items() if other != name})
        except Exception:
            continue
        return name
    return free[0] if len(free) == 1 else None


def _shown(kind: type, class_path: str) -> str:
    """How the command line names a class: a class of torch or Lightning without its module."""
    return kind.__name__ if class_path.startswith(("torch.", "lightning.")) else class_path
