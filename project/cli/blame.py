"""Which option is to blame where a class cannot be made with what was given."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from jsonargparse import Namespace

from project.cli.config_files import as_given
from project.cli.own_parts import option_of, place
from project.cli.values import LINKED
from project.system.errors import UserError


class Maker:
    """Makes the classes that the options name, and keeps the line for the first that cannot be made."""

    def __init__(self, options: Namespace, words: Sequence[str]) -> None:
        """Make none yet.

        Args:
            options: Of the command, as parsed.
            words: Of the command line, in which a value is shown as it was given.
        """
        self.options, self.words = options, words
        self.refusal: UserError | None = None

    def __call__(self, kind: type, *args: Any, **arguments: Any) -> Any:
        """Raises UserError in place of what `kind` raises, but for OSError and classes that no option names."""
        args = tuple(list(one) if isinstance(one, Iterator) else one for one in args)  # to be used more than once
        try:
            return kind(*args, **arguments)
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
