"""Augmentation of a whole batch in a few tensor operations.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from project.system.hardware import copy_to

# The purposes of random numbers. Seeds are mixed from (seed, epoch, purpose), so that no two purposes share numbers.
ORDER, VIEWS, FIRST_FLIP, LAYERS, TRANSFORMS, MIX, BALANCE, FILE_CROPS = range(8)

Flip = Literal["none", "random", "alternating"]


@dataclass(frozen=True)
class Augmentation:
    """The random changes of training images.

    flip: Mirror images left to right. random: with probability 1/2; alternating: each image in every second epoch, half
        of them in the first (Jordan, arXiv 2404.00498, section 3.6).
    shift: Move images by up to this many pixels in each direction and reflect the border; below H and W.
    cutout: Side in pixels of a square that gets the mean colour. Its centre is anywhere in the image
        (DeVries and Taylor, arXiv 1708.04552). 0 for none.
    curriculum: Sides in pixels of smaller images, each with the fraction of the run at which it ends. After the last
        one images have their own size.
    """

    flip: Flip = "none"
    shift: int = 0
    cutout: int = 0
    curriculum: Mapping[int, float] = field(default_factory=dict)

    def draw(self, shape: Sequence[int], seed: int, epoch: int) -> "Views":
        """Draw the changes of each image of a set of `shape` (M, H, W, C) in an epoch."""
        num_images, height, width, _ = shape
        generator = torch.Generator().manual_seed(mix_seed(seed, epoch, VIEWS))

        def integers(low: int, high: int) -> Tensor:
            return torch.randint(low, high + 1, (num_images,), generator=generator)

        mirrored = integers(0, int(self.flip == "random")).bool()
        if self.flip == "alternating":
            first_flip = torch.Generator().manual_seed(mix_seed(seed, 0, FIRST_FLIP))
            mirrored = torch.randint(0, 2, (num_images,), generator=first_flip) == epoch % 2
        down, right = integers(-self.shift, self.shift), integers(-self.shift, self.shift)
        centre_row, centre_column = integers(0, height - 1), integers(0, width - 1)
        return Views(mirrored, down, right, centre_row, centre_column, self)

    def shrink(self, images: Tensor, progress: float) -> Tensor:
        """Resize `images` [N, C, H, W] for a batch at `progress` through the run, from 0 to 1."""
        side = min((side for side, end in self.curriculum.items() if progress < end), default=images.shape[-1])
        if side >= images.shape[-1]:
            return images
        return nn.functional.interpolate(images, (side, side), mode="bilinear", antialias=True)


@dataclass(frozen=True)
class Views:
    """The changes of each image of a set or of a batch: every tensor is [M], one value for each image."""

    mirrored: Tensor
    down: Tensor
    right: Tensor
    centre_row: Tensor
    centre_column: Tensor
    augmentation: Augmentation

    def __getitem__(self, indices: Tensor) -> "Views":
        """The changes of the images at `indices` [N]."""
        mirrored, down, right, row, column = (values[indices] for values in self._values)
        return Views(mirrored, down, right, row, column, self.augmentation)

    def split(self, size: int) -> Iterator["Views"]:
        """The changes of `size` images at a time."""
        for mirrored, down, right, row, column in zip(
            *(torch.split(values, size) for values in self._values), strict=True
        ):
            yield Views(mirrored, down, right, row, column, self.augmentation)

    def to(self, device: torch.device) -> "Views":
        """The same on `device`, by one copy."""
        whole = torch.stack([values.long() for values in self._values])
        mirrored, down, right, row, column = copy_to(whole, device)
        return Views(mirrored.bool(), down, right, row, column, self.augmentation)

    @property
    def _values(self) -> tuple[Tensor, ...]:
        return self.mirrored, self.down, self.right, self.centre_row, self.centre_column

    def augment(self, pixels: Tensor, normalise: Callable[[Tensor], Tensor]) -> Tensor:
        """Augment and normalise a batch; the curriculum is not applied.

        Args:
            pixels: [N, H, W, C] uint8.
            normalise: Gives the normalised pixels in float32; 0 is the mean colour.

        Returns:
            Images [N, C, H, W] float32.
        """
        return self.cut_out(normalise(self.move(pixels))).permute(0, 3, 1, 2)

    def move(self, pixels: Tensor) -> Tensor:
        """Mirror and move `pixels` [N, H, W, C] by one gather."""
        if self.augmentation.flip == "none" and not self.augmentation.shift:
            return pixels
        num_images, height, width, channels = pixels.shape
        columns = torch.arange(width, device=pixels.device)
        columns = torch.where(self.mirrored[:, None], columns.flip(0), columns)
        columns = _reflect(columns + self.right[:, None], width)
        rows = _reflect(torch.arange(height, device=pixels.device) + self.down[:, None], height)
        images = torch.arange(num_images, device=pixels.device)
        sources = (images[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
        return pixels.view(-1, channels).index_select(0, sources.flatten()).view(pixels.shape)

    def cut_out(self, images: Tensor) -> Tensor:
        """Set a square of each of the normalised `images` [N, H, W, C] to 0, the mean colour, in place."""
        side = self.augmentation.cutout
        if not side:
            return images
        rows = _is_near(self.centre_row, images.shape[1], side)
        columns = _is_near(self.centre_column, images.shape[2], side)
        return images.masked_fill_((rows[:, :, None] & columns[:, None, :])[..., None], 0.0)


def mix_seed(*numbers: int) -> int:
    """One 64-bit seed, well mixed, from several whole numbers of at least 0; the same on every machine."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Reflect positions outside 0 .. size-1 at the border pixel, which is not repeated."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()


def _is_near(centres: Tensor, size: int, side: int) -> Tensor:
    """[N, size], true at the `side` positions around each centre [N]."""
    first = (centres - side // 2)[:, None]
    positions = torch.arange(size, device=centres.device)
    return (positions >= first) & (positions < first + side)
