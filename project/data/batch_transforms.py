"""Some of torchvision's transforms for a whole batch, with a choice for each image.

torchvision's own draw once for each call. These draw for all images of a set at once, from the same distributions, and
change the pixels exactly as torchvision's do.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from project.system.hardware import copy_to

Draws = dict[str, Tensor]
"""The random choices: each tensor is [M] or [N], one value for each image."""
ERASING_TRIES = 10  # of torchvision's RandomErasing, for a rectangle that fits into the image


class BatchTransform(ABC):
    """A transform of batches."""

    def __init__(self, height: int, width: int) -> None:
        """Keep the size.

        Args:
            height: Of the images that it gets.
            width: Of the images that it gets.
        """
        self.height, self.width = height, width

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images that it gives."""
        return self.height, self.width

    @abstractmethod
    def draw(self, num_images: int, generator: torch.Generator) -> Draws:
        """Draw the choices for a set of this number of images."""

    @abstractmethod
    def apply(self, pixels: Tensor, draws: Draws) -> Tensor:
        """Change pixels [N, H, W, C] uint8, which may be overwritten, by the choices for these images."""


class Flip(BatchTransform):
    """RandomHorizontalFlip and RandomVerticalFlip."""

    def __init__(self, transform: Any, height: int, width: int) -> None:
        super().__init__(height, width)
        self.probability = transform.p
        self.dimension = 2 if isinstance(transform, v2.RandomHorizontalFlip) else 1

    def draw(self, num_images: int, generator: torch.Generator) -> Draws:
        return {"flipped": torch.rand(num_images, generator=generator) < self.probability}

    def apply(self, pixels: Tensor, draws: Draws) -> Tensor:
        return torch.where(draws["flipped"][:, None, None, None], pixels.flip(self.dimension), pixels)


