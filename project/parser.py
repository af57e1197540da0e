"""The command line's parser."""

import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from jsonargparse.typing import register_type
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.cli import LightningArgumentParser
from torch import Tensor

from project.messages import explain


def _to_tensor(numbers: Any) -> Tensor:
    """float32, as the weights of a loss are, also of whole numbers."""
    try:
        tensor = torch.tensor(numbers, dtype=torch.float32)
        if tensor.ndim and tensor.isfinite().all():
            return tensor
    except (ValueError, TypeError, RuntimeError):
        pass
    raise ValueError("Expected a Tensor")  # in the parser's words


def _to_numbers(tensor: Tensor) -> Any:
    """The shortest decimal numbers that are these: 0.1, not 0.10000000149011612."""
    return tensor.numpy().astype(str).astype(float).tolist()


register_type(Tensor, _to_numbers, _to_tensor)  # an argument of any class that is a Tensor is given as a list


class Parser(LightningArgumentParser):
    """Says what is wrong in one line, and knows no abbreviations: a misspelt option is never taken for another."""

    words: Sequence[str] = ()  # of the command line

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, allow_abbrev=False)

    def format_help(self, *args: Any) -> str:
        """Without the hundreds of classes that torch knows as modules."""
        return re.sub(r",\s+known\s+subclasses:[^()]{1500,}\)", ")", super().format_help(*args))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a class's own parser, whose message becomes part of a longer one
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        fail(explain(message, [action.dest for action in parser._actions], parser.words))


def fail(line: str) -> NoReturn:
    """End the command by its one `error:` line, which the first process prints."""
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        print("error:", " ".join(line.splitlines()), file=sys.stderr)
    sys.exit(2)
