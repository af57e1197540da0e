"""Files that are written whole: a reader finds all of the new file, or the file that was there before."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from project.system.errors import UserError

# Errors of disks that a person can mend: no space, quota, file size, permission, a read-only or broken disk.
FULL_OR_CLOSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


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
    unfinished = _unfinished(path, f".{os.getpid()}" if several_writers else "")
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


@contextmanager
def output_errors(path: Path, option: str = "--output") -> Iterator[None]:
    """Raise UserError, which names the option, where the block cannot write to `path`."""
    try:
        yield
    except BrokenPipeError:  # of the terminal
        raise
    except OSError as error:
        problem = error.strerror or str(error)
        raise UserError(f"{option} {path}: it cannot be written ({problem}); mend that, or name another") from None


def check_writable(path: Path) -> None:
    """Raises OSError where no file of this name can be made. What is at `path` stays."""
    unfinished = _unfinished(path)
    unfinished.touch()
    unfinished.unlink()


def synchronise(path: Path) -> None:
    """Wait until the disk has the content of a file, or the names in a folder."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folder, and NTFS keeps a journal of its names
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes only what it may write
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unfinished(path: Path, writer: str = "") -> Path:
    return path.parent / f".{path.name}{writer}.unfinished"  # path may be a directory without a name, as . is
