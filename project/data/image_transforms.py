"""Transforms of single images, each with a seed of its own.

Shape letters: N images of a batch, C channels, H rows, W columns.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from project.data.batch_transforms import Draws

Transform: TypeAlias = v2.Transform | Callable[[Tensor], Tensor]
"""From an image [C, H, W] uint8 to an image; one of torchvision's, or a function or class of the user's own."""
CONTAINERS = (v2.Compose, v2.RandomApply, v2.RandomChoice, v2.RandomOrder)
# These take a third of the time on images of Pillow, for which their authors have written them.
FASTER_ON_PILLOW = (v2.AutoAugment, v2.RandAugment, v2.TrivialAugmentWide)


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
        set_seed = torch.default_generator.manual_seed if self.are_torchvisions else seed_generators
        with random_state_kept(), one_thread():
            for place, (image, seed) in enumerate(zip(images, draws["seed"].tolist(), strict=True)):
                set_seed(seed)
                try:
                    transformed[place] = run_transforms(self.transforms, image, self.image_shape).permute(1, 2, 0)
                except ImageError as error:
                    raise ImageError(error.transform, error.problem, place) from error
        return transformed.to(pixels.device)


def run_transforms(transforms: Sequence[Transform], image: Tensor, shape: Sequence[int]) -> Tensor:
    """The transformed image. Raises ImageError if it has not the `shape` (C, H, W) and the type of `image`."""
    output: Any = image
    problem, changed_by = "", ""
    for transform in transforms:
        try:
            output = _apply(transform, output)
        except Exception as error:  # of whatever kind, since the transform may be the user's own
            text = " ".join(str(error).split())
            raise ImageError(transform_name(transform), f"fails ({type(error).__name__}: {text})") from error
        if problem != (problem := _output_problem(output, shape)):
            changed_by = transform_name(transform)
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


def transform_name(transform: Any) -> str:
    return getattr(transform, "__name__", type(transform).__name__)


def _is_torchvisions(transform: Any) -> bool:
    """Whether a transform contains no code of the user's."""
    if isinstance(transform, v2.Lambda) or not type(transform).__module__.startswith(v2.__name__):
        return False
    return not isinstance(transform, CONTAINERS) or all(map(_is_torchvisions, transform.transforms))


def seed_generators(seed: int) -> None:
    """Seed the generators of torch, Python and NumPy."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Restore the state of these generators afterwards."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])


@contextmanager
def one_thread() -> Iterator[None]:
    """As in a worker process, since the last bit of a mean over an image depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
