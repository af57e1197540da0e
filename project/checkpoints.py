"""Checkpoint files: written whole or not at all, and read without running code that they may hold."""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from project.errors import UserError

# What this project needs of a checkpoint: for any use, and to train on from it.
KEYS = {"state_dict": dict, "epoch": int, "global_step": int, "loops": dict}
TRAINING_KEYS = {"optimizer_states": list, "lr_schedulers": list}
LENGTH = 2  # bytes at the end of a zip file that tell the length of its comment, which follows


class CheckpointFiles(CheckpointIO):
    """How Lightning writes and reads every checkpoint of a run."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Never runs code from the file, whatever `weights_only` says."""
        return read(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Write beside `path`, then rename. The file ends with a digest of all that comes before it.

    Raises:
        UserError: the file cannot be written; what was at `path` is still there, and nothing else is.
    """
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    content = buffer.getbuffer()[:-LENGTH]
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.writelines((content, _ending(content)))
            synchronise(file)
        unfinished.replace(path)
        synchronise_folder(path.parent)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UserError(
            f"{path} cannot be written ({error.strerror}); the last good checkpoint stays: make room, then resume"
        ) from None


def read(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """What is in the file. Raises UserError if there is none, it is not whole, or of another project."""
    if not path.is_file():
        raise UserError(f"--ckpt_path {path}: there is no such file; give best, last or a file that exists")
    try:
        check_digest(path)
        checkpoint = torch.load(path, map_location, weights_only=True)
    # torch.load has no exception of its own: what it raises depends on where a file is broken.
    except Exception as error:
        reason = str(error).split("\n")[0][:120]
        raise UserError(f"--ckpt_path {path}: not a whole checkpoint ({reason}); give another, such as best") from None
    whole: dict[str, Any] = checkpoint if isinstance(checkpoint, dict) else {}
    check_keys(path, whole, KEYS)
    return whole


def check_keys(path: Path, checkpoint: Mapping[str, Any], needed: Mapping[str, type]) -> None:
    """Raises UserError where the checkpoint of `path` lacks one of the needed keys, or has another kind of value."""
    for key, kind in needed.items():
        if not isinstance(checkpoint.get(key), kind):
            use = "as each of this project has" if needed is KEYS else "without which no training goes on"
            raise UserError(f"--ckpt_path {path}: it has no {key}, {use}; give best, last or another file")


def synchronise(file: Any) -> None:
    """Bring what was written to an open file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def synchronise_folder(path: Path) -> None:
    """Bring names that were given in a folder to the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _ending(content: bytes | memoryview) -> bytes:
    """The comment of a zip file that holds `content` up to there: its length, then the digest."""
    digest = b"sha256:" + hashlib.sha256(content).hexdigest().encode()
    return len(digest).to_bytes(LENGTH, "little") + digest


def check_digest(path: Path) -> None:
    """Raises ValueError where a file does not have its digest, or, without one, a part of it not its checksum."""
    with zipfile.ZipFile(path) as archive:
        if not archive.comment:  # not written by this project
            if broken := archive.testzip():
                raise ValueError(f"the checksum of {broken} differs")
            return
    content = path.read_bytes()
    size = len(content) - len(_ending(b""))
    if content[size:] != _ending(memoryview(content)[:size]):
        raise ValueError("its digest differs")
