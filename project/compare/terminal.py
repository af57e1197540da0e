"""The comparison on the terminal, and as plain lines of any width in a file or a pipe."""

import sys
from collections.abc import Iterator, Sequence

from project.compare.comparison import Comparison
from project.compare.settings import differing
from project.compare.table import Table, difference_table, group_table
from project.system.text import printable


def print_comparison(comparison: Comparison) -> None:
    """Print the table of groups, the differences from the baseline, and what else a reader should know."""
    _print(group_table(comparison))
    differences = difference_table(comparison)
    if differences and comparison.baseline:
        print(
            "", f"{comparison.main} compared with {printable(comparison.baseline.label)}, seed by seed:", "", sep="\n"
        )
        _print(differences)
    if notes := list(_notes(comparison)):
        print("", *notes, sep="\n")
    sys.stdout.flush()


def _print(table: Table) -> None:
    rows = [[printable(name) for name in table.names]]
    rows += [[printable(cell.text) for cell in row] for row in table.rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.names))]
    if sys.stdout.isatty():
        _print_rich(table, rows, sum(widths) + 2 * len(widths))
        return
    for row in rows:
        cells = zip(row, widths, table.is_number, strict=True)
        print("  ".join(f"{text:{'>' if right else '<'}{width}}" for text, width, right in cells).rstrip())


def _print_rich(table: Table, rows: Sequence[Sequence[str]], width: int) -> None:
    from rich.console import Console  # takes a twentieth of a second to import
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, is_number in zip(rows[0], table.is_number, strict=True):
        # A long name is wider than its values: where the table is too wide, it has a line for each of its parts.
        header = name.replace(".", "\n.").replace("/", "\n/") if width > console.width else name
        shown.add_column(Text(header), justify="right" if is_number else "left", overflow="fold")
    for row in rows[1:]:
        shown.add_row(*map(Text, row))
    console.print(shown)


def _notes(comparison: Comparison) -> Iterator[str]:
    for group in comparison.groups:
        if group.repeated:
            labels = printable(", ".join(run.label for run in group.repeated))
            yield f"{labels}: left out of the means, since {printable(group.label)} has the same settings and seeds"
        if isinstance(group.answers, str) and len(group.runs) > 1:
            yield f"{printable(group.label)}: no ensemble, since {printable(group.answers)}"
    if comparison.left_out:
        broken = sum(1 for run in comparison.left_out if run.problem)
        yield f"left out by --where: {len(comparison.left_out)} runs" + (f", {broken} of them broken" if broken else "")
    if names := differing(run.environment for run in comparison.runs if run.environment):
        yield f"the runs also differ in their environment.yaml: {', '.join(map(printable, names))}"
