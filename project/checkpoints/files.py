"""Checkpoint files: written whole or not at all, and read without running code that they may hold."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from project.system.errors import UserError
from project.system.files import atomic_write

# What this project needs of a checkpoint: for any use, and to train on from it.
KEYS = {"state_dict": dict, "epoch": int, "global_step": int, "loops": dict}
TRAINING_KEYS = {"optimizer_states": list, "lr_schedulers": list}
Checkpoint = dict[str, Any]
LENGTH = 2  # bytes at the end of a zip file that tell the length of its comment, which follows
BLOCK = 2**20  # bytes that are read at once


class CheckpointFiles(CheckpointIO):
    """How Lightning writes and reads every checkpoint of a run."""

    def __init__(self) -> None:
        self._known: dict[Path, Checkpoint] = {}

    def hand_over(self, path: Path, checkpoint: Checkpoint) -> None:
        """What is in the file, for who loads it next; it is kept until then, and not read again."""
        self._known[path] = checkpoint

    def save_checkpoint(self, checkpoint: Checkpoint, path: Any, storage_options: Any = None) -> None:
        write(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Checkpoint:
        """Never runs code from the file, whatever `weights_only` says."""
        return self._known.pop(Path(path), None) or read(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Write the whole file at once. It ends with a digest of all that comes before it.

    Raises:
        UserError: the file cannot be written; what was at `path` is still there, and nothing else is.
    """
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            buffer.getbuffer() as whole,
            whole[:-LENGTH] as content,
            atomic_write(path, durable=True) as unfinished,
            unfinished.open("wb") as file,
        ):
            file.writelines((content, _ending(hashlib.sha256(content))))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); the last good checkpoint stays: make room, then resume"
        ) from None


def read(path: Path, map_location: Any = "cpu") -> Checkpoint:
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


def _ending(digest: "hashlib._Hash") -> bytes:
    """The comment of a zip file of whose content up to there this is the digest, after its length."""
    comment = b"sha256:" + digest.hexdigest().encode()
    return len(comment).to_bytes(LENGTH, "little") + comment


def check_digest(path: Path) -> None:
    """Raises ValueError where a file does not have its digest, or, without one, a part of it not its checksum."""
    with zipfile.ZipFile(path) as archive:
        if not archive.comment:  # not written by this project
            if broken := archive.testzip():
                raise ValueError(f"the checksum of {broken} differs")
            return
    digest = hashlib.sha256()
    left = path.stat().st_size - len(_ending(digest))
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, BLOCK))):
            digest.update(block)
            left -= len(block)
        if file.read() != _ending(digest):
            raise ValueError("its digest differs")
