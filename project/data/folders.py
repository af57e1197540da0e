"""The files of a folder of images, without those that the operating system puts there."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

SYSTEM_FILES = {"Thumbs.db", "desktop.ini"}


def walk(root: str | Path, onerror: Callable[[OSError], object] | None = None) -> Iterator[str]:
    """Yield the path in `root` of each file below it, sorted in each folder; the files of a folder come first.

    Hidden files and folders, Thumbs.db and desktop.ini are left out. Links to folders are followed.

    Args:
        root: The folder.
        onerror: Gets the error of a folder that cannot be read; None leaves that folder out.
    """
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=onerror):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        inside = os.path.relpath(folder, root)
        prefix = Path(inside).as_posix()
        for name in sorted(files):
            if not (name.startswith(".") or name in SYSTEM_FILES):
                yield name if inside == "." else f"{prefix}/{name}"
