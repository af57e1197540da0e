"""The classes that the user has chosen: how they are made, and which option is to blame for their errors."""

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

OWN = Path(__file__).parents[1]
LIBRARIES = [Path(place) for place in (sysconfig.get_path("stdlib"), *torch.__path__, *lightning.__path__)]
GIVEN = ("model.network", "model.loss")  # what torch says there may be of a mistake of this project's
INSTALLED = {"site-packages", "dist-packages"}
LINKED = ("num_classes", "image_shape")  # arguments of the network that come from the data


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


class Instantiator:
    """Makes the classes that the options name, and keeps the line for the first that cannot be made."""

    def __init__(self, options: Namespace, words: Sequence[str]) -> None:
        """Make none yet.

        Args:
            options: Of the command, as parsed.
            words: Of the command line, in which a value is shown as it was given.
        """
        self.options, self.words = options, words
        self.refusal: UserError | None = None
        self.arguments: dict[Any, dict[str, Any]] = {}  # with which each class was made

    def __call__(self, kind: type, *args: Any, **arguments: Any) -> Any:
        """Raises UserError in place of what `kind` raises, but for OSError and classes that no option names."""
        args = tuple(list(one) if isinstance(one, Iterator) else one for one in args)  # to be used more than once
        try:
            instance = kind(*args, **arguments)
            self.arguments[kind] = arguments
            return instance
        except Exception as error:  # of whatever kind, since the class may be the user's own
            option, class_path = option_of(kind, self.options) or ("", "")
            if isinstance(error, OSError) or not (option or str(error).startswith("--")):
                raise
            free = [name for name in arguments if name not in LINKED]
            more = "" if class_path.startswith("project.") else f"--{option}.help {kind.__name__} shows what it takes"
            where = f"{option} {class_path}"
            refusal = self.blame(error, where, partial(kind, *args), arguments, free, more)
            self.refusal = self.refusal or refusal
            raise refusal from error

    def blame(
        self,
        error: Exception,
        part: str,
        make: Callable[..., Any],
        arguments: Mapping[str, Any],
        free: Sequence[str],
        more: str,
    ) -> UserError:
        """What `make` raised for `arguments` in one line, with the option to blame.

        Args:
            error: That was raised.
            part: The option, and the class that was to be made.
            make: Makes it of arguments.
            arguments: With which it raises the error.
            free: Those of them that are the user's.
            more: Where the user finds more.
        """
        said = f"{error!r}" if isinstance(error, LookupError) else str(error) or type(error).__name__
        if said.startswith("--"):
            return UserError(said)
        option, name = part.partition(" ")[0], _to_blame(make, arguments, free)
        if name and more and isinstance(make, type) and (text := argument_text(make, name)):
            more = f"what it takes: {text.removesuffix('.')}"
        if name:
            part = f"{option}.{name} {as_given(self.words, f'{option}.{name}', arguments[name])}"
        said = f"{' '.join(said.split())}{place(error)}"
        return UserError(f"--{part}: {said.removesuffix('.')}; {more}" if more else f"--{part}: {said}")


def _to_blame(make: Callable[..., Any], arguments: Mapping[str, Any], free: Sequence[str]) -> str | None:
    """The one of `free` without which the others do, or which is alone; None where there is no such."""
    for name in free:
        try:
            make(**{other: value for other, value in arguments.items() if other != name})
        except Exception:
            continue
        return name
    return free[0] if len(free) == 1 else None
