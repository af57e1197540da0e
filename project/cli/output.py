"""The options --output and --force, which every command that writes a file or a directory has."""

import os
from collections.abc import Collection
from pathlib import Path

from jsonargparse import ArgumentParser

from project.system.errors import UserError
from project.system.files import check_writable, output_errors


def add_output_options(parser: ArgumentParser, text: str) -> None:
    """Add both.

    Args:
        parser: Of the command.
        text: What --output names.
    """
    parser.add_argument("--output", type=str, metavar="PATH", help=text)
    parser.add_argument("--force", action="store_true", help="Replace an output that exists.")


def check_output_file(path: Path, force: bool, endings: Collection[str]) -> None:
    """As `check_output`, for a file whose name has one of the `endings`. Raises UserError."""
    if path.suffix not in endings:
        raise UserError(f"--output {path}: give a name that ends in {' or '.join(endings)}")
    if os.path.isdir(path):  # unlike Path.is_dir, this takes a name that is too long
        raise UserError(f"--output {path}: it is a directory; name a file")
    check_output(path, force)


def check_output(path: Path, force: bool, option: str = "--output") -> None:
    """Check before anything slow that `path`, the value of `option`, can be written.

    Raises:
        UserError: it exists and may not be replaced, or it cannot be written.
    """
    if os.path.lexists(path) and not force:
        raise UserError(f"{option} {path}: it exists; name another, or replace it by --force")
    if not os.path.isdir(path.parent):  # unlike Path.is_dir, this takes a name that is too long
        raise UserError(f"{option} {path}: there is no directory {path.parent}; make it, or name another")
    with output_errors(path, option):
        check_writable(path)
