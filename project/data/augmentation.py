"""Augmentation of a whole batch in a few tensor operations.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """What may be done to a training image.

    flip: mirror left to right with probability 1/2.
    shift: move by up to this many pixels in each direction, the border reflected; below H and W.
    cutout: side in pixels of a square set to the mean colour, centred anywhere in the image
        (DeVries and Taylor, arXiv 1708.04552); 0 for none.
    """

    flip: bool = False
    shift: int = 0
    cutout: int = 0

    def draw(self, pixels: Tensor, generator: torch.Generator) -> "Views":
        """The random choices for each image of `pixels` [M, H, W, C], the same on every device."""
        count, height, width, _ = pixels.shape

        def integers(low: int, high: int) -> Tensor:
            return torch.randint(low, high + 1, (count,), generator=generator).to(pixels.device)

        mirrored = integers(0, int(self.flip)).bool()
        down, right = integers(-self.shift, self.shift), integers(-self.shift, self.shift)
        centre_row, centre_column = integers(0, height - 1), integers(0, width - 1)
        return Views(mirrored, down, right, centre_row, centre_column, self.cutout)


@dataclass(frozen=True)
class Views:
    """One way of looking at each image of a set: every tensor is [M], indexed by the image's place in the set."""

    mirrored: Tensor
    down: Tensor
    right: Tensor
    centre_row: Tensor
    centre_column: Tensor
    cutout: int

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


def _reflect(places: Tensor, size: int) -> Tensor:
    """Fold places outside 0 .. size-1 back at the border pixel, which is not repeated."""
    return (size - 1) - ((size - 1) - places.abs()).abs()


def _near(centres: Tensor, size: int, side: int) -> Tensor:
    """[N, size], true on the `side` places around each centre [N]."""
    first = (centres - side // 2)[:, None]
    places = torch.arange(size, device=centres.device)
    return (places >= first) & (places < first + side)
