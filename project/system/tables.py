"""CSV files from which a program reads back every name exactly, and of which a spreadsheet computes nothing.

A spreadsheet computes a cell as a formula if its first visible character is one of = + - @. Two rules prevent that:

- A path with such a beginning gets ./ in front of it. This path means the same file, so nothing has to be undone.
- Any other text gets an apostrophe in front of it, and so does a text that begins with an apostrophe. `read_text`
  takes it away.

All text is in quotes, and quotes in it are doubled (RFC 4180), so commas and line breaks are part of the text. The file
is UTF-8. Bytes of a file name that are not UTF-8 are in it as they are: open it with errors="surrogateescape".
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"  # the last four are the wide forms of the first four


def open_text(path: Path) -> TextIO:
    """Open a new file whose text may have bytes of file names that are not UTF-8."""
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


class TableWriter:
    """Writes the rows of a CSV file."""

    def __init__(self, file: TextIO, header: Iterable[str]) -> None:
        """Write the header.

        Args:
            file: From `open_text`.
            header: The names of the columns.
        """
        self._writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        self.write(header)

    def write(self, row: Iterable[str | float]) -> None:
        """Write numbers as they are, and text as this module says. Give paths as `path_text`."""
        self._writer.writerow([_cell(value) for value in row])


def path_text(path: str) -> str:
    """A path that means the same file and is no formula."""
    return f"./{path}" if _is_formula(path) else path


def read_text(cell: str) -> str:
    """The text, other than a path, that a cell stands for."""
    return cell.removeprefix("'")


def _cell(value: str | float) -> str | float:
    return f"'{value}" if isinstance(value, str) and (_is_formula(value) or value.startswith("'")) else value


def _is_formula(text: str) -> bool:
    visible = (character for character in text if character.isprintable() and not character.isspace())
    return next(visible, " ") in FORMULA
