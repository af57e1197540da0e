"""The progress of a command that goes through many files."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

SECONDS = 10  # between two lines in a log
FEW = 256  # files, which are done before anybody looks

Item = TypeVar("Item")


def report_progress(items: Iterable[Item], count: int) -> Iterator[Item]:
    """Yield the items, and show on stderr how many are done: as a bar on a terminal, as lines in a log.

    Args:
        items: One for each file.
        count: Number of items. Up to FEW of them, nothing is shown.
    """
    if count <= FEW:
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, count)
    else:
        yield from _lines(items, count)


def _bar(items: Iterable[Item], count: int) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    # What is printed to another place, such as a file, must not come to the bar's terminal.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty(), transient=True) as bar:
        yield from bar.track(items, total=count, description="")


def _lines(items: Iterable[Item], count: int) -> Iterator[Item]:
    printed = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - printed > SECONDS:
            print(f"{done:,} of {count:,} files", file=sys.stderr, flush=True)
            printed = time.monotonic()
