"""Text of files and directories, whose names may have any character."""

import sys


def printable(text: str) -> str:
    """Text with escapes in place of line breaks, control codes and what the terminal cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return escaped.encode(encoding, errors="backslashreplace").decode(encoding)
