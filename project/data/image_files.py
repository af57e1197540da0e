"""Sets of image files, which may be larger than memory. They are checked once, and decoded for each batch or once."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from project.data.decoding import FileCrop, Preparation, decode, read_in_workers
from project.data.images import ImageSet
from project.data.normalisation import channel_sums, read_json, write_json
from project.data.transforms import NO_TRANSFORMS, DrawnTransforms
from project.system.errors import UserError
from project.system.hardware import copy_to
from project.system.quick_imports import no_garbage_collection

T = TypeVar("T", bound=Sized)
FILES_AT_ONCE = 32  # that a worker checks before it reports
PROGRESS_SECONDS = 10  # between two lines about the progress of the check


@dataclass(frozen=True)
class ImageFiles(ImageSet):
    """A set of image files.

    folder: The folder of the files.
    names: [M], the path of each file in the folder.
    digests: [M], hexadecimal SHA-256 of each file.
    labels: [M] int64.
    preparation: How the decoded images get their size.
    workers: Number of worker processes that decode images; 0 decodes in the run's own process.
    rows: [M] int64, the row of each image in `pixels`.
    pixels: [K, H, W, C] uint8, the decoded images of these and perhaps other files, on the CPU. None: each batch is
        decoded.
    """

    folder: Path
    names: NDArray[np.str_]
    digests: NDArray[np.bytes_]
    labels: Tensor
    preparation: Preparation
    workers: int
    rows: Tensor
    pixels: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), *self.preparation.size, 3

    def to(self, device: torch.device) -> Self:
        return replace(self, labels=self.labels.to(device))

    def with_labels(self, labels: Tensor) -> Self:
        return replace(self, labels=labels)

    def __getitem__(self, indices: Tensor) -> Self:
        places = indices.cpu()
        names, digests = self.names[places.numpy()], self.digests[places.numpy()]
        return replace(self, names=names, digests=digests, labels=self.labels[indices], rows=self.rows[places])

    def read_batches(
        self, indices: Tensor, batch_size: int, transforms: DrawnTransforms = NO_TRANSFORMS
    ) -> Iterator[Tensor]:
        """Decode and transform the batches. Raises UserError for a file that can no longer be read or transformed.

        Worker processes do it, unless the images are decoded already and no transform changes image by image.
        """
        batches = [places.tolist() for places in torch.split(torch.arange(len(indices)), batch_size)]
        files = _TransformedFiles(self[indices], transforms)
        is_slow = self.pixels is None or transforms.change_images
        workers = self.workers if is_slow and len(batches) > 1 else 0  # one batch is read sooner than a worker starts
        for pixels in read_in_workers(files, batches, workers, _whole_batch):
            if isinstance(pixels, UserError):
                raise pixels
            yield copy_to(pixels, indices.device)

    def update_digest(self, digest: "hashlib._Hash") -> None:
        for name, file_digest, label in zip(self.names, self.digests, self.labels.tolist(), strict=True):
            digest.update(f"{name}\0{file_digest.decode()}\0{label}\n".encode(errors="surrogateescape"))
        digest.update(str(self.preparation).encode())


class _DecodedFiles(Dataset[Tensor | str]):
    """Gives the pixels [H, W, 3] uint8 of each file, or the reason why it cannot be read."""

    def __init__(self, folder: Path, names: NDArray[np.str_], preparation: Preparation) -> None:
        self.folder, self.names, self.preparation = folder, names, preparation

    def preparation_of(self, index: int) -> Preparation | FileCrop:
        return self.preparation

    def __getitem__(self, index: int) -> Tensor | str:
        try:
            return decode((self.folder / self.names[index]).read_bytes(), self.preparation_of(index))
        except (OSError, ValueError) as error:
            return f"{self.names[index]} ({_reason(error)})"


class _TransformedFiles(_DecodedFiles):
    """Gives the pixels [N, H, W, 3] uint8 of a batch after the transforms, or the error of one of its files."""

    def __init__(self, files: ImageFiles, transforms: DrawnTransforms) -> None:
        super().__init__(files.folder, files.names, files.preparation)
        self.rows, self.pixels, self.transforms = files.rows, files.pixels, transforms

    def preparation_of(self, index: int) -> Preparation | FileCrop:
        return self.transforms.file_crop(index) or self.preparation

    def __getitems__(self, indices: list[int]) -> list[Tensor | UserError]:
        """A list of one batch, which is whole already."""
        places = torch.tensor(indices)
        try:
            pixels = self._decoded(indices) if self.pixels is None else self.pixels.index_select(0, self.rows[places])
            return [self.transforms.apply(pixels, places, self.names)]  # type: ignore[arg-type]
        except UserError as error:
            return [error]

    def _decoded(self, indices: list[int]) -> Tensor:
        items = [self[index] for index in indices]
        if reasons := [item for item in items if isinstance(item, str)]:
            raise UserError(f"--data.data_dir {self.folder}: {reasons[0]}; it was intact when it was checked")
        pixels: Tensor = default_collate(items)  # into memory that the processes share
        return pixels


def _whole_batch(items: list[Tensor | UserError]) -> Tensor | UserError:
    (batch,) = items
    return batch


class CheckedFile(NamedTuple):
    """The result of the check of a file."""

    size: int
    """In bytes."""
    modified: int
    """Time of the last change in ns."""
    sha256: str
    """Hexadecimal digest of the content."""
    result: list[list[int]] | str
    """The `channel_sums` of an intact image, from which mean and standard deviation come; otherwise the problem."""


def check_files(folder: Path, names: Sequence[str], preparation: Preparation, workers: int) -> dict[str, CheckedFile]:
    """Decode each file once.

    The results of intact images are saved in the folder's .checked-<side>.json, or .checked-<side>-<fit>.json for a fit
    other than cut. Later calls read only those files again whose size or time of change differs.

    Args:
        folder: The folder of the files.
        names: The path of each file in the folder.
        preparation: How the decoded images get their size.
        workers: Number of worker processes; 0 decodes in this process.
    """
    path = folder / f".checked-{preparation}.json"
    with no_garbage_collection():  # it would look at each of the many small objects again and again
        cache = {name: CheckedFile(*row) for name, row in read_json(path).items()}
        stamps = {name: _stamp(os.path.join(folder, name)) for name in names}
    files = {name: cache[name] for name in names if name in cache and cache[name][:2] == stamps[name]}
    unchecked = [name for name in names if name not in files]
    if unchecked:
        try:
            for name, sha256, result in _check(folder, unchecked, preparation, workers):
                files[name] = CheckedFile(*stamps[name], sha256, result)
        finally:  # after Ctrl-C, the next call continues from here
            write_json(path, {name: file for name, file in files.items() if not isinstance(file.result, str)})
    return {name: files[name] for name in names}


def _check(folder: Path, names: list[str], preparation: Preparation, workers: int) -> Iterator[tuple[str, str, Any]]:
    """Give each file's name, SHA-256 and result."""
    indices = range(len(names))
    batches = [list(indices[first : first + FILES_AT_ONCE]) for first in indices[::FILES_AT_ONCE]]
    rank_zero_only(print)(f"checking {len(names):,} files in {folder}", flush=True)
    files = _CheckedFiles(folder, np.array(names), preparation)
    for rows in progress(read_in_workers(files, batches, workers, list), len(names), "checked"):
        yield from rows


def progress(chunks: Iterable[T], total: int, action: str) -> Iterator[T]:
    """Yield the chunks. If that takes long, print from time to time how many of `total` items they had."""
    started = printed = time.monotonic()
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if time.monotonic() - printed > PROGRESS_SECONDS or (done == total and printed > started):
            rank_zero_only(print)(f"{action} {done:,} of {total:,}", flush=True)
            printed = time.monotonic()


class _CheckedFiles(_DecodedFiles):
    """Gives the name, SHA-256 and result of each file."""

    def __getitem__(self, index: int) -> Any:
        name, digest = str(self.names[index]), ""
        try:
            content = (self.folder / name).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            return name, digest, channel_sums(decode(content, self.preparation)).tolist()
        except (OSError, ValueError) as error:
            return name, digest, _reason(error)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _stamp(path: str) -> tuple[int, int]:
    """A file's size in bytes and its time of change in ns; zeros for a link to a missing file."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
