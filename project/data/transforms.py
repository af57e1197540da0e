"""Transforms of training images: torchvision's v2 transforms and the user's own, with reproducible choices.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from project.data.augmentation import FILE_CROPS, TRANSFORMS, mix_seed
from project.data.batch_transforms import BatchTransform, Draws, are_levels, batch_transform
from project.data.decoding import FileCrop
from project.data.image_transforms import (
    ImageError,
    ImageTransform,
    Transform,
    one_thread,
    random_state_kept,
    run_transforms,
    seed_generators,
    transform_name,
)
from project.system.errors import UserError
from project.system.hardware import copy_to

TRIES = 8  # on a random image, before the data is read


class Transforms:
    """Applies transforms to training images. The choices for an image are a function of (seed, epoch, image).

    Flips, RandomCrop and RandomErasing change whole batches where they stand before or after all others. The others
    change image by image, on the CPU. Of image files, a RandomResizedCrop that stands first is done while a file is
    decoded, from the file's own pixels.

    file_crop: This RandomResizedCrop, or None.
    """

    def __init__(
        self, transforms: Sequence[Transform], image_shape: tuple[int, int, int], of_files: bool = False
    ) -> None:
        """Check the transforms on a random image.

        Args:
            transforms: In their order.
            image_shape: (C, H, W) of the images before and after them.
            of_files: Whether the images are files.

        Raises:
            UserError: a transform cannot be used, or the image after the last one has another shape or type.
        """
        for place, transform in enumerate(transforms):
            if problem := _kind_problem(transform, transforms[:place]):
                raise UserError(f"--data.transforms {transform_name(transform)}: {problem}")
        self.image_shape = image_shape
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(256, self.image_shape, dtype=torch.uint8, generator=generator)
        with random_state_kept():
            for seed in range(TRIES):
                seed_generators(seed)
                _try(transforms, image)
        first: Any = transforms[0]
        self.file_crop = first if of_files and type(first) is v2.RandomResizedCrop else None  # subclasses may differ
        decoded = (transforms[1:], self.file_crop.size) if self.file_crop else (transforms, image_shape[1:])
        self.stages = list(_stages(list(decoded[0]), image_shape, decoded[1]))

    def draw(self, num_images: int, seed: int, epoch: int) -> "DrawnTransforms":
        """Draw the choices for each image of a set in an epoch."""
        generators = (
            torch.Generator().manual_seed(mix_seed(seed, epoch, TRANSFORMS, stage)) for stage in range(len(self.stages))
        )
        drawn = (stage.draw(num_images, generator) for stage, generator in zip(self.stages, generators, strict=True))
        seeds = None
        if self.file_crop:
            generator = torch.Generator().manual_seed(mix_seed(seed, epoch, FILE_CROPS))
            seeds = torch.randint(2**63 - 1, (num_images,), generator=generator)
        return DrawnTransforms(tuple(zip(self.stages, drawn, strict=True)), self.file_crop, seeds)


@dataclass(frozen=True)
class DrawnTransforms:
    """Transforms with the choices for each image of a set in one epoch.

    stages: Those of decoded images.
    crop: The one that crops files, or None.
    crop_seeds: [M] int64, if there is one.
    """

    stages: tuple[tuple["BatchTransform | ImageTransform", Draws], ...]
    crop: Any = None
    crop_seeds: Tensor | None = None

    def file_crop(self, place: int) -> FileCrop | None:
        """The crop of a file by the place of its choices; None if decoding needs none."""
        return None if self.crop_seeds is None else FileCrop(self.crop, int(self.crop_seeds[place]))

    @property
    def change_images(self) -> bool:
        """Whether some change image by image, which takes long."""
        return any(isinstance(stage, ImageTransform) for stage, _ in self.stages)

    def to(self, device: torch.device) -> "DrawnTransforms":
        """The same, with the choices on `device`."""
        stages = (
            (stage, {name: copy_to(draw, device) for name, draw in draws.items()}) for stage, draws in self.stages
        )
        return replace(self, stages=tuple(stages))

    def __getitem__(self, indices: Tensor) -> "DrawnTransforms":
        """The choices at `indices`."""
        stages = ((stage, {name: draw[indices] for name, draw in draws.items()}) for stage, draws in self.stages)
        seeds = None if self.crop_seeds is None else self.crop_seeds[indices]
        return replace(self, stages=tuple(stages), crop_seeds=seeds)

    def apply(self, pixels: Tensor, places: Tensor, names: Sequence[str] | Tensor | None = None) -> Tensor:
        """Transform a batch.

        Args:
            pixels: [N, H, W, C] uint8, which may be overwritten.
            places: [N], the place of the choices for each image.
            names: The file at each place, or the number of its image, for an error line; None numbers the places.

        Raises:
            UserError: a transform fails on an image, or changes its size or type.
        """
        for stage, draws in self.stages:
            try:
                pixels = stage.apply(pixels, {name: draw[places] for name, draw in draws.items()})
            except ImageError as error:
                place = int(places[error.place])
                name = place if names is None else names[place]
                image = name if isinstance(name, str) else f"image {int(name)} of the training images"
                raise UserError(f"--data.transforms {error.transform}: {error.problem}, at {image}") from error
        return pixels


NO_TRANSFORMS = DrawnTransforms(())


def _stages(
    transforms: list[Transform], image_shape: tuple[int, int, int], size: tuple[int, int]
) -> Iterator[BatchTransform | ImageTransform]:
    """The transforms in their order: for batches at both ends, where the images have one size; else image by image.

    Args:
        transforms: In their order.
        image_shape: (C, H, W) of the images after them.
        size: (H, W) of the images before them.
    """
    first = 0
    while first < len(transforms) and (stage := batch_transform(transforms[first], *size)):
        size, first = stage.size, first + 1
        yield stage
    last: list[BatchTransform] = []
    while (
        len(transforms) > first
        and (stage := batch_transform(transforms[-1], *image_shape[1:]))
        and not isinstance(transforms[-1], v2.RandomCrop)  # the images before it may have several sizes
    ):
        transforms = transforms[:-1]
        last.insert(0, stage)
    if transforms[first:]:
        yield ImageTransform(transforms[first:], image_shape)
    yield from last


def _try(transforms: Sequence[Transform], image: Tensor) -> None:
    """Raises UserError for a transform that does not work on the image [C, H, W]."""
    try:
        with one_thread():
            run_transforms(transforms, image.clone(), image.shape)
    except ImageError as error:
        gets = "; transforms get images as tensors [C, H, W] of torch.uint8" if error.__cause__ else ""
        raise UserError(f"--data.transforms {error.transform}: {error.problem}{gets}") from error


def _kind_problem(transform: Any, before: Sequence[Any]) -> str:
    """The reason why a transform cannot be used, from its class and those `before` it; empty if there is none."""
    module = type(transform).__module__
    if isinstance(transform, v2.MixUp | v2.CutMix):
        return f"changes labels; give --data.mix '{{{type(transform).__name__.lower()}: {transform.alpha}}}' in place"
    if module.startswith("torchvision.transforms.") and not module.startswith(v2.__name__):
        return f"of torchvision's first version; give torchvision.transforms.v2.{type(transform).__name__}"
    if isinstance(transform, nn.Module) and not isinstance(transform, v2.Transform):
        return "a module that is no transform; derive its class from torchvision.transforms.v2.Transform"
    if not callable(transform):
        return "no transform; give a function or a class with __call__, from an image [C, H, W] uint8 to one"
    converts = any(isinstance(earlier, v2.ToDtype | v2.ConvertImageDtype) for earlier in before)
    if isinstance(transform, v2.RandomErasing) and not converts and not are_levels(transform.value):
        value = "random" if transform.value is None else transform.value
        return f"value {value} is for normalised images; these are torch.uint8: give whole numbers from 0 to 255"
    return ""
