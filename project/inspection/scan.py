"""One pass over the pixels of all images, and one over the headers of their files."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from project.data.decoding import read_in_workers
from project.data.image_files import ImageFiles
from project.data.normalisation import MeanAndStd, channel_sums, mean_and_std
from project.inspection.images import PARTS, Images
from project.inspection.similarity import thumbnails

FILES_AT_ONCE = 32  # that a worker reads before it reports


@dataclass(frozen=True)
class Scan:
    """What one pass over the pixels finds.

    digests: [M], of the pixels of each image.
    thumbnails: [M, C, S, S] uint8, see `project.inspection.similarity`.
    mean_and_std: Of each channel over the training and validation images, in [0, 1].
    """

    digests: list[bytes]
    thumbnails: Tensor
    mean_and_std: MeanAndStd


def scan(images: Images) -> Scan:
    """Read all images once; the memory for an image is that of its thumbnail."""
    digests: list[bytes] = []
    small: list[Tensor] = []
    sums = torch.zeros(3, 1, dtype=torch.long)
    for part, pixels in images:
        digests += [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in pixels.numpy()]
        small.append(thumbnails(pixels))
        if PARTS[part] != "test":
            sums = sums + channel_sums(pixels)
    return Scan(digests, torch.cat(small), mean_and_std(sums.tolist()) if sums.any() else ((), ()))


class FileFacts(NamedTuple):
    """What the header of an image file says."""

    form: str
    """Format and mode, such as JPEG RGB."""
    size: tuple[int, int]
    """Width and height in pixels."""


def read_headers(images: ImageFiles) -> Iterator[FileFacts]:
    """The facts of each file, read in worker processes."""
    indices = range(len(images))
    batches = [list(indices[first : first + FILES_AT_ONCE]) for first in indices[::FILES_AT_ONCE]]
    yield from chain.from_iterable(read_in_workers(_Headers(images), batches, images.workers, list))


class _Headers(Dataset[FileFacts]):
    def __init__(self, images: ImageFiles) -> None:
        self.folder, self.names = images.folder, images.names

    def __getitem__(self, index: int) -> FileFacts:
        path = Path(self.folder, self.names[index])
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:  # Pillow's, of unusual metadata
            return FileFacts(f"{image.format} {image.mode}", image.size)


def describe_files(images: Images) -> list[str]:
    """Lines on the sizes, formats and modes of the files."""
    sets = [images_of_part for images_of_part in images.sets if isinstance(images_of_part, ImageFiles)]
    facts = [fact for files in sets for fact in read_headers(files)]
    if not facts:
        return []
    sizes = sorted((fact.size for fact in facts), key=lambda size: size[0] * size[1])
    named = {"smallest": sizes[0], "median": sizes[len(sizes) // 2], "largest": sizes[-1]}
    forms = Counter(fact.form for fact in facts).most_common()
    return [
        "files: " + ", ".join(f"{count:,} {form}" for form, count in forms),
        "size of the files, width x height: "
        + ", ".join(f"{name} {width}x{height}" for name, (width, height) in named.items()),
    ]
