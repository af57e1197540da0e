"""What a data set of one's own may get wrong, heard once: when it is made, and when it is loaded."""

from typing import Any

import torch
from torch import Tensor

from project.data.images import Images, ImageSet
from project.system.errors import UserError

CONSTANTS = ("class_names", "image_shape", "training_images")


def check_constants(data: Any) -> None:
    """Raises UserError where the class of `data` does not have what its options are checked against."""
    for name in CONSTANTS:
        if not hasattr(data, name):
            raise UserError(f"--data {type(data).__qualname__}: has no {name}; give the class one, as Digits does")


def check_loaded(data: Any, loaded: Any, classes: int) -> None:
    """Raises UserError that says what is wrong with what `data` has loaded, of so many classes in all."""
    if problem := _problem(data, loaded, classes):
        raise UserError(f"--data {type(data).__qualname__}: load gives {problem}")


def _problem(data: Any, loaded: Any, classes: int) -> str:
    """Empty where there is none."""
    if not (isinstance(loaded, tuple) and len(loaded) == 2 and all(isinstance(part, ImageSet) for part in loaded)):
        return "no pair of image sets; give (Images(pixels, labels), Images(pixels, labels)), for training and test"
    for part, images in zip(("training", "test"), loaded, strict=True):
        found = isinstance(images, Images) and _of_pixels(images.pixels, data.image_shape)
        if found := found or _of_labels(images, classes):
            return f"{part} images with {found}"
    if len(loaded[0]) != data.training_images:
        return f"{len(loaded[0])} training images, and training_images is {data.training_images}; give the same"
    channels = data.image_shape[0]
    if {len(data.mean), len(data.std)} != {channels}:
        return f"images of {channels} channels, and mean and std are {data.mean} and {data.std}; give {channels} each"
    return ""


def _of_pixels(pixels: Any, image_shape: tuple[int, int, int]) -> str:
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8:
        return f"pixels of {_kind(pixels)}; give a tensor of torch.uint8, from 0 to 255"
    channels, height, width = image_shape
    if pixels.shape[1:] != (height, width, channels):
        turn = ", as pixels.permute(0, 2, 3, 1).contiguous() is" if pixels.shape[1:] == image_shape else ""
        needed = f"[N, {height}, {width}, {channels}], as image_shape {tuple(image_shape)} has it"
        return f"pixels {list(pixels.shape)}; give {needed}{turn}"
    return "" if pixels.is_contiguous() else "pixels that are not contiguous; give pixels.contiguous()"


def _of_labels(images: ImageSet, classes: int) -> str:
    labels: Any = images.labels
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        return f"labels of {_kind(labels)}; give a tensor of torch.int64, as labels.long() is"
    if labels.shape != images.shape[:1] or not len(labels):
        return f"labels {list(labels.shape)} for {images.shape[0]} images; give [N], one for each, and at least one"
    low, high = labels.aminmax()
    if low < 0 or high >= classes:
        return f"labels from {low} to {high}; give 0 to {classes - 1}, the places of class_names"
    return ""


def _kind(value: Any) -> str:
    return str(value.dtype if isinstance(value, Tensor) else type(value).__name__)
