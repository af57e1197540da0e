"""Images of a user's own, in any form, as a network takes them."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from project.data.decoding import Preparation, decode, prepare
from project.system.errors import UserError

ImageLike = str | Path | Image.Image | np.ndarray | Tensor
"""A file's path, a Pillow image, an array [H, W], [H, W, C] or [N, H, W, C], a tensor [C, H, W] or [N, C, H, W].

Numbers are uint8 from 0 to 255, or floating-point numbers from 0 to 1.
"""


def pixels_of(images: ImageLike | Iterable[ImageLike], channels: int, preparation: Preparation) -> Iterator[Tensor]:
    """Each image as pixels [H, W, C] of the size and channels that a network takes, float32 from 0 to 1.

    An array of this size stays as it is. Other images are resized as the `preparation` says. One of another number of
    channels is converted: to grey by its luminance, to color with three equal channels.

    Raises:
        UserError: an image cannot be read, or is of another form.
    """
    if isinstance(images, str | Path | Image.Image | np.ndarray | Tensor) or not isinstance(images, Iterable):
        return _pixels(images, channels, preparation)
    return chain.from_iterable(_pixels(image, channels, preparation) for image in images)


def _pixels(image: Any, channels: int, preparation: Preparation) -> Iterator[Tensor]:
    if isinstance(image, str | Path):
        yield _channels(_decode(Path(image), preparation), channels)
    elif isinstance(image, Image.Image):
        yield _channels(prepare(image, preparation), channels)
    elif isinstance(image, np.ndarray):
        yield from _array(image, channels, preparation)
    elif isinstance(image, Tensor) and image.ndim in (3, 4):
        yield from _array(image.detach().cpu().movedim(-3, -1).numpy(), channels, preparation)
    else:
        kind = (
            f"tensor of {image.ndim} dimensions"
            if isinstance(image, Tensor)
            else f"value of type {type(image).__name__}"
        )
        raise UserError(f"images: a {kind}; give paths, Pillow images, arrays or tensors [C, H, W]")


def _decode(path: Path, preparation: Preparation) -> Tensor:
    try:
        return decode(path.read_bytes(), preparation)
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; give its files, or use main.py predict --images {path}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _array(array: np.ndarray, channels: int, preparation: Preparation) -> Iterator[Tensor]:
    """The images of an array [H, W], [H, W, C] or [N, H, W, C]."""
    if array.ndim == 4:
        for image in array:
            yield from _array(image, channels, preparation)
        return
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise UserError(f"images: an array of the shape {list(array.shape)}; give [H, W, C] or [N, H, W, C], C 1 or 3")
    array = array[..., None] if array.ndim == 2 else array
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"images: an array of {array.dtype}; give uint8 from 0 to 255, or floats from 0 to 1")
    if np.issubdtype(array.dtype, np.floating) and not (array.min() >= 0 and array.max() <= 1):
        raise UserError(f"images: floats from {array.min():g} to {array.max():g}; give floats from 0 to 1, or uint8")
    if array.shape[:2] == preparation.size and array.shape[2] != 4:
        numbers = torch.from_numpy(np.ascontiguousarray(array))
        numbers = numbers if array.dtype == np.uint8 else numbers.float()
        yield _channels(numbers, channels)
        return
    bytes_ = array if array.dtype == np.uint8 else (array * 255).round().astype(np.uint8)
    image = Image.fromarray(bytes_[..., 0] if bytes_.shape[2] == 1 else bytes_)
    yield _channels(prepare(image, preparation), channels)


def _channels(pixels: Tensor, channels: int) -> Tensor:
    """Pixels [H, W, C] with another number of channels, as numbers from 0 to 1; bytes become grey as Pillow does it."""
    if pixels.shape[2] != channels:
        pixels = _luminance(pixels) if channels == 1 else pixels.expand(-1, -1, channels)
    return pixels / 255 if pixels.dtype == torch.uint8 else pixels


def _luminance(pixels: Tensor) -> Tensor:
    """The luminance [H, W, 1] of ITU-R 601, with the whole numbers of Pillow's conversion from RGB to L."""
    weights = torch.tensor([[19595], [38470], [7471]])  # 0.299, 0.587 and 0.114 of 2^16
    if pixels.dtype == torch.uint8:
        return ((pixels.long() @ weights + 2**15) >> 16).to(torch.uint8)
    return pixels @ (weights / 2**16)
