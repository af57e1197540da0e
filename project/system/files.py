"""Files that are written whole: a reader finds all of the new file, or the file that was there before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_write(path: Path, several_writers: bool = False, durable: bool = False) -> Iterator[Path]:
    """Give a path in the same folder to write to; at the end of the block the file there takes the place of `path`.

    If the block raises an exception, the unfinished file is deleted and `path` is unchanged.

    Args:
        path: The file to write or to replace. Its folder exists.
        several_writers: Other processes may write the same file at the same time; each then has an unfinished file
            of its own. Otherwise the next writer overwrites what a killed one has left.
        durable: Wait until the disk has the file and its name, so that a power cut cannot undo it.

    Raises:
        OSError: the file cannot be written.
    """
    writer = f".{os.getpid()}" if several_writers else ""
    unfinished = path.with_name(f".{path.name}{writer}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        yield unfinished
        if durable:
            synchronise(unfinished)
        unfinished.replace(path)
        if durable:
            synchronise(path.parent)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def synchronise(path: Path) -> None:
    """Wait until the disk has the content of a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
