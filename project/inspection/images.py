"""All images of a data set: those for training, for validation and for the test, one after another.

Shape letters: M images of all parts, N of a batch, C channels, H rows, W columns, K classes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from project.data.image_files import ImageFiles
from project.data.images import ImageSet

PARTS = ("training", "validation", "test")
BATCH_BYTES = 2**24  # of the images that are read at once


@dataclass(frozen=True)
class Images:
    """The images of all parts; an image is named by its place among all of them.

    class_names: [K].
    sets: The images for training, validation and test; a set may be empty.
    """

    class_names: Sequence[str]
    sets: Sequence[ImageSet]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def labels(self) -> Tensor:
        """[M] int64."""
        return torch.cat([images.labels for images in self.sets])

    @cached_property
    def parts(self) -> Tensor:
        """[M] int64, the place in PARTS of each image's part."""
        return torch.repeat_interleave(torch.arange(len(PARTS)), torch.tensor([len(images) for images in self.sets]))

    @cached_property
    def counts(self) -> Tensor:
        """[K, 3] int64, the number of images of each class in each part."""
        places = self.labels * len(PARTS) + self.parts
        return torch.bincount(places, minlength=len(self.class_names) * len(PARTS)).view(-1, len(PARTS))

    @property
    def has_files(self) -> bool:
        """Whether the images are files, which have names."""
        return all(isinstance(images, ImageFiles) for images in self.sets)

    def part(self, image: int) -> str:
        """The name of the image's part."""
        return PARTS[int(self.parts[image])]

    def place(self, image: int) -> int:
        """The image's place in its part, from 0."""
        return image - sum(len(images) for images in self.sets[: int(self.parts[image])])

    def name(self, image: int) -> str:
        """The path of the image's file in the data's folder; for images without files the place in the part."""
        images, place = self.sets[int(self.parts[image])], self.place(image)
        return str(images.names[place]) if isinstance(images, ImageFiles) else str(place)

    def class_name(self, image: int) -> str:
        """The name of the image's class."""
        return self.class_names[int(self.labels[image])]

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        """The part and the pixels [N, H, W, C] uint8 of each batch of all images, in their order."""
        for part, images in enumerate(self.sets):
            for pixels in _read(images, torch.arange(len(images))):
                yield part, pixels

    def read(self, places: Sequence[int]) -> list[Tensor]:
        """The pixels [H, W, C] uint8 of some images."""
        pixels: dict[int, Tensor] = {}
        for part, images in enumerate(self.sets):
            inside = sorted({place for place in places if int(self.parts[place]) == part})
            if inside:
                batches = _read(images, torch.tensor([self.place(place) for place in inside]))
                pixels.update(zip(inside, (image for batch in batches for image in batch), strict=True))
        return [pixels[place] for place in places]


def _read(images: ImageSet, indices: Tensor) -> Iterator[Tensor]:
    """Batches of pixels [N, H, W, C]; none without indices."""
    batch_size = max(1, BATCH_BYTES // math.prod(images.shape[1:]))
    return images.read_batches(indices, batch_size) if len(indices) else iter(())
