"""Batches from memory: no worker processes, no per-image Python.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from project.data.augmentation import LAYERS, ORDER, Augmentation, Views, key

AT_ONCE = 1000  # images whose views are taken together: 0.33 ms for each 125 alone, 0.25 ms for 1,000 on two cores

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Images:
    """A set held in memory: pixels [M, H, W, C] uint8, labels [M] int64."""

    pixels: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.labels.to(device))

    def __getitem__(self, places: Tensor) -> "Images":
        return Images(self.pixels[places], self.labels[places])

    def __len__(self) -> int:
        return len(self.labels)


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
        self, images: Images, normalise: Normalisation, batch_size: int, rank: int = 0, processes: int = 1
    ) -> None:
        self.images, self.normalise, self.batch_size = images, normalise, batch_size
        self.chosen = torch.arange(rank, len(images), processes, device=images.labels.device)

    def __len__(self) -> int:
        return math.ceil(len(self.chosen) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for chosen in torch.split(self.chosen, self.batch_size):
            batch = self.images[chosen]
            yield self.normalise(batch.pixels).permute(0, 3, 1, 2), batch.labels


class TrainingBatches:
    """Shuffled, augmented batches of equal size; what is left over at an epoch's end is left out of that epoch.

    Order and augmentation are drawn for a whole epoch at once from (seed, epoch) and belong to the images, so batch i
    of epoch e holds the same numbers whenever and wherever it is read. `position` tells the epoch, the batch to
    begin with and how many batches the whole run has; it is asked when an iteration begins, so a resumed run goes on
    where it was. With each batch comes the seed of torch's own generator, which dropout and the like draw from.
    """

    def __init__(
        self,
        images: Images,
        normalise: Normalisation,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        position: Callable[[], tuple[int, int, float]],
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.images, self.normalise, self.batch_size = images, normalise, batch_size
        self.augmentation, self.seed, self.position = augmentation, seed, position
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return len(self.images) // self.processes // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        epoch, first, total = self.position()
        generator = torch.Generator().manual_seed(key(self.seed, epoch, ORDER))
        order = torch.randperm(len(self.images), generator=generator).to(self.images.labels.device)
        views = self.augmentation.draw(self.images.pixels, self.seed, epoch)
        order = order[self.rank :: self.processes][first * self.batch_size : len(self) * self.batch_size]
        seed = key(self.seed, epoch, LAYERS, self.rank)
        for number, (chosen, pixels) in enumerate(self._taken(order, views), epoch * len(self) + first):
            images = views.cut(self.normalise(pixels), chosen).permute(0, 3, 1, 2)
            _seed_torch(seed + number, images.device)
            yield self.augmentation.shrink(images, number / total), self.images.labels[chosen]

    def _taken(self, order: Tensor, views: Views) -> Iterator[tuple[Tensor, Tensor]]:
        """Each batch's places in the set and its views, which are taken for several batches at once."""
        for chosen in torch.split(order, max(1, AT_ONCE // self.batch_size) * self.batch_size):
            pixels = views.take(self.images.pixels, chosen)
            yield from zip(torch.split(chosen, self.batch_size), torch.split(pixels, self.batch_size), strict=True)


def _seed_torch(seed: int, device: torch.device) -> None:
    """torch.manual_seed takes 0.8 ms where CUDA is installed but not used, and keeps a stack trace of each call."""
    torch.default_generator.manual_seed(seed % 2**63)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed % 2**63)
