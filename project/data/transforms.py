"""Transforms of training images: torchvision's v2 transforms and the user's own, with reproducible choices.

Shape letters: M images of a set, N of a batch, C channels, H rows, W columns.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

from project.data.augmentation import FILE_CROPS, TRANSFORMS, mix_seed
from project.data.batch_transforms import BatchTransform, Draws, are_levels, batch_transform
from project.data.decoding import FileCrop
from project.system.errors import UserError
from project.system.hardware import copy_to

Transform: TypeAlias = v2.Transform | Callable[[Tensor], Tensor]
"""From an image [C, H, W] uint8 to an image; one of torchvision's, or a function or class of the user's own."""
CONTAINERS = (v2.Compose, v2.RandomApply, v2.RandomChoice, v2.RandomOrder)
# These take a third of the time on images of Pillow, for which their authors have written them.
FASTER_ON_PILLOW = (v2.AutoAugment, v2.RandAugment, v2.TrivialAugmentWide)
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
                raise UserError(f"--data.transforms {_name(transform)}: {problem}")
        self.image_shape = image_shape
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(256, self.image_shape, dtype=torch.uint8, generator=generator)
        with _random_state_kept():
            for seed in range(TRIES):
                _seed_all(seed)
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


class ImageError(Exception):
    """A transform failed on an image.

    transform: Its name.
    problem: What is wrong.
    place: Of the image in the batch.
    """

    def __init__(self, transform: str, problem: str, place: int = 0) -> None:
        super().__init__(transform, problem, place)
        self.transform, self.problem, self.place = transform, problem, place


class ImageTransform:
    """Transforms of single images one after the other, each image with a seed of its own."""

    def __init__(self, transforms: Sequence[Transform], image_shape: tuple[int, int, int]) -> None:
        """Keep the transforms.

        Args:
            transforms: In their order.
            image_shape: (C, H, W) of the images after them.
        """
        self.transforms, self.image_shape = transforms, image_shape
        # torchvision draws from torch's generator alone; to seed Python's and NumPy's too takes ten times as long
        self.are_torchvisions = all(_is_torchvisions(transform) for transform in transforms)

    def draw(self, num_images: int, generator: torch.Generator) -> Draws:
        """Draw the seed of each image."""
        return {"seed": torch.randint(2**63 - 1, (num_images,), generator=generator)}

    def apply(self, pixels: Tensor, draws: Draws) -> Tensor:
        """Change pixels [N, H, W, C] uint8. Raises ImageError."""
        images = pixels.cpu().permute(0, 3, 1, 2)
        channels, *size = self.image_shape
        transformed = torch.empty((len(pixels), *size, channels), dtype=torch.uint8)
        set_seed = torch.default_generator.manual_seed if self.are_torchvisions else _seed_all
        with _random_state_kept(), _one_thread():
            for place, (image, seed) in enumerate(zip(images, draws["seed"].tolist(), strict=True)):
                set_seed(seed)
                try:
                    transformed[place] = _run(self.transforms, image, self.image_shape).permute(1, 2, 0)
                except ImageError as error:
                    raise ImageError(error.transform, error.problem, place) from error
        return transformed.to(pixels.device)


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
        with _one_thread():
            _run(transforms, image.clone(), image.shape)
    except ImageError as error:
        gets = "; transforms get images as tensors [C, H, W] of torch.uint8" if error.__cause__ else ""
        raise UserError(f"--data.transforms {error.transform}: {error.problem}{gets}") from error


def _run(transforms: Sequence[Transform], image: Tensor, shape: Sequence[int]) -> Tensor:
    """The transformed image. Raises ImageError if it has not the `shape` (C, H, W) and the type of `image`."""
    output: Any = image
    problem, changed_by = "", ""
    for transform in transforms:
        try:
            output = _apply(transform, output)
        except Exception as error:  # of whatever kind, since the transform may be the user's own
            text = " ".join(str(error).split())
            raise ImageError(_name(transform), f"fails ({type(error).__name__}: {text})") from error
        if problem != (problem := _output_problem(output, shape)):
            changed_by = _name(transform)
    if problem:
        raise ImageError(changed_by, problem)
    return output  # type: ignore[no-any-return]


def _apply(transform: Transform, image: Any) -> Any:
    """On an image of Pillow if that is faster; its choices are the same."""
    if not isinstance(image, Tensor):
        return transform(image)
    is_color = image.dtype == torch.uint8 and image.ndim == 3 and image.shape[0] == 3
    if not is_color or type(transform) not in FASTER_ON_PILLOW:
        return transform(image.contiguous())
    picture: Any = transform(Image.fromarray(image.permute(1, 2, 0).numpy()))  # type: ignore[arg-type]
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _output_problem(output: Any, shape: Sequence[int]) -> str:
    """Empty if there is none."""
    if not isinstance(output, Tensor):
        return f"gives a {type(output).__name__}; give a tensor [C, H, W] of torch.uint8"
    if output.dtype != torch.uint8:
        remedy = "end the list with '{class_path: ToDtype, init_args: {dtype: torch.uint8, scale: true}}'"
        return f"gives {output.dtype}, and images are torch.uint8 until they are normalised; {remedy}"
    if tuple(output.shape) != tuple(shape):
        return f"gives images {list(output.shape)}; end with {list(shape)}, or change --data.image_size of a folder"
    return ""


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


def _name(transform: Any) -> str:
    return getattr(transform, "__name__", type(transform).__name__)


def _is_torchvisions(transform: Any) -> bool:
    """Whether a transform contains no code of the user's."""
    if isinstance(transform, v2.Lambda) or not type(transform).__module__.startswith(v2.__name__):
        return False
    return not isinstance(transform, CONTAINERS) or all(map(_is_torchvisions, transform.transforms))


def _seed_all(seed: int) -> None:
    """Seed the generators of torch, Python and NumPy."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Restore the state of these generators afterwards."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a worker process, since the last bit of a mean over an image depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
