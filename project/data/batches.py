"""Batches of images. From memory they need no worker processes and no Python code for each image.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from project.data.augmentation import LAYERS, MIX, ORDER, Augmentation, Views, mix_seed
from project.data.balance import draw_by_class
from project.data.images import ImageSet, ImagesInMemory
from project.data.mix import BatchMix
from project.data.normalisation import Normalisation
from project.data.transforms import NO_TRANSFORMS, DrawnTransforms, Transforms
from project.system.hardware import copy_to

Batch = tuple[Tensor, Tensor]
PIXELS_AT_ONCE = 2**19  # that are augmented by the same operations; at 2**21, a pixel takes longer again on a CPU
PIXELS_AT_ONCE_OF_A_GPU = 2**23  # 100 MB in float32; a GPU waits for Python, so the fewer operations, the better


class EvaluationBatches:
    """Batches of each image once, in order. Several processes share the images: none is evaluated twice or left out."""

    def __init__(
        self, images: ImageSet, normalise: Normalisation, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.images, self.normalise, self.batch_size = images, normalise, batch_size
        self.indices = torch.arange(rank, len(images), world_size, device=images.labels.device)

    def __len__(self) -> int:
        return math.ceil(len(self.indices) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Images [N, C, H, W] float32, normalised, and labels [N] int64 of each batch."""
        batches = self.images.read_batches(self.indices, self.batch_size)
        for indices, pixels in zip(torch.split(self.indices, self.batch_size), batches, strict=True):
            yield self.normalise(pixels).permute(0, 3, 1, 2), self.images.labels[indices]


class TrainingBatches:
    """Shuffled and augmented batches of equal size. Images that do not fill a batch are left out of that epoch.

    Transforms come first, then flip, shift, normalisation, cutout, the curriculum and the mix.
    Order and augmentation are drawn once for each epoch, from (seed, epoch), and belong to the images. So batch i of
    epoch e has the same numbers in every run and after every resume. With each batch, torch's own generator gets a seed
    of that batch, so dropout and other random layers draw the same numbers too. A balanced epoch is of the same length,
    and has equally many images of each class; see draw_by_class. Then the augmentation belongs to the place in the
    epoch, so an image that comes twice is augmented in two ways. All of this is drawn on the CPU, the same for every
    device, and copied to the device while it computes the last batches of the epoch before.

    `position` gives the epoch, its first batch to read, the number of batches that the run has done, and their number
    in the whole run. It is called when an iteration begins, so a resumed run continues where it was.
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
        world_size: int = 1,
        transforms: Transforms | None = None,
        mix: BatchMix | None = None,
        balanced: bool = False,
    ) -> None:
        self.images, self.normalise, self.batch_size = images, normalise, batch_size
        self.augmentation, self.seed, self.position = augmentation, seed, position
        self.transforms, self.mix = transforms, mix
        self.rank, self.world_size = rank, world_size
        self._labels = images.labels.cpu() if balanced else None
        self._drawn: dict[int, Drawn] = {}  # of the next epoch

    def __len__(self) -> int:
        return len(self.images) // self.world_size // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        """Images [N, C, H, W] float32, augmented and normalised, and labels [N] int64 of each batch.

        Mixed labels are [N, K] float32: the share of each class.
        """
        epoch, first_batch, done, total = self.position()
        drawn = self._drawn.pop(epoch) if epoch in self._drawn else self._draw(epoch, first_batch)
        batches = zip(
            torch.split(self.images.labels[drawn.indices], self.batch_size), self._augmented(drawn), strict=True
        )
        seed = mix_seed(self.seed, epoch, LAYERS, self.rank) + epoch * len(self) + first_batch
        for batch, (labels, images) in enumerate(batches):
            images = self.augmentation.shrink(images, (done + batch) / total)
            if self.mix:
                images, labels = self.mix.apply(images, labels, self.seed, epoch, MIX, self.rank, first_batch + batch)
            if first_batch + batch + 1 == len(self) and done + batch + 1 < total:
                self._drawn = {epoch + 1: self._draw(epoch + 1)}
            _seed_torch(seed + batch, images.device)
            yield images, labels

    def _augmented(self, drawn: "Drawn") -> Iterator[Tensor]:
        """The images [N, C, H, W] of each batch, augmented and normalised, in their own size.

        Several small batches are made at once, because an operation costs as much as the arithmetic for a few images.
        """
        size = self.batch_size * self._batches_at_once
        blocks = zip(
            drawn.views.split(size), self.images.read_batches(drawn.indices, size, drawn.transforms), strict=True
        )
        for views, pixels in blocks:
            yield from torch.split(views.augment(pixels, self.normalise), self.batch_size)

    @property
    def _batches_at_once(self) -> int:
        """1 where an image takes long, so that no step waits for more images than it needs."""
        if self.transforms or not isinstance(self.images, ImagesInMemory):
            return 1
        pixels = PIXELS_AT_ONCE if self.images.labels.device.type == "cpu" else PIXELS_AT_ONCE_OF_A_GPU
        return max(1, pixels // (self.batch_size * math.prod(self.images.shape[1:3])))

    def _draw(self, epoch: int, first_batch: int = 0) -> "Drawn":
        generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch, ORDER))
        order = torch.randperm(len(self.images), generator=generator)
        order = order[self.rank :: self.world_size][first_batch * self.batch_size : len(self) * self.batch_size]
        views = self.augmentation.draw(self.images.shape, self.seed, epoch)[order]
        drawn = self.transforms.draw(len(self.images), self.seed, epoch)[order] if self.transforms else NO_TRANSFORMS
        indices = order if self._labels is None else draw_by_class(self._labels, self.seed, epoch)[order]
        device = self.images.labels.device
        return Drawn(copy_to(indices, device), views.to(device), drawn)


class Drawn(NamedTuple):
    """The random choices for the images of an epoch, or of the rest of it, in their order."""

    indices: Tensor
    """[M], the place of each image in the set; on the training device, as the views are."""
    views: Views
    transforms: DrawnTransforms


def _seed_torch(seed: int, device: torch.device) -> None:
    """torch.manual_seed takes 0.8 ms where CUDA is installed but not used, and keeps a stack trace of each call."""
    torch.default_generator.manual_seed(seed % 2**63)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed % 2**63)
