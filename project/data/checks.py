"""Checks of a data set of the user's own, with an error line for each mistake."""

from typing import Any

import torch
from torch import Tensor

from project.data.images import ImageSet, ImagesInMemory
from project.data.normalisation import measured_mean_and_std
from project.system.errors import UserError

SAMPLE = 1000  # at least so many images, whose standard deviation is compared with that of the class
LARGEST_RATIO = 10  # between the two
REQUIRED_ATTRIBUTES = ("class_names", "image_shape", "training_images")


def check_attributes(data: Any) -> None:
    """Raises UserError if the class of `data` lacks an attribute that its options are checked against, or has another.

    mean and std may be missing until the images are loaded.
    """
    kind = type(data).__qualname__
    for name in REQUIRED_ATTRIBUTES:
        if not hasattr(data, name):
            raise UserError(
                f"--data {kind}: has no {name}; give the class one, as Digits does, or measure it by ArrayDataModule"
            )
    shape, numbers = data.image_shape, (int, float)
    if not (isinstance(shape, tuple) and len(shape) == 3 and all(isinstance(size, int) and size > 0 for size in shape)):
        raise UserError(f"--data {kind}: image_shape is {shape}; give (C, H, W), for grey images (1, H, W)")
    for name in ("mean", "std"):
        values = getattr(data, name, ())
        if not (isinstance(values, tuple | list) and all(isinstance(value, numbers) for value in values)):
            raise UserError(f"--data {kind}: {name} is {values}; give one number for each channel, as in (0.5,)")
        if any(value > 1 or value < 0 or (value == 0 and name == "std") for value in values):
            raise UserError(f"--data {kind}: {name} is {values}; give values from 0 to 1, not to 255, with std above 0")
    if not isinstance(data.training_images, int):
        raise UserError(f"--data {kind}: training_images is {data.training_images}; give a whole number")
    if isinstance(data.class_names, str):
        raise UserError(f"--data {kind}: class_names is a text; give a tuple of names")


def check_loaded(data: Any, loaded: Any, num_classes: int) -> None:
    """Raises UserError if the result `loaded` of the method load of `data` is wrong."""
    if problem := _problem(data, loaded, num_classes):
        raise UserError(f"--data {type(data).__qualname__}: load gives {problem}")


def _problem(data: Any, loaded: Any, num_classes: int) -> str:
    """Empty if there is none."""
    if not (isinstance(loaded, tuple) and len(loaded) == 2 and all(isinstance(images, ImageSet) for images in loaded)):
        pair = "(ImagesInMemory(pixels, labels), ImagesInMemory(pixels, labels))"
        return f"no pair of image sets; give {pair}, for training and test"
    for split, images in zip(("training", "test"), loaded, strict=True):
        problem = isinstance(images, ImagesInMemory) and _pixels_problem(images.pixels, data.image_shape)
        if problem := problem or _labels_problem(images, num_classes):
            return f"{split} images with {problem}"
    if len(loaded[0]) != data.training_images:
        return f"{len(loaded[0])} training images, and training_images is {data.training_images}; give the same"
    channels = data.image_shape[0]
    in_memory = isinstance(loaded[0], ImagesInMemory)
    if in_memory and not data.mean and not data.std:
        return ""  # they are measured
    if {len(data.mean), len(data.std)} != {channels}:
        return f"images of {channels} channels, and mean and std are {data.mean} and {data.std}; give {channels} each"
    return _constants_problem(data, loaded[0].pixels[:: len(loaded[0]) // SAMPLE or 1]) if in_memory else ""


def _constants_problem(data: Any, pixels: Tensor) -> str:
    """Networks do not learn from images that mean and std bring far from a deviation of 1."""
    std = measured_mean_and_std(pixels)[1]
    if all(
        LARGEST_RATIO * given > measured > given / LARGEST_RATIO for given, measured in zip(data.std, std, strict=True)
    ):
        return ""
    return f"pixels with the standard deviation {std} in [0, 1], and std is {tuple(data.std)}; leave mean and std out"


def _pixels_problem(pixels: Any, image_shape: tuple[int, int, int]) -> str:
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8:
        return f"pixels of {_type_name(pixels)}; give a tensor of torch.uint8, from 0 to 255"
    channels, height, width = image_shape
    if pixels.shape[1:] != (height, width, channels):
        remedy = "; pixels.permute(0, 2, 3, 1).contiguous() has this shape" if pixels.shape[1:] == image_shape else ""
        expected = f"[N, {height}, {width}, {channels}], since image_shape is {tuple(image_shape)}"
        return f"pixels {list(pixels.shape)}; give {expected}{remedy}"
    return "" if pixels.is_contiguous() else "pixels that are not contiguous; give pixels.contiguous()"


def _labels_problem(images: ImageSet, num_classes: int) -> str:
    labels: Any = images.labels
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        return f"labels of {_type_name(labels)}; give a tensor of torch.int64: labels.long()"
    if labels.shape != images.shape[:1] or not len(labels):
        return f"labels {list(labels.shape)} for {images.shape[0]} images; give [N], one for each, and at least one"
    low, high = labels.aminmax()
    if low < 0 or high >= num_classes:
        return f"labels from {low} to {high}; give 0 to {num_classes - 1}, the indices of class_names"
    return ""


def _type_name(value: Any) -> str:
    return str(value.dtype if isinstance(value, Tensor) else type(value).__name__)


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raises ValueError for a value of the option --data.<name> that is not from `low` to `high`."""
    if not low <= value <= high:
        raise ValueError(f"--data.{name} {value}: give a whole number from {low} to {high}")


def class_indices(classes: list[str | int] | None, class_names: tuple[str, ...]) -> list[int] | None:
    """The indices in `class_names` of the `classes`, which may be given as numbers if their names are digits."""
    if classes is None:
        return None
    names = [str(name) for name in classes]
    if len(set(names)) < max(2, len(names)) or not set(names) <= set(class_names):
        valid = ", ".join(class_names)
        raise ValueError(f"--data.classes [{', '.join(names)}]: name two or more of {valid}, each once")
    return [class_names.index(name) for name in names]
