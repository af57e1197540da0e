"""Batches, drawn for a whole epoch at once; from memory without worker processes or per-image Python.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from project.data.augmentation import LAYERS, ORDER, Augmentation, key
from project.data.images import ImageSet
from project.data.normalisation import Normalisation

Batch = tuple[Tensor, Tensor]


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
