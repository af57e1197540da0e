"""Sets of images with their labels, in memory or in files.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from project.data.transforms import NO_TRANSFORMS, DrawnTransforms


class ImageSet(ABC):
    """Images of one size with their labels [M] int64."""

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """(M, H, W, C)"""

    @abstractmethod
    def to(self, device: torch.device) -> Self:
        """The same set, whose batches and labels are on `device`."""

    @abstractmethod
    def __getitem__(self, indices: Tensor) -> Self:
        """The set of the images at `indices`, which are numbers or a mask."""

    @abstractmethod
    def with_labels(self, labels: Tensor) -> Self:
        """The same images with other labels [M]."""

    @abstractmethod
    def read_batches(
        self, indices: Tensor, batch_size: int, transforms: DrawnTransforms = NO_TRANSFORMS
    ) -> Iterator[Tensor]:
        """The pixels [N, H, W, C] uint8 of each batch of the images at `indices`, in their order.

        Args:
            indices: [M], the place of each image in the set; a place may be there several times.
            batch_size: Number of images in a batch; the last one may have fewer.
            transforms: Drawn for each of the M.
        """

    @abstractmethod
    def update_digest(self, digest: "hashlib._Hash") -> None:
        """Add the images and their labels to a digest."""


@dataclass(frozen=True)
class ImagesInMemory(ImageSet):
    """A set of images in memory.

    pixels: [M, H, W, C] uint8, contiguous.
    labels: [M] int64, from 0; each is the index of a class name.
    """

    pixels: Tensor
    labels: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return tuple(self.pixels.shape)  # type: ignore[return-value]

    def to(self, device: torch.device) -> Self:
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def with_labels(self, labels: Tensor) -> Self:
        return replace(self, labels=labels)

    def __getitem__(self, indices: Tensor) -> Self:
        return replace(self, pixels=self.pixels[indices], labels=self.labels[indices])

    def read_batches(
        self, indices: Tensor, batch_size: int, transforms: DrawnTransforms = NO_TRANSFORMS
    ) -> Iterator[Tensor]:
        transforms = transforms.to(indices.device)
        for places in torch.split(torch.arange(len(indices), device=indices.device), batch_size):
            yield transforms.apply(self.pixels.index_select(0, indices[places]), places, indices)

    def update_digest(self, digest: "hashlib._Hash") -> None:
        digest.update(self.pixels.numpy().data)  # without a copy
        digest.update(self.labels.numpy().data)
