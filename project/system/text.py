"""Text for people: names of files and directories, which may have any character, and numbers of things."""

import sys
from collections.abc import Sequence

LISTED = 5  # things that a line names


def printable(text: str) -> str:
    """Text with escapes in place of line breaks, control codes and what the terminal cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return escaped.encode(encoding, errors="backslashreplace").decode(encoding)


def counted(number: int, noun: str) -> str:
    """A number of things: 1 run, 1,000 runs."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def shortened_list(lines: Sequence[str]) -> str:
    """The first lines, LISTED at most, with commas between them, and how many more there are."""
    more = len(lines) - LISTED
    return ", ".join([*lines[:LISTED], *[f"and {more:,} more"] * (more > 0)])
