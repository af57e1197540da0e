"""Which image files a user means by a list of files and folders."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from project.data.folders import walk
from project.system.errors import UserError


def image_paths(paths: Sequence[str], leave_out: Path | None = None) -> Iterator[str]:
    """Yield each file as it is named, and each file below each folder, as the folder's path and the path in it.

    The order is that of `paths`, and sorted in a folder. A file that is named twice comes twice. In folders, hidden
    files and those of the operating system are left out.

    Args:
        paths: Files and folders.
        leave_out: A file that is no image although it may be in one of the folders, such as the output.

    Raises:
        UserError: there is no such file or folder, or a folder cannot be read.
    """
    absent = leave_out and os.path.abspath(leave_out)
    for path in paths:
        if os.path.isdir(path):
            names = (os.path.join(path, name) for name in walk(path, _refuse))
            yield from (name for name in names if not absent or os.path.abspath(name) != absent)
        elif os.path.exists(path):
            yield path
        else:
            raise UserError(f"--images {path}: there is no such file or folder; give image files, or folders of them")


def _refuse(error: OSError) -> NoReturn:
    raise UserError(f"--images {error.filename}: this folder cannot be read ({error.strerror})")
