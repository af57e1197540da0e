"""Batches, drawn for a whole epoch at once; from memory without worker processes or per-image Python.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from project.data.augmentation import LAYERS, ORDER, Augmentation, Views, key

AT_ONCE = 1000  # images whose views are taken together: 0.33 ms for each 125 alone, 0.25 ms for 1,000 on two cores

Batch = tuple[Tensor, Tensor]


class ImageSet(ABC):
    """Images of one size with their labels [M] int64, wherever their pixels are."""

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
    def __getitem__(self, places: Tensor) -> Self:
        """The images at `places`, numbers or a mask."""

    @abstractmethod
    def labelled(self, labels: Tensor) -> Self:
        """The same images with other labels [M]."""

    @abstractmethod
    def read(self, order: Tensor, batch_size: int, views: Views | None = None) -> Iterator[Tensor]:
        """The pixels [N, H, W, C] uint8 of each batch of the places `order`, plain or as `views` of the set show them.

        They are the same bits wherever in an order a batch is, so that a resumed run reads what it would have read.
        """

    @abstractmethod
    def update(self, digest: "hashlib._Hash") -> None:
        """Add what the images are to a digest."""


@dataclass(frozen=True)
class Images(ImageSet):
    """A set held in memory: pixels [M, H, W, C] uint8, labels [M] int64."""

    pixels: Tensor
    labels: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return tuple(self.pixels.shape)  # type: ignore[return-value]

    def to(self, device: torch.device) -> Self:
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def labelled(self, labels: Tensor) -> Self:
        return replace(self, labels=labels)

    def __getitem__(self, places: Tensor) -> Self:
        return replace(self, pixels=self.pixels[places], labels=self.labels[places])

    def read(self, order: Tensor, batch_size: int, views: Views | None = None) -> Iterator[Tensor]:
        if views is None:
            for chosen in torch.split(order, batch_size):
                yield self.pixels[chosen]
            return
        for chosen in torch.split(order, max(1, AT_ONCE // batch_size) * batch_size):
            yield from torch.split(views.take(self.pixels, chosen), batch_size)

    def update(self, digest: "hashlib._Hash") -> None:
        digest.update(self.pixels.numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())


class Normalisation:
    """uint8 [N, H, W, C] to float32 (x / 255 - mean) / std, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.mean = 255 * torch.tensor(mean, device=device)
        self.std = 255 * torch.tensor(std, device=device)
        self._rows = (self.mean, self.std)  # for a whole row of pixels: made once, they save a tenth of a batch's time

    def __call__(self, pixels: Tensor) -> Tensor:
        count, height, width, channels = pixels.shape
        if len(self._rows[0]) != width * channels:
            self._rows = (self.mean.repeat(width), self.std.repeat(width))
        rows = pixels.float().view(count, height, width * channels)  # three numbers at a time take five times as long
        return rows.sub_(self._rows[0]).div_(self._rows[1]).view(pixels.shape)


class EvaluationBatches:
    """Each image once, in order; with several processes each takes its own part, none twice and none left out."""

    def __init__(
        self, images: ImageSet, normalise: Normalisation, batch_size: int, rank: int = 0, processes: int = 1
    ) -> None:
        self.images, self.normalise, self.batch_size = images, normalise, batch_size
        self.chosen = torch.arange(rank, len(images), processes, device=images.labels.device)

    def __len__(self) -> int:
        return math.ceil(len(self.chosen) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        pixels = self.images.read(self.chosen, self.batch_size)
        for chosen, group in zip(torch.split(self.chosen, self.batch_size), pixels, strict=True):
            yield self.normalise(group).permute(0, 3, 1, 2), self.images.labels[chosen]


class TrainingBatches:
    """Shuffled, augmented batches of equal size; what is left over at an epoch's end is left out of that epoch.

    Order and augmentation are drawn for a whole epoch at once from (seed, epoch) and belong to the images, so batch i
    of epoch e holds the same numbers whenever and wherever it is read. `position` tells the epoch, the batch to
    begin with, how many batches the run has done and how many it will have; it is asked when an iteration begins, so a
    resumed run goes on where it was. With each batch comes the seed of torch's own generator, which dropout and the
    like draw from.
    """

    def __init__(
        self,
        images: ImageSet,
        normalise: Normalisation,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        position: Callable[[], tuple[int, int, int, float]],
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.images, self.normalise, self.batch_size = images, normalise, batch_size
        self.augmentation, self.seed, self.position = augmentation, seed, position
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return len(self.images) // self.processes // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        epoch, first, done, total = self.position()
        generator = torch.Generator().manual_seed(key(self.seed, epoch, ORDER))
        order = torch.randperm(len(self.images), generator=generator).to(self.images.labels.device)
        views = self.augmentation.draw(self.images.shape, self.seed, epoch, order.device)
        order = order[self.rank :: self.processes][first * self.batch_size : len(self) * self.batch_size]
        groups = zip(torch.split(order, self.batch_size), self.images.read(order, self.batch_size, views), strict=True)
        seed = key(self.seed, epoch, LAYERS, self.rank) + epoch * len(self) + first
        for number, (chosen, pixels) in enumerate(groups):
            images = views.cut(self.normalise(pixels), chosen).permute(0, 3, 1, 2)
            _seed_torch(seed + number, images.device)
            yield self.augmentation.shrink(images, (done + number) / total), self.images.labels[chosen]


def _seed_torch(seed: int, device: torch.device) -> None:
    """torch.manual_seed takes 0.8 ms where CUDA is installed but not used, and keeps a stack trace of each call."""
    torch.default_generator.manual_seed(seed % 2**63)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed % 2**63)
