"""Checkpoint files: each is written whole or not at all, and reading one never runs code from it."""

import hashlib
import io
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from project.checkpoints.checks import check_description
from project.system.errors import UserError
from project.system.files import atomic_write

# The keys that every use of a checkpoint needs, and those that training needs as well.
KEYS = {
    "state_dict": dict,
    "epoch": int,
    "global_step": int,
    "loops": dict,
    "format": int,
    "network": dict,
    "loss": dict,
    "data": dict,
}
FORMAT = 1  # of the description that a checkpoint has
OLD = "given_options"  # a key of this project's checkpoints from before they had a format
# What a person does with an exported file, which no command reads.
EXPORTED = {
    ".onnx": "open it with onnxruntime, as the program in docs/use.md does, or ",
    ".pt2": "open it with torch.export.load(path).module(), or ",
    ".safetensors": "",
}
TRAINING_KEYS = {"optimizer_states": list, "lr_schedulers": list}
Checkpoint = dict[str, Any]
LENGTH = 2  # bytes at the end of a zip file; they give the length of the comment that follows
BLOCK = 2**20  # bytes read at once


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Write the whole file at once. Its last bytes are a digest of all bytes before them.

    Raises:
        UserError: the file cannot be written. The file that was at `path` stays as it was.
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
            f"{path} cannot be written ({error.strerror}); the last checkpoint stays: make room, then resume"
        ) from None


def read(path: Path, map_location: Any = "cpu") -> Checkpoint:
    """Read the checkpoint. Raises UserError if there is no file, or if it is damaged or of another project."""
    if not path.is_file():
        raise UserError(f"--ckpt_path {path}: there is no such file; give best, last or a file that exists")
    if path.suffix in EXPORTED:
        remedy = f"{EXPORTED[path.suffix]}give the checkpoint of a run"
        raise UserError(f"--ckpt_path {path}: it is an exported network; {remedy}")
    try:
        check_digest(path)
        checkpoint = torch.load(path, map_location, weights_only=True)
    # torch.load has no exception of its own; its exception depends on where a file is damaged.
    except Exception as error:
        reason = textwrap.shorten(str(error).split("\n")[0], 120, placeholder=" ...")
        raise UserError(f"--ckpt_path {path}: not a whole checkpoint ({reason}); give another, such as best") from None
    whole: dict[str, Any] = checkpoint if isinstance(checkpoint, dict) else {}
    check_keys(path, whole, KEYS)
    if whole["format"] > FORMAT:
        raise UserError(f"--ckpt_path {path}: a newer version of this project wrote it; install that version")
    check_description(path, whole)
    return whole


def check_keys(path: Path, checkpoint: Mapping[str, Any], needed: Mapping[str, type]) -> None:
    """Raises UserError if the checkpoint of `path` lacks a needed key, or a value has the wrong type."""
    if OLD in checkpoint and "format" not in checkpoint:
        raise UserError(
            f"--ckpt_path {path}: an older version of this project wrote it, without a description of its network; "
            "train again, or use that version, whose commit stands in the run's environment.yaml"
        )
    for key, kind in needed.items():
        if not isinstance(checkpoint.get(key), kind):
            use = "which every checkpoint of this project has" if needed is KEYS else "which training needs"
            raise UserError(f"--ckpt_path {path}: it has no {key}, {use}; give best, last or another file")


def _ending(digest: "hashlib._Hash") -> bytes:
    """The end of a zip file: the length of its comment, then the comment with the digest of all bytes before it."""
    comment = b"sha256:" + digest.hexdigest().encode()
    return len(comment).to_bytes(LENGTH, "little") + comment


def check_digest(path: Path) -> None:
    """Raises ValueError if a file differs from its digest or, in a file without one, a part from its checksum."""
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
