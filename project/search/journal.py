"""The journal of a study: Optuna's file, under a lock that ends with its process, and without torn lines."""

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from project.system.errors import UserError
from project.system.files import atomic_write


class KernelLock(JournalFileOpenLock):
    """A lock that the system takes back from a process that ends, however it ends.

    Optuna's own locks are files. A killed process leaves them behind, so others wait 30 seconds, or for ever: the one
    that links to a relative path with a folder is never released. A lock can be taken again by its owner.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self.lock = FileLock(journal.with_name(f".{journal.name}.lock"))

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()


class Journal(JournalFileBackend):
    """Optuna's journal file. Before a line is written, the rest of one that was torn by a crash is cut off."""

    def __init__(self, path: Path) -> None:
        self.path, self.kernel_lock = path, KernelLock(path)
        with self.kernel_lock.lock:
            super().__init__(str(path), self.kernel_lock)
            _drop_damaged_lines(path)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Raises UserError if the journal cannot be written."""
        try:
            with self.kernel_lock.lock:
                _cut_torn_line(self.path)
                super().append_logs(logs)
        except OSError as error:
            problem = f"the study's journal cannot be written ({error.strerror})"
            raise UserError(f"{self.path}: {problem}; mend that, then run the command again") from None


def _cut_torn_line(path: Path) -> None:
    """Cut the file to its last whole line, and say so."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0 or (file.seek(-1, os.SEEK_END), file.read(1))[1] == b"\n":
            return
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
    print(f"{path}: its last line was torn by a crash or a full disk; {size - whole} bytes were cut off", flush=True)


def _drop_damaged_lines(path: Path) -> None:
    """Take out lines that are no JSON, which would stop every reader, and say so."""
    _cut_torn_line(path)
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if _is_whole(line)]
    if len(whole) < len(lines):
        with atomic_write(path, durable=True) as unfinished:
            unfinished.write_bytes(b"".join(whole))
        print(f"{path}: {len(lines) - len(whole)} damaged lines were taken out", flush=True)


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
