"""Augmentation of a whole batch in a few tensor operations.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

# What random numbers are for, so that no two purposes share them: keys are (seed, epoch, purpose).
ORDER, VIEWS, FIRST_FLIP, LAYERS = range(4)

Flip = Literal["none", "random", "alternating"]


@dataclass(frozen=True)
class Augmentation:
    """What may be done to a training image.

    flip: mirror left to right; random: with probability 1/2; alternating: each image in every other epoch, half of them
        in the first (Jordan, arXiv 2404.00498, section 3.6).
    shift: move by up to this many pixels in each direction, the border reflected; below H and W.
    cutout: side in pixels of a square set to the mean colour, centred anywhere in the image
        (DeVries and Taylor, arXiv 1708.04552); 0 for none.
    curriculum: sides in pixels that images are shrunk to, each with the fraction of the run at which it ends; after the
        last of them images have their own size.
    """

    flip: Flip = "none"
    shift: int = 0
    cutout: int = 0
    curriculum: Mapping[int, float] = field(default_factory=dict)

    def draw(self, shape: Sequence[int], seed: int, epoch: int, device: torch.device | None = None) -> "Views":
        """The random choices for each image of a set of `shape` (M, H, W, C) in an epoch, the same on every device."""
        count, height, width, _ = shape
        generator = torch.Generator().manual_seed(key(seed, epoch, VIEWS))

        def integers(low: int, high: int) -> Tensor:
            return torch.randint(low, high + 1, (count,), generator=generator).to(device)

        mirrored = integers(0, int(self.flip == "random")).bool()
        if self.flip == "alternating":
            first = torch.Generator().manual_seed(key(seed, 0, FIRST_FLIP))
            mirrored = torch.randint(0, 2, (count,), generator=first).to(device) == epoch % 2
        down, right = integers(-self.shift, self.shift), integers(-self.shift, self.shift)
        centre_row, centre_column = integers(0, height - 1), integers(0, width - 1)
        return Views(mirrored, down, right, centre_row, centre_column, self.cutout)

    def shrink(self, images: Tensor, progress: float) -> Tensor:
        """`images` [N, C, H, W] in the size for a batch at `progress`, from 0 to 1, through the run."""
        side = min((side for side, end in self.curriculum.items() if progress < end), default=images.shape[-1])
        if side >= images.shape[-1]:
            return images
        return nn.functional.interpolate(images, (side, side), mode="bilinear", antialias=True)


@dataclass(frozen=True)
class Views:
    """One way of looking at each image of a set: every tensor is [M], indexed by the image's place in the set."""

    mirrored: Tensor
    down: Tensor
    right: Tensor
    centre_row: Tensor
    centre_column: Tensor
    cutout: int

    def __getitem__(self, chosen: Tensor) -> "Views":
        """Those of the images `chosen` [N]."""
        centres = self.centre_row[chosen], self.centre_column[chosen]
        return Views(self.mirrored[chosen], self.down[chosen], self.right[chosen], *centres, self.cutout)

    def take(self, pixels: Tensor, chosen: Tensor) -> Tensor:
        """The views [N, H, W, C] of the images `chosen` [N] of `pixels` [M, H, W, C]: one gather does it all."""
        _, height, width, channels = pixels.shape
        columns = torch.arange(width, device=pixels.device)
        columns = torch.where(self.mirrored[chosen, None], columns.flip(0), columns)
        columns = _reflect(columns + self.right[chosen, None], width)
        rows = _reflect(torch.arange(height, device=pixels.device) + self.down[chosen, None], height)
        place = (chosen[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
        return pixels.view(-1, channels).index_select(0, place.flatten()).view(-1, height, width, channels)

    def cut(self, images: Tensor, chosen: Tensor) -> Tensor:
        """Set each square of the normalised `images` [N, H, W, C] to 0, the mean colour, in place."""
        if not self.cutout:
            return images
        inside_rows = _near(self.centre_row[chosen], images.shape[1], self.cutout)
        inside_columns = _near(self.centre_column[chosen], images.shape[2], self.cutout)
        return images.masked_fill_((inside_rows[:, :, None] & inside_columns[:, None, :])[..., None], 0.0)


def key(*numbers: int) -> int:
    """One 64-bit seed from several whole numbers of at least 0, well mixed, the same on every machine."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _reflect(places: Tensor, size: int) -> Tensor:
    """Fold places outside 0 .. size-1 back at the border pixel, which is not repeated."""
    return (size - 1) - ((size - 1) - places.abs()).abs()


def _near(centres: Tensor, size: int, side: int) -> Tensor:
    """[N, size], true on the `side` places around each centre [N]."""
    first = (centres - side // 2)[:, None]
    places = torch.arange(size, device=centres.device)
    return (places >= first) & (places < first + side)