class Crop(BatchTransform):
    """RandomCrop with a padding of any mode, by one gather."""

    def __init__(self, transform: Any, height: int, width: int) -> None:
        super().__init__(height, width)
        with torch.random.fork_rng(devices=[]):
            chosen = transform.make_params([torch.empty(1, height, width)])
        left, self.top_padding, right, bottom = chosen["padding"]
        self.left_padding = left
        self.cropped = chosen["height"], chosen["width"]
        self.highest = height + self.top_padding + bottom - self.cropped[0], width + left + right - self.cropped[1]
        self.mode = transform.padding_mode if chosen["needs_pad"] else ""
        fill = 0 if transform.fill is None else transform.fill
        self.fill = torch.tensor(fill, dtype=torch.uint8)

    @property
    def size(self) -> tuple[int, int]:
        return self.cropped

    def draw(self, num_images: int, generator: torch.Generator) -> Draws:
        top, left = (torch.randint(high + 1, (num_images,), generator=generator) for high in self.highest)
        return {"top": top, "left": left}

    def apply(self, pixels: Tensor, draws: Draws) -> Tensor:
        rows, row_outside = self._sources(draws["top"] - self.top_padding, self.cropped[0], self.height)
        columns, column_outside = self._sources(draws["left"] - self.left_padding, self.cropped[1], self.width)
        images = torch.arange(len(pixels), device=pixels.device)[:, None, None]
        sources = (images * self.height + rows[:, :, None]) * self.width + columns[:, None, :]
        cropped = pixels.view(-1, pixels.shape[3]).index_select(0, sources.flatten())
        cropped = cropped.view(*sources.shape, pixels.shape[3])
        if self.mode != "constant":
            return cropped
        return _filled(cropped, row_outside[:, :, None], column_outside[:, None, :], torch.logical_or, self.fill)

    def _sources(self, first: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
        """The positions [N, count] in the image from which those of the crop come, and which of them are padding."""
        places = first[:, None] + torch.arange(count, device=first.device)
        outside = (places < 0) | (places >= size)
        if self.mode == "reflect":
            places = (size - 1) - ((size - 1) - places.abs()).abs()
        elif self.mode == "symmetric":
            places = torch.where(places < 0, -places - 1, places)
            places = torch.where(places >= size, 2 * size - 1 - places, places)
        return places.clamp(0, size - 1), outside


class Erasing(BatchTransform):
    """RandomErasing with a fixed value."""

    def __init__(self, transform: Any, height: int, width: int) -> None:
        super().__init__(height, width)
        self.probability, self.scale, self.ratio = transform.p, transform.scale, transform.ratio
        self.value = torch.tensor(transform.value).to(torch.uint8)

    def draw(self, num_images: int, generator: torch.Generator) -> Draws:
        """Draw the rectangles; an image that none of the tries fits into has one of no pixels."""
        erased = torch.rand(num_images, generator=generator) < self.probability
        shape = (ERASING_TRIES, num_images)
        low, high = torch.tensor(self.ratio).log().tolist()
        area = self.height * self.width * torch.empty(shape).uniform_(*self.scale, generator=generator).double()
        aspect = torch.empty(shape).uniform_(low, high, generator=generator).exp().double()
        heights, widths = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
        fits = (heights < self.height) & (widths < self.width)
        first = fits.int().argmax(0, keepdim=True)
        height, width = (sides.gather(0, first)[0] for sides in (heights, widths))
        top = _whole(self.height - height + 1, generator)
        left = _whole(self.width - width + 1, generator)
        erased &= fits.any(0)
        return {"top": top, "left": left, "height": torch.where(erased, height, 0), "width": width}

    def apply(self, pixels: Tensor, draws: Draws) -> Tensor:
        rows = _within(draws["top"], draws["height"], self.height)
        columns = _within(draws["left"], draws["width"], self.width)
        return _filled(pixels, rows[:, :, None], columns[:, None, :], torch.logical_and, self.value)


def batch_transform(transform: Any, height: int, width: int) -> BatchTransform | None:
    """The form for batches of a transform of images [C, height, width] uint8; None if there is none."""
    kind = type(transform)  # a subclass may do something else
    if kind in (v2.RandomHorizontalFlip, v2.RandomVerticalFlip):
        return Flip(transform, height, width)
    if kind is v2.RandomCrop and not isinstance(transform.fill, dict) and are_levels(transform.fill or 0):
        return Crop(transform, height, width)
    if kind is v2.RandomErasing and transform.value is not None and are_levels(transform.value):
        return Erasing(transform, height, width)
    return None


def _filled(
    pixels: Tensor, rows: Tensor, columns: Tensor, combine: Callable[[Tensor, Tensor], Tensor], value: Tensor
) -> Tensor:
    """Pixels [N, H, W, C] with `value`, of one or of C numbers, where `combine` of the masks is true.

    Args:
        pixels: [N, H, W, C] uint8.
        rows: [N, H, 1] bool.
        columns: [N, 1, W] bool.
        combine: Gives a mask [N, H, W] from both.
        value: One number, or one for each channel.
    """
    num_images, height, width, channels = pixels.shape
    # Operations on whole rows of contiguous bytes: with the channels as a dimension they take ten times as long.
    mask = combine(rows, columns.repeat_interleave(channels, 2))
    values = copy_to(value, pixels.device).expand(width, channels).reshape(width * channels)
    return torch.where(mask, values, pixels.view(num_images, height, width * channels)).view(pixels.shape)


def are_levels(value: Any) -> bool:
    """Whether all numbers are whole ones from 0 to 255."""
    return all(number in range(256) for number in (value if isinstance(value, list | tuple) else [value]))


def _whole(end: Tensor, generator: torch.Generator) -> Tensor:
    """A whole number from 0 to below each of `end` [M]."""
    uniform = torch.rand(end.shape, dtype=torch.float64, generator=generator)
    return (uniform * end).long()


def _within(first: Tensor, count: Tensor, size: int) -> Tensor:
    """[N, size], true at `count` positions from `first` on."""
    places = torch.arange(size, device=first.device)
    return (places >= first[:, None]) & (places < (first + count)[:, None])
