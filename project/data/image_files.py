"""A set of image files too large for memory: decoded when their batch comes, and checked once before."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from project.data.augmentation import Views
from project.data.decoding import decode, in_workers
from project.data.images import ImageSet
from project.data.normalisation import read_json, sums, write_json
from project.system.errors import UserError

AT_ONCE = 32  # files that a worker checks before it reports
SECONDS = 10  # between two lines that say how far the check is


@dataclass(frozen=True)
class ImageFiles(ImageSet):
    """Files in `folder`: names [M], SHA-256 of their content [M], labels [M] int64; shown as side x side pixels."""

    folder: Path
    names: NDArray[np.str_]
    digests: NDArray[np.str_]
    labels: Tensor
    side: int
    workers: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), self.side, self.side, 3

    def to(self, device: torch.device) -> Self:
        return replace(self, labels=self.labels.to(device))

    def labelled(self, labels: Tensor) -> Self:
        return replace(self, labels=labels)

    def __getitem__(self, places: Tensor) -> Self:
        chosen = places.cpu().numpy()
        return replace(self, names=self.names[chosen], digests=self.digests[chosen], labels=self.labels[places])

    def read(self, order: Tensor, batch_size: int, views: Views | None = None) -> Iterator[Tensor]:
        """As ImageSet's. Raises UserError for a file that can no longer be read."""
        groups = torch.split(order, batch_size)
        places = [chosen.tolist() for chosen in groups]
        decoded = in_workers(_Decoded(self.folder, self.names, self.side), places, self.workers, _together)
        for chosen, pixels in zip(groups, decoded, strict=True):
            if isinstance(pixels, str):
                raise UserError(f"--data.data_dir {self.folder}: {pixels}; it was whole when it was checked")
            group = pixels.to(order.device)
            own = torch.arange(len(chosen), device=order.device)
            yield group if views is None else views[chosen].take(group, own)

    def update(self, digest: "hashlib._Hash") -> None:
        for name, of_content, label in zip(self.names, self.digests, self.labels.tolist(), strict=True):
            digest.update(f"{name}\0{of_content}\0{label}\n".encode(errors="surrogateescape"))
        digest.update(str(self.side).encode())


class _Decoded(Dataset[Tensor | str]):
    """The pixels [side, side, 3] uint8 of each file, or what is wrong with it."""

    def __init__(self, folder: Path, names: NDArray[np.str_], side: int) -> None:
        self.folder, self.names, self.side = folder, names, side

    def __getitem__(self, place: int) -> Tensor | str:
        try:
            return decode((self.folder / self.names[place]).read_bytes(), self.side)
        except (OSError, ValueError) as error:
            return f"{self.names[place]} ({_reason(error)})"


def _together(decoded: list[Tensor | str]) -> Tensor | str:
    """One tensor [N, side, side, 3], or what is wrong with the first file that cannot be read."""
    whole = [pixels for pixels in decoded if isinstance(pixels, Tensor)]
    return torch.stack(whole) if len(whole) == len(decoded) else next(one for one in decoded if isinstance(one, str))


class CheckedFile(NamedTuple):
    """What is kept of a file: its size in bytes, its time of change in ns, its SHA-256, and what was found in it."""

    size: int
    changed: int
    sha256: str
    found: list[list[int]] | str
    """The sums of its pixels, from which the normalisation comes, or what is wrong with it."""


def check_files(folder: Path, names: Sequence[str], side: int, workers: int) -> dict[str, CheckedFile]:
    """Decode each file of `names` in `folder` once, as side x side pixels.

    What was found in whole images is kept in the folder's .checked-<side>.json, so that none is read again unless its
    size or its time of change differ.
    """
    path = folder / f".checked-{side}.json"
    kept = {name: CheckedFile(*row) for name, row in read_json(path).items()}
    stamps = {name: _stamp(folder / name) for name in names}
    files = {name: kept[name] for name in names if name in kept and kept[name][:2] == stamps[name]}
    missing = [name for name in names if name not in files]
    if missing:
        try:
            for name, sha256, found in _check(folder, missing, side, workers):
                files[name] = CheckedFile(*stamps[name], sha256, found)
        finally:  # what was checked before a Ctrl-C is not checked again
            write_json(path, {name: file for name, file in files.items() if not isinstance(file.found, str)})
    return {name: files[name] for name in names}


def _check(folder: Path, names: list[str], side: int, workers: int) -> Iterator[tuple[str, str, Any]]:
    """Each file's name, SHA-256 and what was found in it."""
    groups = [list(range(first, min(first + AT_ONCE, len(names)))) for first in range(0, len(names), AT_ONCE)]
    rank_zero_only(print)(f"checking {len(names):,} files in {folder}", flush=True)
    said, done = time.monotonic(), 0
    for rows in in_workers(_Checked(folder, np.array(names), side), groups, workers, list):
        yield from rows
        done += len(rows)
        if time.monotonic() - said > SECONDS:
            rank_zero_only(print)(f"checked {done:,} of {len(names):,}", flush=True)
            said = time.monotonic()


class _Checked(_Decoded):
    def __getitem__(self, place: int) -> Any:
        name, digest = str(self.names[place]), ""
        try:
            content = (self.folder / name).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            return name, digest, sums(decode(content, self.side)).tolist()
        except (OSError, ValueError) as error:
            return name, digest, _reason(error)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _stamp(path: Path) -> tuple[int, int]:
    """A file's size in bytes and its time of change in ns; a link that leads nowhere has none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
