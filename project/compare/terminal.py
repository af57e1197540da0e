"""The comparison on the terminal, and as plain lines of any width in a file or a pipe."""

import re
import sys
from collections.abc import Sequence

from project.compare.comparison import Comparison
from project.compare.notes import notes
from project.compare.table import Table, answer_table, difference_table, group_table
from project.system.text import printable


def print_comparison(comparison: Comparison) -> None:
    """Print the table of groups, the differences from the baseline, and what else a reader should know."""
    _print(group_table(comparison))
    for table in (difference_table(comparison), answer_table(comparison)):
        if table:
            print("", f"{printable(table.title)}:", "", sep="\n")
            _print(table)
    if lines := list(notes(comparison)):
        print("", *map(printable, lines), sep="\n")
    sys.stdout.flush()


def _print(table: Table) -> None:
    if sys.stdout.isatty():
        _print_to_terminal(table)
        return
    rows, widths = _texts(table), _widths(table, list(table.names))
    for row in rows:
        cells = zip(row, widths, table.is_number, strict=True)
        print("  ".join(f"{text:{'>' if right else '<'}{width}}" for text, width, right in cells).rstrip())


def _print_to_terminal(table: Table) -> None:
    from rich.console import Console  # takes a twentieth of a second to import
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    shown, headers = _narrowed(table, console.width)
    rich_table = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header, is_number in zip(headers, shown.is_number, strict=True):
        rich_table.add_column(Text(header), justify="right" if is_number else "left", overflow="fold")
    for row in _texts(shown)[1:]:
        rich_table.add_row(*map(Text, row))
    console.print(rich_table)
    if left_out := [name for name in table.names if name not in shown.names]:
        print("", f"too wide for this terminal: {', '.join(left_out)}; --csv, --html or a pipe has them", sep="\n")


def _narrowed(table: Table, width: int) -> tuple[Table, list[str]]:
    """The columns for which there is room, and their headers.

    Long names are wider than their values. So where there is too little room, they have a line for each of their parts.
    """
    headers = list(table.names)
    while sum(_widths(table, headers)) + 2 * len(headers) > width:
        headers = [re.sub(r"(?<=[./_])(?=.)", "\n", name) for name in table.names]
        optional = [name for name in table.names if name in table.optional]
        if sum(_widths(table, headers)) + 2 * len(headers) <= width or not optional:
            break
        table = table.only([name != optional[-1] for name in table.names])
        headers = list(table.names)
    return table, headers


def _widths(table: Table, headers: Sequence[str]) -> list[int]:
    rows = [headers, *_texts(table)[1:]]
    return [max(len(line) for row in rows for line in row[place].split("\n")) for place in range(len(headers))]


def _texts(table: Table) -> list[list[str]]:
    """The names and the rows, as they can be printed."""
    return [[printable(name) for name in table.names], *([printable(cell.text) for cell in row] for row in table.rows)]
